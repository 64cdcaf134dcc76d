/* SPDX-License-Identifier: Apache-2.0 */
/* Matches what is constant and makes it part of the op before:
 *     actnorm mix           -> map, its log-determinant a constant
 *     convolution actnorm   -> convolution with bias
 *     convolution scale     -> convolution
 *     convolution relu      -> convolution +relu */
#include "graph/plan.h"

void of_ops_absorb(const of_plan *plan, of_op_list *list,
                   bool (*absorb)(const of_plan *plan, of_op *op, const of_op *next)) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        of_op *before = kept > 0 ? &list->ops[kept - 1] : NULL;
        if (before == NULL || before->scale != list->ops[i].scale ||
            !absorb(plan, before, &list->ops[i]))
            list->ops[kept++] = list->ops[i];
    }
    list->count = kept;
}

/* Makes `next` part of `op`, if they fold. */
static bool fold(const of_plan *plan, of_op *op, const of_op *next) {
    bool convolution = op->kind == OF_OP_CONVOLUTION;
    (void)plan;
    if (op->kind == OF_OP_ACTNORM && next->kind == OF_OP_MIX)
        op->kind = OF_OP_MAP;
    else if (convolution && next->kind == OF_OP_SCALE)
        op->log_factor = next->log_factor;
    else if (convolution && next->kind == OF_OP_RELU)
        op->shape.relu = true;
    else if (!convolution || next->kind != OF_OP_ACTNORM)
        return false;
    op->name = next->name;
    for (uint32_t i = 0; i < next->parameters.count; i++)
        op->parameters.numbers[op->parameters.count++] = next->parameters.numbers[i];
    return true;
}

void of_pass_fold(const of_plan *plan, of_op_list *list) {
    of_ops_absorb(plan, list, fold);
}
