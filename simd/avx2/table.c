/* SPDX-License-Identifier: Apache-2.0 */
#include "../scalar/kernels_scalar.h"
#include "kernels_avx2.h"

/* Undoing the squeeze and looking up only move data: the compiler's code serves. */
const of_kernels of_kernels_avx2 = {
    .isa = OF_ISA_AVX2,
    .squeeze_row_u8 = of_avx2_squeeze_row_u8,
    .squeeze_row_f32 = of_avx2_squeeze_row_f32,
    .unsqueeze_row = of_scalar_unsqueeze_row,
    .tap_sum_row = of_avx2_tap_sum_row,
    .coupling_row = of_avx2_coupling_row,
    .scale_shift = of_avx2_scale_shift,
    .round_to_bf16 = of_avx2_round_to_bf16,
    .look_up = of_scalar_look_up,
    .network_input = of_avx2_network_input,
    .network_input_bf16 = of_avx2_network_input_bf16,
    .network_input_s16 = of_scalar_network_input_s16,
    .integer_tile = of_scalar_integer_tile,
    .tap_scatter_row = of_avx2_tap_scatter_row,
    .map_backward = of_avx2_map_backward,
    .coupling_backward = of_avx2_coupling_backward,
    .relu_backward = of_avx2_relu_backward,
    .relu_backward_bf16 = of_scalar_relu_backward_bf16,
    .weight_product_bf16 = of_scalar_weight_product_bf16,
    .network_input_backward = of_avx2_network_input_backward,
    .scale_shift_backward = of_avx2_scale_shift_backward,
    .optimizer_update = of_avx2_optimizer_update,
    .multiply_add_burst = of_avx2_multiply_add_burst,
    .accumulate = of_avx2_accumulate,
    .square_sum = of_avx2_square_sum,
};
