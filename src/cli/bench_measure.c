/* SPDX-License-Identifier: Apache-2.0 */
/* One configuration of outflow bench: random images in memory, whole calls timed. */
#include "cli/bench.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/progress.h"
#include "core/random.h"
#include "graph/gradient.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Everything that is called over and over. */
typedef struct subject {
    const of_bench_wish *wish;
    of_plan *plan;
    void *pixels;
    of_batch batch; /* of the pixels */
    double *logp;
    /* training */
    of_model *model;
    of_optimizer optimizer;
    uint64_t steps;
} subject;

static double mean_nll_gradient(void *user, size_t image, double logp, const double *class_logp,
                                double *class_gradient) {
    const subject *s = user;
    double gradient = -1.0 / (double)s->batch.count;
    (void)image;
    (void)logp;
    if (class_logp != NULL)
        class_gradient[0] = gradient;
    return gradient;
}

static of_status train_step(subject *s, of_error *error) {
    const of_likelihoods out = {.logp = s->logp};
    of_status status =
        of_plan_gradient(s->plan, s->model, &s->batch, &out, mean_nll_gradient, s, false, error);
    if (status == OF_OK)
        status = of_plan_finish_gradient(s->plan, s->model, error);
    if (status != OF_OK)
        return status;
    const float *gradient = of_plan_gradient_view(s->plan).values;
    double norm = of_optimizer_norm(&s->optimizer, gradient);
    of_optimizer_apply(&s->optimizer, s->model, gradient, of_clip_scale(1, norm), 1e-6, s->steps++);
    return of_plan_refresh(s->plan, s->model, error);
}

static of_status call_once(subject *s, of_error *error) {
    if (s->wish->mode == OF_BENCH_TRAIN)
        return train_step(s, error);
    return of_plan_forward(s->plan, &s->batch, &(of_likelihoods){.logp = s->logp}, error);
}

/* ---- Setting up ---------------------------------------------------------------------------- */

static of_status make_images(const of_architecture *architecture, subject *s, of_error *error) {
    bool floats = s->wish->mode == OF_BENCH_TRAIN;
    size_t count;
    s->logp = of_allocate(s->wish->batch, sizeof(double));
    if (of_multiply(s->wish->batch, of_architecture_dimensions(architecture), &count))
        s->pixels = of_allocate(count, floats ? sizeof(float) : 1);
    s->batch = (of_batch){floats ? OF_PIXEL_F32 : OF_PIXEL_U8, s->pixels, s->wish->batch};
    if (s->logp == NULL || s->pixels == NULL)
        return of_fail_memory(error, "the images of a batch");
    of_random random = of_random_stream(1, 0);
    for (size_t i = 0; i < count; i++) {
        if (floats)
            ((float *)s->pixels)[i] = of_random_uniform(&random);
        else
            ((uint8_t *)s->pixels)[i] = (uint8_t)(of_random_u32(&random) >> 24);
    }
    return OF_OK;
}

/* Training changes weights, so it gets its own; the likelihoods do not matter, only their cost. */
static of_status set_up_training(subject *s, const of_architecture *architecture, of_error *error) {
    const of_training_options options = {.threads = s->wish->threads,
                                         .isa = s->wish->isa,
                                         .lanes = 1,
                                         .micro_batch = (unsigned)s->wish->micro_batch,
                                         .batch = s->wish->batch};
    of_optimizer_options optimizer = of_optimizer_defaults();
    of_isa isa;
    of_status status = of_isa_resolve(s->wish->isa, &isa, error);
    if (status == OF_OK && s->wish->precision == OF_PRECISION_BF16)
        status = of_fail(error, OF_ERROR_UNSUPPORTED,
                         "precision bf16: training runs in f32; bf16 is for scoring");
    if (status == OF_OK)
        status = of_model_create(architecture, 1, &s->model, error);
    if (status == OF_OK)
        status = of_plan_compile_training(s->model, &options, &s->plan, error);
    if (status == OF_OK)
        status = of_plan_initialise(s->plan, s->model, &s->batch, error);
    if (status == OF_OK)
        status = of_optimizer_open(&optimizer, s->model, of_plan_gradient_view(s->plan).places,
                                   of_kernels_for(isa), s->wish->threads, &s->optimizer, error);
    return status;
}

