/* SPDX-License-Identifier: Apache-2.0 */
/* The portable kernels: what every other implementation is compared with. */
#ifndef OF_SIMD_KERNELS_SCALAR_H
#define OF_SIMD_KERNELS_SCALAR_H

#include "kernels.h"

#include <string.h>

/* squeeze.c */
void of_scalar_squeeze_row_u8(const of_squeeze_row *row);
void of_scalar_squeeze_row_f32(const of_squeeze_row *row);
void of_scalar_unsqueeze_row(const of_unsqueeze_row *row);

/* coupling.c */
void of_scalar_tap_sum_row(const of_tap_row *row, float *coefficients);
double of_scalar_coupling_row(const of_coupling_row *row);

/* scale_map.c: the coupling of the position whose rest half begins at `start`, with its
 * coefficients, returns the sum of log s; and the gradients of an affine one. */
double of_scalar_couple(const of_coupling_row *row, const float *coefficients, size_t start);
void of_scalar_couple_backward(const of_coupling_backward *task);

/* gaussian.c */
double of_scalar_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n);
void of_scalar_scale_shift_backward(const float *x, const float *scale, const float *shift,
                                    float weight, float *g_x, float *g_scale, float *g_shift,
                                    size_t n);

/* bf16.c */
float of_scalar_bf16_value(uint16_t number); /* for scalar kernels alone */
void of_scalar_round_to_bf16(const float *values, uint16_t *target, size_t n);

/* network_input.c */
void of_scalar_look_up(const uint8_t *pixels, const float *table, float *values, size_t n);
void of_scalar_network_input(const of_network_input *input, float *target);
void of_scalar_network_input_bf16(const of_network_input *input, uint16_t *target);
void of_scalar_network_input_s16(const of_network_input *input, float factor, int16_t *target);
void of_scalar_network_input_backward(const of_network_input_backward *task);

/* coupling_backward.c, taps_backward.c, map_backward.c, relu_backward.c */
void of_scalar_coupling_backward(const of_coupling_backward *task);
void of_scalar_tap_scatter_row(const of_tap_row *row, const float *values, bool mirrored,
                               float *target);
void of_scalar_map_backward(const of_map_backward *task);
void of_scalar_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float leak, float *bias_gradient);

/* relu_backward_bf16.c, weight_product.c */
void of_scalar_relu_backward_bf16(const uint16_t *activation, uint16_t *gradient, size_t positions,
                                  size_t channels, float leak, float *bias_gradient);
void of_scalar_weight_product_bf16(const of_product_bf16 *task);

/* optimizer.c, sums.c */
void of_scalar_optimizer_update(const of_optimizer_update *update);
void of_scalar_multiply_add_burst(size_t rounds, float *result);
void of_scalar_accumulate(const float *values, float *target, size_t n);
double of_scalar_square_sum(const float *values, size_t n);

/* map.c: y[0..C) = A x + b, or A x, for one position, unpadded; y must not overlap x. */
void of_scalar_apply_map(const of_channel_map *map, const float *x, float *y);
void of_scalar_apply_matrix(const of_channel_map *map, const float *x, float *y);

/* integer_tile.c */
void of_scalar_integer_tile(const of_integer_tile *tile);

#endif
