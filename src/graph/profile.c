/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time goes: a clock around every layer. */
#include "graph/run.h"

#include <omp.h>

double of_profile_start(const of_run *run) {
    return run->layer_seconds != NULL ? omp_get_wtime() : 0;
}

void of_profile_stop(const of_run *run, double start, uint32_t s, uint32_t k, int stage) {
    if (run->layer_seconds == NULL)
        return;
    double seconds = omp_get_wtime() - start;
    size_t number = stage <= OF_STAGE_PRIOR ? of_layer_number(run->plan, s, k, stage)
                                            : of_training_layer_number(run->plan, s, k, stage);
    run->layer_seconds[number] += seconds;
}
