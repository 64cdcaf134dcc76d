/* SPDX-License-Identifier: Apache-2.0 */
/* One configuration of outflow bench: whole calls timed. */
#include "cli/bench/bench_subject.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The kernel's record of the largest resident size starts anew, where it can. */
static void reset_peak_memory(void) {
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (file != NULL) {
        (void)fputs("5", file);
        (void)fclose(file);
    }
}

static uint64_t peak_memory(void) {
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kilobytes = strtoull(line + 6, NULL, 10);
    if (file != NULL)
        (void)fclose(file);
    struct rusage usage;
    if (kilobytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kilobytes = (unsigned long long)usage.ru_maxrss;
    return kilobytes * 1024;
}

typedef struct timings {
    double *seconds;
    size_t count, capacity;
} timings;

static bool add_timing(timings *t, double seconds) {
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 256;
        double *grown = realloc(t->seconds, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        t->seconds = grown;
        t->capacity = capacity;
    }
    t->seconds[t->count++] = seconds;
    return true;
}

/* A call, and its time added. */
static of_status time_call(of_bench_subject *s, timings *t, double *now, of_error *error) {
    double before = *now;
    of_status status = of_bench_call(s, error);
    if (status == OF_OK)
        status = of_interrupt_check(error);
    if (status != OF_OK)
        return status;
    *now = of_seconds();
    return add_timing(t, *now - before) ? OF_OK : of_fail_memory(error, "timings");
}

/* Calls for at least wish->seconds and the repetition's share of wish->calls; images/s. */
static of_status repeat(of_bench_subject *s, timings *t, double *rate, of_error *error) {
    const of_bench_wish *wish = s->wish;
    uint64_t least = (wish->calls + wish->repetitions - 1) / wish->repetitions, calls = 0;
    double start = of_seconds(), now = start;
    do {
        of_status status = time_call(s, t, &now, error);
        if (status != OF_OK)
            return status;
        calls++;
    } while (now - start < wish->seconds || calls < least);
    *rate = (double)wish->batch * (double)calls / (now - start);
    return OF_OK;
}

/* Two calls and a tenth of a repetition's time. */
static of_status warm_up(of_bench_subject *s, size_t *calls, of_error *error) {
    double start = of_seconds();
    *calls = 0;
    while (*calls < 2 || of_seconds() - start < 0.1 * s->wish->seconds) {
        of_status status = of_bench_call(s, error);
        if (status == OF_OK)
            status = of_interrupt_check(error);
        if (status != OF_OK)
            return status;
        (*calls)++;
    }
    return OF_OK;
}

static of_status measure(of_bench_subject *s, of_bench_row *row, of_error *error) {
    timings t = {0};
    of_status status = warm_up(s, &row->warmup_calls, error);
    for (size_t i = 0; status == OF_OK && i < row->count; i++) {
        if (s->wish->progress != NULL)
            of_progress_update(s->wish->progress, s->wish->progress_from + i, NULL);
        status = repeat(s, &t, &row->rates[i], error);
    }
    if (status == OF_OK && t.count > 0) {
        of_bench_sort(row->rates, row->count);
        row->latency = of_bench_summarise(t.seconds, t.count);
    }
    free(t.seconds);
    return status;
}

/* What the plan tells, and what is measured beside the calls. */
static of_status complete(const of_bench_subject *s, of_bench_row *row, of_error *error) {
    of_plan_info info = of_bench_describe(s);
    row->threads = info.threads;
    row->isa = info.isa;
    row->precision = info.precision;
    row->weight_bytes = info.weight_bytes;
    row->flops_per_image = info.flops_per_image * (s->wish->mode == OF_BENCH_TRAIN ? 3 : 1);
    row->resident_bytes = peak_memory();
    row->bound = of_affinity_threads(info.threads, row->thread_cpus, sizeof row->thread_cpus);
    return s->wish->without_peak ? OF_OK
                                 : of_measure_peak(info.threads, OF_ISA_AUTO, &row->peak, error);
}

of_status of_bench_measure(of_model *model, const of_bench_wish *wish, of_bench_row *row,
                           of_error *error) {
    of_bench_subject s = {0};
    *row = (of_bench_row){.mode = wish->mode,
                          .batch = wish->batch,
                          .count = (size_t)wish->repetitions,
                          .rates = calloc(wish->repetitions, sizeof *row->rates)};
    if (row->rates == NULL)
        return of_fail_memory(error, "timings");
    reset_peak_memory();
    double start = of_seconds();
    of_status status = of_bench_set_up(model, wish, &s, error);
    row->compile_seconds = of_seconds() - start;
    if (status == OF_OK)
        status = measure(&s, row, error);
    if (status == OF_OK)
        status = complete(&s, row, error);
    of_bench_tear_down(&s);
    return status;
}
