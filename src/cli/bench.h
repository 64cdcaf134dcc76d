/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench: what is measured, and the table it ends in. */
#ifndef OF_CLI_BENCH_H
#define OF_CLI_BENCH_H

#include "cli/console.h"

#include <outflow/outflow.h>
#include <stdio.h>

typedef enum of_bench_mode { OF_BENCH_SCORE, OF_BENCH_TRAIN } of_bench_mode;

/* One line of the result. */
typedef struct of_bench_row {
    of_bench_mode mode;
    uint64_t batch;
    unsigned threads;
    of_isa isa;
    of_precision precision;
    double flops_per_image; /* of what is run: three times the forward pass in training */
    double peak;            /* floating-point operations a second, same threads */
    size_t count;           /* repetitions */
    double *rates;          /* [count] images/s, ascending */
    size_t calls;
    double p50, p90, p99; /* seconds a call */
    double compile_seconds;
    uint64_t weight_bytes, resident_bytes; /* resident: the peak while this row was measured */
} of_bench_row;

typedef struct of_bench_wish {
    of_bench_mode mode;
    uint64_t batch;
    unsigned threads;
    of_isa isa;
    of_precision precision;
    uint64_t repetitions, micro_batch;
    double seconds; /* of one repetition */
} of_bench_wish;

/* Compiles, warms up and measures; `row->rates` is to be freed. */
of_status of_bench_measure(const of_model *model, const of_bench_wish *wish, of_bench_row *row,
                           of_error *error);

double of_bench_median(const of_bench_row *row);

/* What does not change from row to row. */
typedef struct of_bench_context {
    const char *model; /* path, or a description of the architecture */
    size_t parameters;
} of_bench_context;

typedef enum of_bench_format {
    OF_BENCH_MARKDOWN,
    OF_BENCH_CSV,
    OF_BENCH_JSON,
    OF_BENCH_JSONL
} of_bench_format;

void of_bench_print(const of_bench_context *context, const of_bench_row *rows, size_t count,
                    of_bench_format format, FILE *file);

/* The layer table of a plan: time, speed and share of the peak, on one thread. */
of_status of_bench_layers(const of_model *model, of_isa isa, of_precision precision, uint64_t batch,
                          double seconds, FILE *file, of_error *error);

/* "1,2,8", "1-4" (by 1), "1-64*2", "1-9+4" -> ascending or as given; at most `capacity`. False if
 * the text is not such a list of numbers from 1 to `most`. */
bool of_bench_numbers(const char *text, uint64_t most, uint64_t *numbers, size_t capacity,
                      size_t *count);

#endif
