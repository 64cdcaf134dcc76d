/* SPDX-License-Identifier: Apache-2.0 */
/* What outflow bench calls over and over: random images in memory and a plan for them. */
#include "cli/bench/bench_subject.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"

/* Batches of images that latency mode takes in turn, as requests differ. Training takes the first
 * one; its initialisation needs two images. */
enum { POOL = 16 };

of_status of_bench_call(of_bench_subject *s, of_error *error) {
    if (s->wish->mode == OF_BENCH_TRAIN)
        return of_train_loop_step(s->loop, &s->batch, NULL, error);
    of_batch batch = s->batch;
    batch.pixels = (const uint8_t *)s->pixels + s->next * s->batch_bytes;
    s->next = (s->next + 1) % s->pool;
    return of_plan_forward(s->plan, &batch, &(of_likelihoods){.logp = s->logp}, error);
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
    const of_batch start = {OF_PIXEL_F32, s->pixels, s->batch.count * s->pool};
    of_train_loop_options options = of_train_loop_options_default();
    options.threads = s->wish->threads;
    options.isa = s->wish->isa;
    options.lanes = s->wish->lanes;
    options.micro_batch = (unsigned)s->wish->micro_batch;
    options.batch = s->batch.count;
    options.memory_bytes = s->wish->memory;
    options.rate = 1e-6;
    if (s->wish->precision == OF_PRECISION_BF16)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "precision bf16: training runs in f32; bf16 is for scoring");
    of_status status = of_train_loop_create(model, &options, &s->loop, error);
    return status == OF_OK ? of_train_loop_initialise(s->loop, &start, error) : status;
}

of_plan_info of_bench_describe(const of_bench_subject *s) {
    return s->loop != NULL ? of_train_loop_describe(s->loop) : of_plan_describe(s->plan);
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
    return of_plan_compile(model, &options, &s->plan, error);
}

void of_bench_tear_down(of_bench_subject *s) {
    of_train_loop_free(s->loop);
    of_plan_free(s->plan);
    of_free(s->pixels);
    of_free(s->logp);
}
