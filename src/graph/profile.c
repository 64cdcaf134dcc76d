/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time goes: a clock around every layer. */
#include "graph/run.h"

#include <omp.h>

double of_profile_start(const of_run *run) {
    return run->layer_seconds != NULL ? omp_get_wtime() : 0;
}

void of_profile_stop(const of_run *run, double start, size_t layer) {
    if (run->layer_seconds != NULL)
        run->layer_seconds[layer] += omp_get_wtime() - start;
}

size_t of_training_layer_number(const of_plan *plan, uint32_t s, uint32_t k, int stage) {
    size_t a_scale = OF_SCALE_STAGES + (size_t)plan->architecture.steps * OF_STEP_STAGES;
    if (stage >= OF_STAGE_SUMS)
        return plan->op_count + plan->scale_count * a_scale + (size_t)(stage - OF_STAGE_SUMS);
    size_t scale = plan->op_count + s * a_scale;
    if (stage < OF_STAGE_BACK_PRIOR && k >= plan->architecture.steps)
        stage = OF_STAGE_BACK_SPLIT; /* a split prior, a closing map */
    if (stage >= OF_STAGE_BACK_PRIOR)
        return scale + (size_t)(stage - OF_STAGE_BACK_PRIOR);
    return scale + OF_SCALE_STAGES + (size_t)k * OF_STEP_STAGES + (size_t)stage;
}
