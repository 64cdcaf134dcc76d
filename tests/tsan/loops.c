/* SPDX-License-Identifier: Apache-2.0 */
/* Does ThreadSanitizer understand OpenMP here? Correct loops (barriers, reductions, dynamic
 * schedules, critical sections) must be silent; with RACE defined, a real race must be found. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 20000, THREADS = 4 };

static void fill(double *values, int round) {
#pragma omp parallel for num_threads(THREADS) schedule(dynamic, 16)
    for (int i = 0; i < COUNT; i++)
        values[i] = i + round;
}

/* Reads what other threads wrote in `fill`. */
static double sum_reversed(const double *values) {
    double sum = 0;
#ifdef RACE
#pragma omp parallel for num_threads(THREADS)
#else
#pragma omp parallel for num_threads(THREADS) reduction(+ : sum)
#endif
    for (int i = 0; i < COUNT; i++)
        sum += values[COUNT - 1 - i];
    return sum;
}

/* Each thread writes its own slot, a barrier, then each reads all of them. */
static int count_threads(int slots[THREADS]) {
    int total = 0;
#pragma omp parallel num_threads(THREADS)
    {
        slots[omp_get_thread_num()] = 1;
#pragma omp barrier
        int seen = 0;
        for (int i = 0; i < omp_get_num_threads(); i++)
            seen += slots[i];
#pragma omp critical
        total += seen;
    }
    return total;
}

int main(void) {
    double *values = malloc(COUNT * sizeof *values);
    if (values == NULL)
        return EXIT_FAILURE;
    int slots[THREADS] = {0};
    double sum = 0;
    for (int round = 0; round < 20; round++) {
        fill(values, round);
        sum += sum_reversed(values);
    }
    printf("sum %.17g, threads %d\n", sum, count_threads(slots));
    free(values);
    return EXIT_SUCCESS;
}
