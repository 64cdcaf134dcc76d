/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX-512 (F, BW, DQ, VL) kernels. What they compute: ../scalar. */
#ifndef OF_SIMD_KERNELS_AVX512_H
#define OF_SIMD_KERNELS_AVX512_H

#include "row.h"

/* squeeze.c */
void of_avx512_squeeze_row_u8(const of_squeeze_row *row);
void of_avx512_squeeze_row_f32(const of_squeeze_row *row);

/* coupling.c */
void of_avx512_tap_sum_row(const of_tap_row *row, float *coefficients);
double of_avx512_coupling_row(const of_coupling_row *row);

/* gaussian.c */
double of_avx512_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n);

/* map.c */
void of_avx512_map_positions(const of_map_task *task);

#endif
