/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_check --bench: bench_forward.c and bench_backward.c list the shapes of real models,
 * bench_timing.c measures them. */
#ifndef KERNEL_CHECK_BENCH_H
#define KERNEL_CHECK_BENCH_H

#include "check.h"

/* What the command line chose. */
typedef struct bench_filter {
    const char *pattern;
    of_isa isa; /* or AUTO */
} bench_filter;

/* A piece of work: `run` handles `units` positions or values. */
typedef struct bench_row {
    const char *name;
    void (*run)(const of_kernels *kernels, const void *work);
    const void *work;
    double units;
    double rate; /* of one unit, in what rate_name is in a second / 1e9; 0: do not show */
    const char *rate_name;
} bench_row;

bool bench_wanted(const bench_filter *filter, const char *name);
void bench_header(void);
/* Times the row on the chosen instruction sets and prints a line for each. */
void bench_print(const bench_filter *filter, const bench_row *row);

/* Uniform in [-limit, limit]; the program ends if there is no memory. */
float *bench_values(of_random *random, size_t count, float limit);

void bench_forward(const bench_filter *filter);
void bench_backward(const bench_filter *filter);

#endif
