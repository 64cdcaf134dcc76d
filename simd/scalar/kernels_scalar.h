/* SPDX-License-Identifier: Apache-2.0 */
/* The portable kernels: what every other implementation is compared with. */
#ifndef OF_SIMD_KERNELS_SCALAR_H
#define OF_SIMD_KERNELS_SCALAR_H

#include "kernels.h"

/* squeeze.c */
void of_scalar_squeeze_row_u8(const of_squeeze_row *row);
void of_scalar_squeeze_row_f32(const of_squeeze_row *row);
void of_scalar_unsqueeze_row(const of_unsqueeze_row *row);

/* coupling.c */
void of_scalar_tap_sum_row(const of_tap_row *row, float *coefficients);
double of_scalar_coupling_row(const of_coupling_row *row);

/* gaussian.c */
double of_scalar_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n);

/* map.c: y[0..C) = A x + b for one position, unpadded; y must not overlap x. */
void of_scalar_apply_map(const of_channel_map *map, const float *x, float *y);

#endif
