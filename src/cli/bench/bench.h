/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench: what is measured, and the tables it ends in. */
#ifndef OF_CLI_BENCH_BENCH_H
#define OF_CLI_BENCH_BENCH_H

#include "cli/bench/affinity.h"
#include "cli/terminal/console.h"
#include "cli/terminal/record.h"

#include <outflow/ranks.h>
#include <stdio.h>

typedef enum of_bench_mode { OF_BENCH_SCORE, OF_BENCH_LATENCY, OF_BENCH_TRAIN } of_bench_mode;

const char *of_bench_mode_name(of_bench_mode mode);

/* ---- Statistics ---- */

/* Times of single calls, in seconds. */
typedef struct of_bench_latency {
    size_t calls;
    double least, p50, p90, p95, p99, p999, most, mean;
    double deviation; /* standard deviation */
    double jitter;    /* mean absolute difference between one call and the next */
} of_bench_latency;

/* Of `count` > 0 calls in the order of time; sorts them. */
of_bench_latency of_bench_summarise(double *seconds, size_t count);

/* Calls that a percentile needs so that ten of them lie beyond it: 100 for 0.9, 1000 for 0.99. */
size_t of_bench_calls_for(double share);

void of_bench_sort(double *values, size_t count);
double of_bench_mean(const double *values, size_t count);
double of_bench_deviation(const double *values, size_t count); /* of a sample; 0 for one value */

/* y = constant + slope x with the least squares of relative errors (y > 0 may span powers of ten),
 * and R^2, the share of y's variance that it explains. */
typedef struct of_bench_line {
    double constant, slope, r2;
} of_bench_line;

of_bench_line of_bench_fit(const double *x, const double *y, size_t count);

/* ---- Measuring ---- */

/* One line of the result. */
typedef struct of_bench_row {
    of_bench_mode mode;
    uint64_t batch;
    unsigned threads;
    of_isa isa;
    of_precision precision;
    double flops_per_image; /* of what is run: three times the forward pass in training */
    double peak;            /* floating-point operations a second, same threads; 0: not measured */
    size_t count;           /* repetitions */
    double *rates;          /* [count] images/s, ascending */
    of_bench_latency latency;
    size_t warmup_calls;
    double compile_seconds;
    uint64_t weight_bytes, resident_bytes; /* resident: the peak while this row was measured */
    char thread_cpus[512];                 /* see of_affinity_threads */
    bool bound;
} of_bench_row;

typedef struct of_bench_wish {
    of_bench_mode mode;
    uint64_t batch;
    unsigned threads;
    of_isa isa;
    of_precision precision;
    of_precision gradient_precision; /* of messages, with --scaling */
    uint64_t repetitions;
    uint64_t micro_batch; /* training: 0: chosen */
    unsigned lanes;       /* training: 0: as `train` takes without --lanes */
    uint64_t calls;       /* at least, over all repetitions */
    double seconds;       /* of one repetition, at least */
    size_t memory;        /* training: for kept activations; 0: chosen */
    bool without_peak;
    of_progress *progress; /* counts repetitions from `progress_from` on */
    uint64_t progress_from;
} of_bench_wish;

/* Compiles, warms up and measures; `row->rates` is to be freed, also after a failure. */
of_status of_bench_measure(of_model *model, const of_bench_wish *wish, of_bench_row *row,
                           of_error *error);

double of_bench_median(const of_bench_row *row);

/* ---- What does not change from row to row ---- */

typedef struct of_bench_context {
    const char *model;                   /* path, or "random" */
    const of_architecture *architecture; /* the model's */
    char description[96];                /* the same for people */
    size_t parameters;
    double flops_per_image; /* of a forward pass */
    char processor[256], cpus[256], best_isa[16];
    unsigned cpu_count;
    double quota;         /* CPUs of a cgroup, 0: none */
    of_affinity affinity; /* asked for */
    const char *proc_bind, *places, *wait_policy;
    char compiler[64], test_time[32];
} of_bench_context;

/* `path` is NULL for a random model. Both must live as long as the context. */
of_status of_bench_context_open(const of_model *model, const char *path, of_affinity affinity,
                                of_bench_context *context, of_error *error);

/* The lines above a table in Markdown, and the last fields of a record: `architecture` is what the
 * record was measured with. */
void of_bench_context_print(const of_bench_context *context, FILE *file);
void of_bench_context_record(const of_bench_context *context, const of_architecture *architecture,
                             of_records *records);

/* ---- Results ---- */

typedef enum of_bench_format {
    OF_BENCH_MARKDOWN,
    OF_BENCH_CSV,
    OF_BENCH_JSON,
    OF_BENCH_JSONL
} of_bench_format;

of_record_format of_bench_record_format(of_bench_format format);

of_status of_bench_print(const of_bench_context *context, const of_bench_row *rows, size_t count,
                         of_bench_format format, FILE *file, of_error *error);

/* The layer table, on one thread: time, speed, share of the peak, memory traffic. */
of_status of_bench_layers(of_model *model, const of_bench_wish *wish,
                          const of_bench_context *context, of_bench_format format, FILE *file,
                          of_error *error);

/* Tables of how the cost grows with steps, images and pixels, starting from `architecture`. */
of_status of_bench_cost(const of_architecture *architecture, const of_bench_wish *wish,
                        const of_bench_context *context, of_bench_format format, FILE *file,
                        of_error *error);
enum { OF_BENCH_COST_ROWS = 18 };

/* Steps of 1/2 to 2 batches measured, and what several ranks would do with networks of
 * "LATENCY:GBIT,...", of which the text is valid; `ranks`, if there are several, measure theirs. */
of_status of_bench_scaling(of_model *model, const of_bench_wish *wish, const char *networks,
                           of_ranks *ranks, const of_bench_context *context, of_bench_format format,
                           FILE *file, of_error *error);
bool of_bench_networks_valid(const char *text);
enum { OF_BENCH_SCALING_ROWS = 4 };

/* "1,2,8", "1-4" (by 1), "1-64*2", "1-9+4" -> ascending or as given; at most `capacity`. The error
 * for what is not such a list of numbers from 1 to `most` begins with the option. */
of_status of_bench_numbers(const char *option, const char *text, uint64_t most, uint64_t *numbers,
                           size_t capacity, size_t *count, of_error *error);

#endif
