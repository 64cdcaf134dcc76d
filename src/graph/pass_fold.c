/* SPDX-License-Identifier: Apache-2.0 */
/* Matches what is constant and makes it part of the op before:
 *     actnorm mix           -> map, its log-determinant a constant
 *     convolution actnorm   -> convolution with bias
 *     convolution scale     -> convolution
 *     convolution relu      -> convolution +relu */
#include "graph/plan.h"

static void take_parameters(of_op *op, const of_op *from) {
    for (uint32_t i = 0; i < from->parameters.count; i++)
        op->parameters.numbers[op->parameters.count++] = from->parameters.numbers[i];
}

/* Makes `next` part of `op`, if they fold. */
static bool fold(of_op *op, const of_op *next) {
    bool convolution = op->kind == OF_OP_CONVOLUTION;
    if (op->kind == OF_OP_ACTNORM && next->kind == OF_OP_MIX)
        op->kind = OF_OP_MAP;
    else if (convolution && next->kind == OF_OP_SCALE)
        op->log_factor = next->log_factor;
    else if (convolution && next->kind == OF_OP_RELU)
        op->shape.relu = true;
    else if (!convolution || next->kind != OF_OP_ACTNORM)
        return false;
    op->name = next->name;
    take_parameters(op, next);
    return true;
}

void of_pass_fold(const of_plan *plan, of_op_list *list) {
    (void)plan;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && list->ops[kept - 1].scale == list->ops[i].scale &&
            fold(&list->ops[kept - 1], &list->ops[i]))
            continue;
        list->ops[kept++] = list->ops[i];
    }
    list->count = kept;
}
