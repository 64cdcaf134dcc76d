/* SPDX-License-Identifier: Apache-2.0 */
/* What outflow bench calls over and over: random images in memory and a plan for them. */
#include "cli/bench/bench_subject.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"
#include "train/trainer.h"

/* Batches of images that latency mode takes in turn, as requests differ. Training takes the first
 * one; its initialisation needs two images. */
enum { POOL = 16 };

static double mean_nll_gradient(void *user, size_t image, double logp, const double *class_logp,
                                double *class_gradient) {
    const of_bench_subject *s = user;
    double gradient = -1.0 / (double)s->batch.count;
    (void)image;
    (void)logp;
    if (class_logp != NULL)
        class_gradient[0] = gradient;
    return gradient;
}

void of_bench_optimize(of_bench_subject *s) {
    const float *gradient = of_training_gradient_view(s->training).values;
    double norm = of_optimizer_norm(&s->optimizer, gradient);
    of_optimizer_apply(&s->optimizer, s->model, gradient, of_clip_scale(1, norm), 1e-6, s->steps++);
}

of_status of_bench_gradient(of_bench_subject *s, of_error *error) {
    const of_likelihoods out = {.logp = s->logp};
    of_status status = of_training_gradient(s->training, s->model, &s->batch, &out,
                                            mean_nll_gradient, s, false, error);
    return status == OF_OK ? of_training_finish_gradient(s->training, s->model, error) : status;
}

static of_status train_step(of_bench_subject *s, of_error *error) {
    of_status status = of_bench_gradient(s, error);
    if (status != OF_OK)
        return status;
    of_bench_optimize(s);
    return of_training_refresh(s->training, s->model, error);
}

of_status of_bench_call(of_bench_subject *s, of_error *error) {
    if (s->wish->mode == OF_BENCH_TRAIN)
        return train_step(s, error);
    of_batch batch = s->batch;
    batch.pixels = (const uint8_t *)s->pixels + s->next * s->batch_bytes;
    s->next = (s->next + 1) % s->pool;
    return of_session_forward(s->session, &batch, &(of_likelihoods){.logp = s->logp}, error);
}

/* ---- Setting up ---------------------------------------------------------------------------- */

static of_status make_images(const of_architecture *architecture, of_bench_subject *s,
                             of_error *error) {
    bool floats = s->wish->mode == OF_BENCH_TRAIN;
    size_t count = 0;
    s->pool = s->wish->mode == OF_BENCH_LATENCY ? POOL : floats && s->wish->batch == 1 ? 2 : 1;
    s->logp = of_allocate(s->wish->batch, sizeof(double));
    if (of_multiply(s->wish->batch, of_architecture_dimensions(architecture), &s->batch_bytes) &&
        of_multiply(s->pool, s->batch_bytes, &count))
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

/* The likelihoods do not matter, only their cost. */
static of_status set_up_training(of_bench_subject *s, of_model *model, of_error *error) {
    uint64_t micro_batch =
        s->wish->micro_batch ? s->wish->micro_batch : of_train_micro_batch(s->batch.count);
    const of_training_options options = {
        .threads = s->wish->threads,
        .isa = s->wish->isa,
        .lanes = s->wish->lanes ? s->wish->lanes : of_train_lanes(model, s->batch.count),
        .micro_batch = (unsigned)micro_batch,
        .batch = s->batch.count,
        .memory_bytes = s->wish->memory};
    of_optimizer_options optimizer = of_optimizer_defaults();
    const of_batch start = {OF_PIXEL_F32, s->pixels, s->batch.count * s->pool};
    of_isa isa;
    s->model = model;
    of_status status = of_isa_resolve(s->wish->isa, &isa, error);
    if (status == OF_OK && s->wish->precision == OF_PRECISION_BF16)
        status = of_fail(error, OF_ERROR_UNSUPPORTED,
                         "precision bf16: training runs in f32; bf16 is for scoring");
    if (status == OF_OK)
        status = of_training_compile(s->model, &options, &s->training, error);
    if (status == OF_OK)
        status = of_training_initialise(s->training, s->model, &start, error);
    if (status == OF_OK)
        status =
            of_optimizer_open(&optimizer, s->model, of_training_gradient_view(s->training).places,
                              of_kernels_for(isa), s->wish->threads, &s->optimizer, error);
    return status;
}

static unsigned most_threads(const of_bench_wish *wish) {
    return wish->threads > 0 ? wish->threads : of_cpu_count();
}

of_status of_bench_set_up(of_model *model, const of_bench_wish *wish, of_bench_subject *s,
                          of_error *error) {
    const of_architecture *architecture = of_model_architecture(model);
    *s = (of_bench_subject){.wish = wish};
    of_status status = make_images(architecture, s, error);
    if (status != OF_OK)
        return status;
    if (s->wish->mode == OF_BENCH_TRAIN)
        return set_up_training(s, model, error);
    of_plan_options options = of_plan_options_default();
    options.threads = s->wish->threads;
    options.isa = s->wish->isa;
    options.precision = s->wish->precision;
    options.latency = s->wish->batch < most_threads(s->wish);
    status = of_plan_compile(model, &options, &s->plan, error);
    return status == OF_OK ? of_session_create(s->plan, 0, &s->session, error) : status;
}

void of_bench_tear_down(of_bench_subject *s) {
    if (s->optimizer.first != NULL)
        of_optimizer_close(&s->optimizer);
    of_training_free(s->training);
    of_session_free(s->session);
    of_plan_free(s->plan);
    of_free(s->pixels);
    of_free(s->logp);
}

const of_plan *of_bench_plan(const of_bench_subject *s) {
    return of_session_plan(s->training != NULL ? of_training_session(s->training) : s->session);
}
