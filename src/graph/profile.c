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
