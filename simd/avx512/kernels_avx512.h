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

/* scale_map.c: the affine coupling of a chunk, rest' goes to `target`, returns the sum of log s;
 * and its gradients */
double of_avx512_couple(const of_coupling_chunk *chunk, float *target);
void of_avx512_couple_backward(const of_couple_gradients *out);

/* gaussian.c */
double of_avx512_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n);
void of_avx512_scale_shift_backward(const float *x, const float *scale, const float *shift,
                                    float weight, float *g_x, float *g_scale, float *g_shift,
                                    size_t n);

/* bf16.c */
void of_avx512_round_to_bf16(const float *values, uint16_t *target, size_t n);

/* network_input.c */
void of_avx512_network_input(const of_network_input *input, float *target);
void of_avx512_network_input_bf16(const of_network_input *input, uint16_t *target);
void of_avx512_network_input_s16(const of_network_input *input, float factor, int16_t *target);
void of_avx512_network_input_backward(const of_network_input_backward *task);

/* coupling_backward.c, taps_backward.c, map_backward.c, relu_backward.c */
void of_avx512_coupling_backward(const of_coupling_backward *task);
void of_avx512_tap_scatter_row(const of_tap_row *row, const float *values, bool mirrored,
                               float *target);
void of_avx512_map_backward(const of_map_backward *task);
void of_avx512_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float leak, float *bias_gradient);

/* relu_backward_bf16.c */
void of_avx512_relu_backward_bf16(const uint16_t *activation, uint16_t *gradient, size_t positions,
                                  size_t channels, float leak, float *bias_gradient);

/* optimizer.c, sums.c */
void of_avx512_optimizer_update(const of_optimizer_update *update);
void of_avx512_multiply_add_burst(size_t rounds, float *result);
void of_avx512_accumulate(const float *values, float *target, size_t n);
double of_avx512_square_sum(const float *values, size_t n);

/* interleave.c: target[p] = first[p] then second[p], of `half` floats each */
void of_avx512_interleave(const float *first, const float *second, size_t positions, size_t half,
                          float *target);

/* map.c */
void of_avx512_map_positions(const of_map_task *task);

/* integer_tile.c */
void of_avx512_integer_tile(const of_integer_tile *tile);

#endif
