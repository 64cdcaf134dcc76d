/* SPDX-License-Identifier: Apache-2.0 */
/* What outflow bench calls over and over: random images in memory and a plan for them. */
#include "cli/bench/bench_subject.h"

#include <stdlib.h>

/* Batches of images that latency mode takes in turn, as requests differ. Training takes the first
 * one; its initialisation needs two images. */
enum { POOL = 16 };

of_status of_bench_call(of_bench_subject *s, of_error *error) {
    if (s->wish->mode == OF_BENCH_TRAIN)
        return of_train_loop_step(s->loop, &s->batch, NULL, error);
    of_batch batch = s->batch;
    batch.pixels = (const uint8_t *)s->pixels + s->next * s->batch_bytes;
    s->next = (s->next + 1) % s->pool;
    return of_session_forward(s->session, &batch, &(of_likelihoods){.logp = s->logp}, error);
}

/* ---- Setting up ---------------------------------------------------------------------------- */

/* Bytes without order (Marsaglia 2003, "Xorshift RNGs"): all that matters is that they are not
 * alike. */
static uint8_t next_byte(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint8_t)(*state >> 56);
}

static of_status make_images(const of_architecture *architecture, of_bench_subject *s,
                             of_error *error) {
    bool floats = s->wish->mode == OF_BENCH_TRAIN;
    size_t image = of_architecture_dimensions(architecture);
    uint64_t state = 1;
    s->pool = s->wish->mode == OF_BENCH_LATENCY ? POOL : floats && s->wish->batch == 1 ? 2 : 1;
    size_t images = s->pool * (size_t)s->wish->batch; /* both have small limits */
    s->batch_bytes = (size_t)s->wish->batch * image;
    s->logp = calloc(s->wish->batch, sizeof(double));
    s->pixels = calloc(images, image * (floats ? sizeof(float) : 1));
    s->batch = (of_batch){floats ? OF_PIXEL_F32 : OF_PIXEL_U8, s->pixels, s->wish->batch};
    if (s->logp == NULL || s->pixels == NULL)
        return of_fail_memory(error, "the images of a batch");
    for (size_t i = 0; i < images * image; i++) {
        uint8_t byte = next_byte(&state);
        if (floats)
            ((float *)s->pixels)[i] = (float)byte / 255;
        else
            ((uint8_t *)s->pixels)[i] = byte;
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
    options.precision = s->wish->precision;
    if (s->wish->precision == OF_PRECISION_INT8)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "precision int8: it is for scoring; training runs in f32 or bf16");
    of_status status = of_train_loop_create(model, &options, &s->loop, error);
    return status == OF_OK ? of_train_loop_initialise(s->loop, &start, error) : status;
}

of_plan_info of_bench_describe(const of_bench_subject *s) {
    return s->loop != NULL ? of_train_loop_describe(s->loop) : of_plan_describe(s->plan);
}

static unsigned most_threads(const of_bench_wish *wish) {
    return wish->threads > 0 ? wish->threads : of_cpu_count();
}

/* A model without activation ranges gets those of the images that it will run: the cost does not
 * depend on them. */
static of_status quantize(of_model *model, const of_bench_subject *s, of_error *error) {
    if (of_model_metadata(model, "quantization") != NULL)
        return OF_OK;
    return of_model_quantize(model, &s->batch, "outflow bench", s->wish->threads, error);
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
    if (options.precision == OF_PRECISION_INT8)
        status = quantize(model, s, error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, &s->plan, error);
    return status == OF_OK ? of_session_create(s->plan, 0, &s->session, error) : status;
}

void of_bench_tear_down(of_bench_subject *s) {
    of_train_loop_free(s->loop);
    of_session_free(s->session);
    of_plan_free(s->plan);
    free(s->pixels);
    free(s->logp);
}
