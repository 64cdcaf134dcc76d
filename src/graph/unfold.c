/* SPDX-License-Identifier: Apache-2.0 */
/* The chain rule from folded weights to stored parameters, in double, once a batch. G is the sum
 * of dL/dlogp over all units, which constant log-determinants see. The sums of a part are moved
 * aside and the gradients of its parameters take their place. */
#include "core/memory.h"
#include "graph/training.h"

#include <omp.h>
#include <string.h>

static of_status unfold_part(const of_unfolding *all, const of_op *op, float *sums,
                             double *matrices, of_error *error) {
    const of_gradient_part *part = &op->sums;
    of_unfolding t = *all;
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
    of_error first_error = {0};
    omp_lock_t lock; /* a critical section would leave a symbol in the library */
    omp_init_lock(&lock);
#pragma omp parallel num_threads(training->buffer_count)
    {
        float *sums = training->buffers[omp_get_thread_num()].sums;
        of_error mine = {0};
        double *matrices = of_allocate(5 * n * n, sizeof(double));
        of_status status = matrices ? OF_OK : of_fail_memory(&mine, "gradients of channel mixing");
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < plan->op_count; i++)
            if (status == OF_OK && plan->ops[i].sums.floats > 0)
                status = unfold_part(&all, &plan->ops[i], sums, matrices, &mine);
        of_free(matrices);
        if (status != OF_OK) {
            omp_set_lock(&lock);
            first_error = mine;
            omp_unset_lock(&lock);
        }
    }
    omp_destroy_lock(&lock);
    return first_error.status == OF_OK ? OF_OK : of_error_copy(error, &first_error);
}
