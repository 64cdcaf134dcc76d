/* SPDX-License-Identifier: Apache-2.0 */
/* The chain rule from folded weights to stored parameters, in double, once a batch. G is the sum
 * of dL/dlogp over all units, which constant log-determinants see. The sums of a part are moved
 * aside and the gradients of its parameters take their place. */
#include "graph/training.h"

#include <omp.h>
#include <string.h>

static of_status unfold_part(const void *user, of_op *op, void *matrices, of_error *error) {
    of_unfolding t = *(const of_unfolding *)user;
    const of_gradient_part *part = &op->sums;
    float *sums = t.training->buffers[omp_get_thread_num()].sums;
    if (part->floats == 0)
        return OF_OK;
    t.sums = sums;
    t.matrices = matrices;
    memcpy(sums, t.lane->block + part->begin, part->floats * sizeof(float));
    memset(t.lane->block + part->begin, 0, part->room * sizeof(float));
    return of_op_type_of(op->kind)->unfold(&t, op, error);
}

static size_t largest_map(const of_plan *plan) {
    size_t n = 0;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        of_raise_to(&n, plan->scales[s].channels);
    return n;
}

of_status of_unfold_gradients(const of_training_plan *training, const of_model *model,
                              of_error *error) {
    const of_plan *plan = training->plan;
    const of_unfolding all = {
        .training = training, .plan = plan, .model = model, .lane = &training->lane[0]};
    size_t n = largest_map(plan);
    return of_ops_each(plan->ops, plan->op_count, training->buffer_count,
                       5 * n * n * sizeof(double), unfold_part, &all, error);
}
