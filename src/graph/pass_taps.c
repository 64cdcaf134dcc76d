/* SPDX-License-Identifier: Apache-2.0 */
/* Matches a tail behind a 3x3 convolution with few outputs, and makes of the convolution, where
 * that is cheaper, a 1x1 product whose taps the tail sums. */
#include "core/memory.h"
#include "graph/plan.h"

/* 3x3 hidden -> N with small N as a 1x1 product hidden -> 9N, whose shifted taps the coupling
 * kernel sums, or directly. The product fills whole vectors and runs at full speed, but works on
 * taps that fall outside the image; those make up a large share of small images, and direct code
 * leaves them out. The costs are multiplications a position, divided by the share of peak speed
 * measured for each form. */
static bool taps_are_cheaper(const of_convolution_shape *shape) {
    double height = shape->height, width = shape->width;
    double inside = (3 * height - 2) * (3 * width - 2) / (9 * height * width);
    double outputs = (double)of_round_up(shape->outputs, OF_CHANNEL_MULTIPLE);
    double direct_speed = outputs < 48 ? 0.82 : 0.95;
    double direct = 9 * inside * outputs / direct_speed;
    double taps = (double)of_round_up(9 * (size_t)shape->outputs, OF_CHANNEL_MULTIPLE) / 0.95;
    return taps < direct;
}

void of_pass_taps(const of_plan *plan, of_op_list *list) {
    for (size_t i = 1; i < list->count; i++) {
        of_op *tail = &list->ops[i], *last = tail - 1;
        if (tail->kind != OF_OP_TAIL || last->shape.kernel != 3)
            continue;
        /* kernels of integers have no use for whole vectors of taps */
        if (plan->precision == OF_PRECISION_INT8 && last->in_step)
            continue;
        /* gradients always go through taps */
        if (!plan->for_training && !taps_are_cheaper(&last->shape))
            continue;
        last->taps = true;
        last->shape.kernel = 1;
        last->shape.outputs *= 9;
        tail->kernel = 3;
    }
}
