/* SPDX-License-Identifier: Apache-2.0 */
/* Single steps of training over the public header. */
#include <outflow/train.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"

enum { SIDE = 8, VALUES = 3 * SIDE * SIDE, IMAGES = 12, STEPS = 30 };

static of_architecture small(void) {
    of_architecture architecture = of_architecture_default();
    architecture.height = architecture.width = SIDE;
    architecture.scales = 2;
    architecture.steps = 1;
    architecture.hidden = 8;
    return architecture;
}

/* Smooth images with some noise, the same on every machine. */
static of_batch make_batch(float *pixels) {
    uint32_t random = 7;
    for (size_t i = 0; i < (size_t)IMAGES * VALUES; i++) {
        random = random * 1664525u + 1013904223u;
        pixels[i] = 0.3f + 0.05f * (float)(i % 7) + (float)(random >> 24) / 1024.0f;
    }
    return (of_batch){OF_PIXEL_F32, pixels, IMAGES};
}

static of_model *make_model(const of_architecture *architecture) {
    of_model *model = NULL;
    assert_int_equal(of_model_create(architecture, 3, &model, NULL), OF_OK);
    return model;
}

static of_train_loop *make_loop(of_model *model, unsigned threads) {
    of_train_loop_options options = of_train_loop_options_default();
    of_train_loop *loop = NULL;
    of_error error;
    options.threads = threads;
    options.batch = IMAGES;
    options.rate = 2e-3;
    if (of_train_loop_create(model, &options, &loop, &error) != OF_OK)
        fail_msg("%s", error.message);
    return loop;
}

static of_train_step step(of_train_loop *loop, const of_batch *batch) {
    of_train_step result;
    of_error error;
    if (of_train_loop_step(loop, batch, &result, &error) != OF_OK)
        fail_msg("%s", error.message);
    return result;
}

static void likelihood_rises_step_by_step(void **state) {
    (void)state;
    of_architecture architecture = small();
    for (uint32_t classes = 0; classes <= 3; classes += 3) {
        static float pixels[IMAGES * VALUES];
        architecture.classes = classes;
        of_model *model = make_model(&architecture);
        of_train_loop *loop = make_loop(model, 2);
        of_batch batch = make_batch(pixels);
        double first = 0, last = 0;
        assert_int_equal(of_train_loop_initialise(loop, &batch, NULL), OF_OK);
        for (int i = 0; i < STEPS; i++) {
            of_train_step result = step(loop, &batch);
            assert_false(result.skipped);
            assert_true(result.grad_norm > 0 && isfinite(result.grad_norm));
            first = i == 0 ? result.bits_per_dim : first;
            last = result.bits_per_dim;
        }
        assert_true(last < first - 0.1);
        of_train_loop_free(loop);
        of_model_free(model);
    }
}

/* The first step's bits/dim are those that a plan finds. */
static void bits_are_those_of_the_model(void **state) {
    (void)state;
    static float pixels[IMAGES * VALUES];
    of_architecture architecture = small();
    of_model *model = make_model(&architecture);
    of_train_loop *loop = make_loop(model, 1);
    of_batch batch = make_batch(pixels);
    double logp[IMAGES], sum = 0;
    assert_int_equal(of_train_loop_initialise(loop, &batch, NULL), OF_OK);
    const compiled plan = compile_with(model, NULL);
    assert_int_equal(
        of_session_forward(plan.session, &batch, &(of_likelihoods){.logp = logp}, NULL), OF_OK);
    for (size_t i = 0; i < IMAGES; i++)
        sum += logp[i];
    double expected = of_bits_per_dim(&architecture, sum / IMAGES);
    assert_true(fabs(step(loop, &batch).bits_per_dim - expected) < 1e-4);
    free_compiled(&plan);
    of_train_loop_free(loop);
    of_model_free(model);
}

/* Weights after two steps; one of them may be profiled. */
static uint64_t weights_after(unsigned threads, bool profiled) {
    static float pixels[IMAGES * VALUES];
    of_architecture architecture = small();
    of_model *model = make_model(&architecture);
    of_train_loop *loop = make_loop(model, threads);
    of_batch batch = make_batch(pixels);
    assert_int_equal(of_train_loop_initialise(loop, &batch, NULL), OF_OK);
    (void)step(loop, &batch);
    if (profiled) {
        double *seconds = calloc(of_train_loop_layer_count(loop), sizeof *seconds);
        assert_non_null(seconds);
        assert_int_equal(of_train_loop_profile(loop, &batch, seconds, NULL), OF_OK);
        size_t count = of_train_loop_layer_count(loop);
        assert_true(seconds[count - 2] > 0 && seconds[count - 1] > 0);
        free(seconds);
    } else {
        assert_int_equal(of_train_loop_step(loop, &batch, NULL, NULL), OF_OK);
    }
    uint64_t fingerprint = of_model_fingerprint(model);
    of_train_loop_free(loop);
    of_model_free(model);
    return fingerprint;
}

