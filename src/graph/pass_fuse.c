/* SPDX-License-Identifier: Apache-2.0 */
/* Matches what one kernel does while a pixel is in registers:
 *     [input] squeeze [map]               -> enter
 *     coupling [map]                      -> tail
 *     [split] prior [classes] gaussian    -> latents
 * Maps of dense blocks are too large for that: each is a product of its own. */
#include "graph/plan.h"

static void become(of_op *op, of_op_kind kind, const char *name) {
    op->kind = kind;
    op->name = name;
}

/* Makes `next` part of `op`, if they fuse. */
static bool fuse(const of_plan *plan, of_op *op, const of_op *next) {
    bool takes_map = op->kind == OF_OP_ENTER || op->kind == OF_OP_TAIL;
    bool density = next->kind == OF_OP_CLASSES || next->kind == OF_OP_GAUSSIAN;
    if (takes_map && next->kind == OF_OP_MAP && plan->architecture.block != OF_BLOCK_DENSE) {
        op->map = next->map;
    } else if (op->kind == OF_OP_INPUT && next->kind == OF_OP_ENTER) {
        become(op, OF_OP_ENTER, next->name);
    } else if (op->kind == OF_OP_SPLIT && next->kind == OF_OP_LATENTS) {
        become(op, OF_OP_LATENTS, next->name);
        op->parameters = next->parameters;
    } else {
        return op->kind == OF_OP_LATENTS && density;
    }
    return true;
}

/* What an op becomes without any neighbour. */
static void fuse_alone(of_op *op) {
    if (op->kind == OF_OP_SQUEEZE)
        op->kind = OF_OP_ENTER;
    else if (op->kind == OF_OP_COUPLING)
        op->kind = OF_OP_TAIL;
    else if (op->kind == OF_OP_PRIOR)
        op->kind = OF_OP_LATENTS;
    else if (op->kind == OF_OP_MAP)
        op->map = (of_step_map){
            .channels = op->shape.outputs, .step = op->step, .parameters = op->parameters};
}

void of_pass_fuse(const of_plan *plan, of_op_list *list) {
    for (size_t i = 0; i < list->count; i++)
        fuse_alone(&list->ops[i]);
    of_ops_absorb(plan, list, fuse);
}
