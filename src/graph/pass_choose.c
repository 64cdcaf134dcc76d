/* SPDX-License-Identifier: Apache-2.0 */
/* Matches convolutions: pads hidden units and outputs to whole vectors, and chooses what they
 * multiply. Networks in bfloat16 keep their hidden activations in it; the last layer makes floats.
 */
#include "core/memory.h"
#include "graph/plan.h"

static uint32_t padded(uint32_t channels) {
    return (uint32_t)of_round_up(channels, OF_CHANNEL_MULTIPLE);
}

/* Each layer has its own; the state is read in pairs of numbers. */
static void choose_integers(const of_plan *plan, of_op *op) {
    uint32_t layer = (uint32_t)op->writes;
    op->shape.source = of_integer_precision(plan, op, layer);
    op->shape.target = of_integer_precision(plan, op, layer + 1);
    op->shape.inputs = (uint32_t)of_round_up(op->shape.inputs, 2);
}

/* Chunks of a scale were chosen for its precision; networks may have lost theirs since. */
static void choose_convolution(const of_plan *plan, of_op *op) {
    of_convolution_shape *shape = &op->shape;
    bool last = op->writes == OF_BUFFER_TAPS;
    if (!of_reads_state(op))
        shape->inputs = padded(shape->inputs);
    shape->inputs += of_has_ones(op);
    shape->outputs = padded(shape->outputs);
    shape->bias = !last; /* the coupling kernel adds it */
    /* split priors are small, and what they read has no copy in bfloat16 */
    shape->source =
        last && of_reads_state(op) ? OF_PRECISION_F32 : plan->scales[op->scale].precision;
    if (plan->for_training && shape->source == OF_PRECISION_BF16)
        shape->inputs = (uint32_t)of_round_up(shape->inputs, 2); /* see of_paired_taps */
    shape->target = last ? OF_PRECISION_F32 : shape->source;
    if (plan->scales[op->scale].precision == OF_PRECISION_INT8 && op->in_step)
        choose_integers(plan, op);
}

void of_pass_choose(const of_plan *plan, of_op_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        of_op *op = &list->ops[i];
        if (op->kind == OF_OP_CONVOLUTION)
            choose_convolution(plan, op);
        else if (op->kind == OF_OP_MAP)
            op->shape.bias = true; /* floats, as the flow's own state */
        else if (op->kind == OF_OP_TAIL)
            op->tap_stride = op[-1].shape.outputs;
    }
}
