/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX2 and FMA kernels. What they compute: ../scalar. */
#ifndef OF_SIMD_KERNELS_AVX2_H
#define OF_SIMD_KERNELS_AVX2_H

#include "row.h"

/* squeeze.c */
void of_avx2_squeeze_row_u8(const of_squeeze_row *row);
void of_avx2_squeeze_row_f32(const of_squeeze_row *row);

/* coupling.c */
void of_avx2_tap_sum_row(const of_tap_row *row, float *coefficients);
double of_avx2_coupling_row(const of_coupling_row *row);

/* gaussian.c */
double of_avx2_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                           size_t n);

/* map.c */
void of_avx2_map_positions(const of_map_task *task);

#endif
