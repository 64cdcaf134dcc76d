/* SPDX-License-Identifier: Apache-2.0 */
/* Matches what is constant and makes it part of the op before:
 *     actnorm mix                 -> map, its log-determinant a constant
 *     convolution actnorm         -> convolution with bias
 *     convolution scale           -> convolution
 *     convolution relu            -> convolution +relu
 *     [network input] convolution -> convolution that reads its input rectified */
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

static void fold_mix(of_op *op, const of_op *mix) {
    op->kind = OF_OP_MAP;
    op->name = mix->name;
    for (uint32_t i = 0; i < mix->parameters.count; i++)
        op->parameters.numbers[op->parameters.count++] = mix->parameters.numbers[i];
}

static void fold_actnorm(of_op *op, const of_op *actnorm) {
    op->parameters.numbers[OF_CONVOLUTION_SHIFT] = actnorm->parameters.numbers[0];
    op->parameters.numbers[OF_CONVOLUTION_LOG_SCALE] = actnorm->parameters.numbers[1];
}

static void fold_scale(of_op *op, const of_op *scale) {
    op->log_factor = scale->log_factor;
    op->parameters.numbers[OF_CONVOLUTION_LOG_SCALE] = scale->parameters.numbers[0];
}

static void fold_relu(of_op *op, const of_op *relu) {
    op->shape.relu = true;
    op->shape.leak = relu->shape.leak;
}

static void fold_input(of_op *input, const of_op *convolution) {
    of_op op = *convolution;
    op.rectified = true;
    op.parameters.numbers[OF_CONVOLUTION_INPUT_SCALE] = input->parameters.numbers[0];
    op.parameters.numbers[OF_CONVOLUTION_INPUT_SHIFT] = input->parameters.numbers[1];
    *input = op;
}

static const struct {
    of_op_kind first, second;
    void (*fold)(of_op *op, const of_op *next);
} folds[] = {{OF_OP_ACTNORM, OF_OP_MIX, fold_mix},
             {OF_OP_CONVOLUTION, OF_OP_ACTNORM, fold_actnorm},
             {OF_OP_CONVOLUTION, OF_OP_SCALE, fold_scale},
             {OF_OP_CONVOLUTION, OF_OP_RELU, fold_relu},
             {OF_OP_NETWORK_INPUT, OF_OP_CONVOLUTION, fold_input}};

/* Makes `next` part of `op`, if they fold. */
static bool fold(const of_plan *plan, of_op *op, const of_op *next) {
    (void)plan;
    for (size_t i = 0; i < sizeof folds / sizeof *folds; i++)
        if (op->kind == folds[i].first && next->kind == folds[i].second) {
            folds[i].fold(op, next);
            return true;
        }
    return false;
}

void of_pass_fold(const of_plan *plan, of_op_list *list) {
    of_ops_absorb(plan, list, fold);
}
