/* SPDX-License-Identifier: Apache-2.0 */
#include "../avx512_bf16/kernels_avx512_bf16.h"
#include "../scalar/kernels_scalar.h"
#include "kernels_avx512.h"

/* Undoing the squeeze and looking up only move data: the compiler's code serves. */
#define AVX512_KERNELS                                                                             \
    .isa = OF_ISA_AVX512, .squeeze_row_u8 = of_avx512_squeeze_row_u8,                              \
    .squeeze_row_f32 = of_avx512_squeeze_row_f32, .unsqueeze_row = of_scalar_unsqueeze_row,        \
    .tap_sum_row = of_avx512_tap_sum_row, .coupling_row = of_avx512_coupling_row,                  \
    .scale_shift = of_avx512_scale_shift, .round_to_bf16 = of_avx512_round_to_bf16,                \
    .look_up = of_scalar_look_up, .network_input = of_avx512_network_input,                        \
    .network_input_bf16 = of_avx512_network_input_bf16,                                            \
    .network_input_s16 = of_avx512_network_input_s16, .integer_tile = of_avx512_integer_tile,      \
    .tap_scatter_row = of_avx512_tap_scatter_row, .map_backward = of_avx512_map_backward,          \
    .coupling_backward = of_avx512_coupling_backward, .relu_backward = of_avx512_relu_backward,    \
    .relu_backward_bf16 = of_avx512_relu_backward_bf16,                                            \
    .network_input_backward = of_avx512_network_input_backward,                                    \
    .scale_shift_backward = of_avx512_scale_shift_backward,                                        \
    .optimizer_update = of_avx512_optimizer_update,                                                \
    .multiply_add_burst = of_avx512_multiply_add_burst, .accumulate = of_avx512_accumulate,        \
    .square_sum = of_avx512_square_sum

const of_kernels of_kernels_avx512 = {AVX512_KERNELS,
                                      .weight_product_bf16 = of_scalar_weight_product_bf16};

#ifndef OF_AVX512_EMULATED
const of_kernels of_kernels_avx512_bf16 = {AVX512_KERNELS,
                                           .weight_product_bf16 = of_avx512_weight_product_bf16};
#endif
