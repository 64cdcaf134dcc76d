/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds of ops that run; passes leave none of the others. */
#include "graph/ops.h"

const of_op_type *of_op_type_of(of_op_kind kind) {
    static const of_op_type *const types[OF_OP_KINDS] = {[OF_OP_ENTER] = &of_enter_type,
                                                         [OF_OP_MAP] = &of_map_type,
                                                         [OF_OP_CONVOLUTION] = &of_convolution_type,
                                                         [OF_OP_TAIL] = &of_tail_type,
                                                         [OF_OP_LATENTS] = &of_latents_type};
    return types[kind];
}
