/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"
#include "core/team.h"
#include "kernels.h"

#include <omp.h>

enum { TRIES = 5, MOST_THREADS = 4096 };

/* Seconds that `threads` threads take for `rounds` rounds each. */
static double burst(const of_kernels *kernels, unsigned threads, size_t rounds) {
    double start = omp_get_wtime();
#pragma omp parallel num_threads(threads)
    {
        float result;
        kernels->multiply_add_burst(rounds, &result);
    }
    return omp_get_wtime() - start;
}

of_status of_measure_peak(unsigned threads, of_isa isa, double *flops_per_second, of_error *error) {
    if (flops_per_second == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_measure_peak: no place for the result");
    if (threads > MOST_THREADS)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "threads", "threads: %u is more than %d",
                               threads, (int)MOST_THREADS);
    of_status status = of_isa_resolve(isa, &isa, error);
    if (status != OF_OK)
        return status;
    const of_kernels *kernels = of_kernels_for(isa);
    if (threads == 0)
        threads = of_cpu_count();
    status = of_team_check(threads, error);
    if (status != OF_OK)
        return status;
    size_t rounds = 1 << 12;
    while (burst(kernels, threads, rounds) < 0.03)
        rounds *= 2;
    double best = 0;
    for (int i = 0; i < TRIES; i++) { /* the best one: others disturb, nobody helps */
        double seconds = burst(kernels, threads, rounds);
        double rate = 2.0 * OF_BURST_VALUES * (double)rounds * threads / seconds;
        best = rate > best ? rate : best;
    }
    *flops_per_second = best;
    return OF_OK;
}