static of_status set_up(const of_model *model, subject *s, of_error *error) {
    const of_architecture *architecture = of_model_architecture(model);
    of_status status = make_images(architecture, s, error);
    if (status != OF_OK)
        return status;
    if (s->wish->mode == OF_BENCH_TRAIN)
        return set_up_training(s, architecture, error);
    of_plan_options options = of_plan_options_default();
    options.threads = s->wish->threads;
    options.isa = s->wish->isa;
    options.precision = s->wish->precision;
    return of_plan_compile(model, &options, &s->plan, error);
}

static void tear_down(subject *s) {
    if (s->optimizer.first != NULL)
        of_optimizer_close(&s->optimizer);
    of_plan_free(s->plan);
    of_model_free(s->model);
    of_free(s->pixels);
    of_free(s->logp);
}

/* ---- Measuring ----------------------------------------------------------------------------- */

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

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Calls for at least wish->seconds; images/s. */
static of_status repeat(subject *s, timings *t, double *rate, of_error *error) {
    double start = of_seconds(), now = start;
    size_t calls = 0;
    do {
        double before = now;
        of_status status = call_once(s, error);
        if (status == OF_OK)
            status = of_interrupt_check(error);
        if (status != OF_OK)
            return status;
        now = of_seconds();
        if (!add_timing(t, now - before))
            return of_fail_memory(error, "timings");
        calls++;
    } while (now - start < s->wish->seconds);
    *rate = (double)s->wish->batch * (double)calls / (now - start);
    return OF_OK;
}

static double percentile(const timings *t, double share) {
    size_t index = (size_t)ceil(share * (double)t->count);
    return t->seconds[index > 0 ? index - 1 : 0];
}

static of_status measure(subject *s, of_bench_row *row, of_error *error) {
    timings t = {0};
    of_status status = call_once(s, error); /* warm-up; latency mode is made here */
    if (status == OF_OK)
        status = call_once(s, error);
    for (size_t i = 0; status == OF_OK && i < row->count; i++)
        status = repeat(s, &t, &row->rates[i], error);
    if (status == OF_OK && t.seconds != NULL) {
        qsort(row->rates, row->count, sizeof *row->rates, ascending);
        qsort(t.seconds, t.count, sizeof *t.seconds, ascending);
        row->calls = t.count;
        row->p50 = percentile(&t, 0.50);
        row->p90 = percentile(&t, 0.90);
        row->p99 = percentile(&t, 0.99);
    }
    free(t.seconds);
    return status;
}

double of_bench_median(const of_bench_row *row) {
    size_t middle = row->count / 2;
    return row->count % 2 == 1 ? row->rates[middle]
                               : 0.5 * (row->rates[middle - 1] + row->rates[middle]);
}

of_status of_bench_measure(const of_model *model, const of_bench_wish *wish, of_bench_row *row,
                           of_error *error) {
    subject s = {.wish = wish};
    *row = (of_bench_row){.mode = wish->mode,
                          .batch = wish->batch,
                          .count = (size_t)wish->repetitions,
                          .rates = calloc(wish->repetitions, sizeof *row->rates)};
    reset_peak_memory();
    double start = of_seconds();
    of_status status = row->rates ? set_up(model, &s, error) : of_fail_memory(error, "timings");
    row->compile_seconds = of_seconds() - start;
    if (status == OF_OK)
        status = measure(&s, row, error);
    if (status == OF_OK) {
        of_plan_info info = of_plan_describe(s.plan);
        row->threads = info.threads;
        row->isa = info.isa;
        row->precision = info.precision;
        row->weight_bytes = info.weight_bytes;
        row->flops_per_image = info.flops_per_image * (wish->mode == OF_BENCH_TRAIN ? 3 : 1);
        row->resident_bytes = peak_memory();
        status = of_measure_peak(info.threads, OF_ISA_AUTO, &row->peak, error);
    }
    tear_down(&s);
    return status;
}
