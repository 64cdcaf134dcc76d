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
};
