/* SPDX-License-Identifier: Apache-2.0 */
/* Storage forms of float values. */
#ifndef OF_MODEL_FLOATS_H
#define OF_MODEL_FLOATS_H

#include <stddef.h>
#include <stdint.h>

/* Index of the first value that is not finite, or `count`. */
size_t of_first_non_finite(const float *values, size_t count);

/* bfloat16, the upper half of a float: widening is exact. `stored` may have any alignment. */
void of_widen_bf16(const unsigned char *stored, size_t count, float *values);

/* Rounds to nearest, ties to even. Finite values near the end of the range become infinite. */
uint16_t of_round_bf16(float value);

#endif
