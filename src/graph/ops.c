/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds of ops. */
#include "graph/ops.h"

static const struct {
    const char *name;
    const of_op_type *type; /* NULL: passes leave none of it */
} kinds[OF_OP_KINDS] = {
    [OF_OP_INPUT] = {"input", NULL},
    [OF_OP_SQUEEZE] = {"squeeze", NULL},
    [OF_OP_ACTNORM] = {"actnorm", NULL},
    [OF_OP_MIX] = {"mix", NULL},
    [OF_OP_CONVOLUTION] = {"convolution", &of_convolution_type},
    [OF_OP_RELU] = {"relu", NULL},
    [OF_OP_SCALE] = {"scale", NULL},
    [OF_OP_COUPLING] = {"coupling", NULL},
    [OF_OP_SPLIT] = {"split", NULL},
    [OF_OP_PRIOR] = {"prior", NULL},
    [OF_OP_CLASSES] = {"classes", NULL},
    [OF_OP_GAUSSIAN] = {"gaussian", NULL},
    [OF_OP_MAP] = {"map", &of_map_type},
    [OF_OP_ENTER] = {"enter", &of_enter_type},
    [OF_OP_TAIL] = {"tail", &of_tail_type},
    [OF_OP_LATENTS] = {"latents", &of_latents_type},
};

const of_op_type *of_op_type_of(of_op_kind kind) {
    return kinds[kind].type;
}

const char *of_op_name(of_op_kind kind) {
    return kinds[kind].name;
}
