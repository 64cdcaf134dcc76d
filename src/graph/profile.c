/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time goes: a clock around every layer. */
#include "graph/plan.h"

#include <omp.h>
#include <string.h>

double of_profile_start(const of_run *run) {
    return run->layer_seconds != NULL ? omp_get_wtime() : 0;
}

void of_profile_stop(const of_run *run, double start, uint32_t s, uint32_t k, int part) {
    if (run->layer_seconds == NULL)
        return;
    double seconds = omp_get_wtime() - start;
    size_t number = part <= OF_PART_PRIOR ? of_layer_number(run->plan, s, k, part)
                                          : of_training_layer_number(run->plan, s, k, part);
    run->layer_seconds[number] += seconds;
}

of_status of_plan_profile(of_plan *plan, const of_batch *batch, double *layer_seconds,
                          of_error *error) {
    if (plan == NULL || batch == NULL || layer_seconds == NULL || batch->pixels == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_plan_profile: plan, images and an array are "
                       "all needed");
    const of_run run = {.plan = plan, .worker = &plan->workers[0], .layer_seconds = layer_seconds};
    const of_likelihoods nothing = {0};
    of_status status = OF_OK;
    int callers_threads = omp_get_max_threads();
    memset(layer_seconds, 0, of_plan_layer_count(plan) * sizeof *layer_seconds);
    omp_set_num_threads(1);
    for (size_t first = 0; status == OF_OK && first < batch->count; first += plan->group_images) {
        size_t left = batch->count - first;
        const of_group group = {batch, &nothing, first, 1,
                                left < plan->group_images ? (uint32_t)left : plan->group_images};
        status = of_forward_group(&run, &group, error);
    }
    omp_set_num_threads(callers_threads);
    return status;
}