static void threads_and_profiles_change_no_bit(void **state) {
    (void)state;
    uint64_t one = weights_after(1, false);
    assert_true(weights_after(3, false) == one);
    assert_true(weights_after(1, true) == one);
}

static void step_that_is_not_finite_is_skipped(void **state) {
    (void)state;
    static float pixels[IMAGES * VALUES];
    of_architecture architecture = small();
    of_model *model = make_model(&architecture);
    of_train_loop *loop = make_loop(model, 1);
    of_batch batch = make_batch(pixels);
    uint64_t before = of_model_fingerprint(model);
    pixels[5] = (float)NAN;
    assert_true(step(loop, &batch).skipped);
    assert_true(of_model_fingerprint(model) == before);
    (void)make_batch(pixels);
    assert_false(step(loop, &batch).skipped);
    assert_true(of_model_fingerprint(model) != before);
    of_train_loop_free(loop);
    of_model_free(model);
}

static void layers_and_memory_are_told(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_model *model = make_model(&architecture);
    of_train_loop *loop = make_loop(model, 1);
    size_t count = of_train_loop_layer_count(loop), bytes = 0;
    of_layer_info layer;
    of_error error;
    assert_int_equal(of_train_loop_layer(loop, count - 2, &layer, NULL), OF_OK);
    assert_string_equal(layer.name, "optimizer");
    assert_string_equal(layer.operation, "norm, adamax");
    assert_int_equal(of_train_loop_layer(loop, count - 1, &layer, NULL), OF_OK);
    assert_string_equal(layer.name, "refresh");
    assert_int_equal(of_train_loop_layer(loop, 0, &layer, NULL), OF_OK);
    assert_non_null(strstr(layer.name, "scales.0."));
    assert_int_equal(of_train_loop_layer(loop, count, &layer, &error), OF_ERROR_ARGUMENT);
    for (uint32_t s = 0; s < 2; s++)
        bytes += of_train_loop_scale_bytes(loop, s);
    assert_int_equal(of_train_loop_scale_bytes(loop, 2), 0);
    of_train_memory memory = of_train_loop_memory(loop);
    assert_true(bytes > 4 * 1000 && bytes <= memory.gradients);
    assert_true(memory.optimizer >= 2 * 4 * of_model_parameter_count(model));
    assert_true(memory.weights > 0 && memory.activations > 0 && memory.kept_share > 0);
    assert_int_equal(of_train_loop_describe(loop).threads, 1);
    of_train_loop_free(loop);
    of_model_free(model);
}

static void misuse_is_an_error(void **state) {
    (void)state;
    static float pixels[IMAGES * VALUES];
    of_architecture architecture = small();
    of_model *model = make_model(&architecture);
    of_train_loop_options options = of_train_loop_options_default();
    of_train_loop *loop = NULL;
    of_error error;
    double seconds[512];
    assert_int_equal(of_train_loop_create(NULL, NULL, &loop, &error), OF_ERROR_ARGUMENT);
    options.batch = 0;
    assert_int_equal(of_train_loop_create(model, &options, &loop, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "batch");
    assert_null(loop);
    options = of_train_loop_options_default();
    options.rate = -1;
    assert_int_equal(of_train_loop_create(model, &options, &loop, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "rate");
    options.size = 0;
    assert_int_equal(of_train_loop_create(model, &options, &loop, &error), OF_ERROR_ARGUMENT);
    loop = make_loop(model, 2);
    of_batch batch = make_batch(pixels);
    assert_true(of_train_loop_layer_count(loop) <= 512);
    assert_int_equal(of_train_loop_profile(loop, &batch, seconds, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "one thread"));
    batch.type = OF_PIXEL_U8;
    assert_int_equal(of_train_loop_step(loop, &batch, NULL, &error), OF_ERROR_ARGUMENT);
    batch = (of_batch){OF_PIXEL_F32, pixels, 0};
    assert_int_equal(of_train_loop_step(loop, &batch, NULL, &error), OF_ERROR_ARGUMENT);
    of_train_loop_free(loop);
    of_train_loop_free(NULL);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(likelihood_rises_step_by_step),
        cmocka_unit_test(bits_are_those_of_the_model),
        cmocka_unit_test(threads_and_profiles_change_no_bit),
        cmocka_unit_test(step_that_is_not_finite_is_skipped),
        cmocka_unit_test(layers_and_memory_are_told),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
