/* SPDX-License-Identifier: Apache-2.0 */
/* Matches what one kernel does while a pixel is in registers:
 *     [input] squeeze [map]               -> enter
 *     coupling [map]                      -> tail
 *     [split] prior [classes] gaussian    -> latents
 * Maps of dense blocks are too large for that: each is a product of its own. */
#include "graph/plan.h"

/* The map that `op` is. */
static of_step_map map_of(const of_op *op) {
    return (of_step_map){
        .channels = op->shape.outputs, .step = op->step, .parameters = op->parameters};
}

static bool takes_map(const of_op *op) {
    return op->kind == OF_OP_ENTER || op->kind == OF_OP_TAIL;
}

/* Makes `next` part of `op`, if they fuse. */
static bool fuse(const of_plan *plan, of_op *op, const of_op *next) {
    if (op->kind == OF_OP_INPUT && next->kind == OF_OP_SQUEEZE) {
        op->kind = OF_OP_ENTER;
    } else if (takes_map(op) && next->kind == OF_OP_MAP) {
        if (plan->architecture.block == OF_BLOCK_DENSE)
            return false;
        op->map = map_of(next);
    } else if (op->kind == OF_OP_SPLIT && next->kind == OF_OP_PRIOR) {
        op->kind = OF_OP_LATENTS;
        op->parameters = next->parameters;
    } else if (op->kind != OF_OP_LATENTS ||
               (next->kind != OF_OP_CLASSES && next->kind != OF_OP_GAUSSIAN)) {
        return false;
    }
    if (next->kind != OF_OP_MAP)
        op->name = next->name;
    return true;
}

/* What an op becomes without any neighbour. */
static void rename_op(of_op *op) {
    if (op->kind == OF_OP_SQUEEZE)
        op->kind = OF_OP_ENTER;
    else if (op->kind == OF_OP_COUPLING)
        op->kind = OF_OP_TAIL;
    else if (op->kind == OF_OP_PRIOR)
        op->kind = OF_OP_LATENTS;
    else if (op->kind == OF_OP_MAP)
        op->map = map_of(op);
}

void of_pass_fuse(const of_plan *plan, of_op_list *list) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && list->ops[kept - 1].scale == list->ops[i].scale &&
            fuse(plan, &list->ops[kept - 1], &list->ops[i]))
            continue;
        list->ops[kept] = list->ops[i];
        rename_op(&list->ops[kept++]);
    }
    list->count = kept;
}
