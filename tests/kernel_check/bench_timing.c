/* SPDX-License-Identifier: Apache-2.0 */
/* Timing and the table that shows it: the least and the median of several runs in nanoseconds per
 * unit, the least in clock cycles, the ratio to scalar, and for some kernels a rate. */
#define _POSIX_C_SOURCE 199309L
#include "bench.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 15, RUN_NANOSECONDS = 1000000 };

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

/* Nanoseconds of `count` runs. */
static double time_runs(const bench_row *row, const of_kernels *kernels, unsigned count) {
    double start = now();
    for (unsigned i = 0; i < count; i++)
        row->run(kernels, row->work);
    return now() - start;
}

/* Nanoseconds of a clock cycle just now, whatever the frequency: a chain of 64-bit multiplications
 * and additions, whose latency is 3 + 1 cycles on the x86 cores of the last decade. */
static double cycle_nanoseconds(void) {
    enum { STEPS = 20000, CYCLES_PER_STEP = 4 };
    static volatile uint64_t sink;
    uint64_t x = sink;
    double start = now();
    for (int i = 0; i < STEPS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x)); /* or the compiler shortens the chain */
    }
    double elapsed = now() - start;
    sink = x;
    return elapsed / (STEPS * CYCLES_PER_STEP);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct timing {
    double least, median; /* nanoseconds per unit */
    double cycles;        /* the least */
} timing;

static timing time_row(const bench_row *row, const of_kernels *kernels) {
    unsigned count = 1;
    while (time_runs(row, kernels, count) < RUN_NANOSECONDS)
        count *= 2;
    double times[RUNS], cycles[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double cycle = cycle_nanoseconds();
        times[i] = time_runs(row, kernels, count);
        cycles[i] = times[i] / fmin(cycle, cycle_nanoseconds());
    }
    qsort(times, RUNS, sizeof *times, ascending);
    qsort(cycles, RUNS, sizeof *cycles, ascending);
    double units = (double)count * row->units;
    return (timing){times[0] / units, times[RUNS / 2] / units, cycles[0] / units};
}

bool bench_wanted(const bench_filter *filter, const char *name) {
    return fnmatch(filter->pattern, name, 0) == 0;
}

void bench_header(void) {
    printf("%-34s %-7s %10s %10s %10s %10s\n", "kernel", "isa", "least ns", "median ns", "cycles",
           "x scalar");
}

void bench_print(const bench_filter *filter, const bench_row *row) {
    timing scalar = time_row(row, of_kernels_for(OF_ISA_SCALAR));
    for (of_isa isa = OF_ISA_SCALAR; isa <= OF_ISA_AVX512; isa++) {
        const of_kernels *kernels = of_kernels_for(isa);
        if (kernels == NULL || (filter->isa != OF_ISA_AUTO && filter->isa != isa))
            continue;
        timing t = isa == OF_ISA_SCALAR ? scalar : time_row(row, kernels);
        printf("%-34s %-7s %10.3f %10.3f %10.2f %10.2f", row->name, of_isa_name(isa), t.least,
               t.median, t.cycles, scalar.least / t.least);
        if (row->rate > 0.0)
            printf(" %8.1f %s", row->rate / t.least, row->rate_name);
        printf("\n");
    }
}

float *bench_values(of_random *random, size_t count, float limit) {
    float *values = malloc((count + 1) * sizeof *values);
    if (values == NULL) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    for (size_t i = 0; i < count; i++)
        values[i] = limit * (2.0f * of_random_uniform(random) - 1.0f);
    return values;
}

int bench(const char *pattern, of_isa only) {
    bench_filter filter = {pattern, only};
    bench_header();
    bench_forward(&filter);
    bench_backward(&filter);
    return 0;
}
