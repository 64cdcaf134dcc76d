/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_scalar.h"

const of_kernels of_kernels_scalar = {
    .isa = OF_ISA_SCALAR,
    .squeeze_row_u8 = of_scalar_squeeze_row_u8,
    .squeeze_row_f32 = of_scalar_squeeze_row_f32,
    .unsqueeze_row = of_scalar_unsqueeze_row,
    .tap_sum_row = of_scalar_tap_sum_row,
    .coupling_row = of_scalar_coupling_row,
    .scale_shift = of_scalar_scale_shift,
    .round_to_bf16 = of_scalar_round_to_bf16,
    .look_up = of_scalar_look_up,
    .network_input = of_scalar_network_input,
    .network_input_bf16 = of_scalar_network_input_bf16,
    .network_input_s16 = of_scalar_network_input_s16,
    .integer_tile = of_scalar_integer_tile,
    .tap_scatter_row = of_scalar_tap_scatter_row,
    .map_backward = of_scalar_map_backward,
    .coupling_backward = of_scalar_coupling_backward,
    .relu_backward = of_scalar_relu_backward,
    .network_input_backward = of_scalar_network_input_backward,
    .scale_shift_backward = of_scalar_scale_shift_backward,
    .optimizer_update = of_scalar_optimizer_update,
    .multiply_add_burst = of_scalar_multiply_add_burst,
    .accumulate = of_scalar_accumulate,
    .square_sum = of_scalar_square_sum,
};
