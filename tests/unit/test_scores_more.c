/* SPDX-License-Identifier: Apache-2.0 */
/* Scores that take more than the likelihoods of two models: coded sizes, classes, ensembles; and
 * the squares of latents that come with a forward pass. */
#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"

static double value_of(of_score_kind kind, const of_architecture *architecture,
                       const of_image_likelihood *image) {
    return of_score_value((of_score){kind, 0}, architecture, image);
}

static void test_complexity(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    const double own[] = {-1, -2, -3};
    of_image_likelihood image = {.logp = -6, .contributions = own};
    assert_true(isnan(value_of(OF_SCORE_COMPLEXITY, &a, &image)));
    assert_true(isnan(value_of(OF_SCORE_COMPLEXITY_WEBP, &a, &image)));
    image.png_bytes = 1000;
    image.webp_bytes = 900;
    double bits = 3072 * 8 + 6 / log(2);
    assert_true(fabs(value_of(OF_SCORE_COMPLEXITY, &a, &image) - (bits - 8000)) < 1e-9);
    assert_true(fabs(value_of(OF_SCORE_COMPLEXITY_WEBP, &a, &image) - (bits - 7200)) < 1e-9);
}

static void test_class(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    const double own[] = {-1, -2, -3}, classes[] = {-9, -5, -7};
    double broken[] = {-9, (double)NAN, -7};
    of_image_likelihood image = {.logp = -6, .contributions = own, .class_logp = classes};
    a.classes = 3;
    assert_true(isnan(value_of(OF_SCORE_CLASS, &a, &image)));
    image.general_contributions = own;
    image.general_logp = -20;
    assert_true(value_of(OF_SCORE_CLASS, &a, &image) == -15);
    image.class_logp = broken;
    assert_true(isnan(value_of(OF_SCORE_CLASS, &a, &image)));
}

/* Mean and sample variance of nll 10, 14, 6 (plus a constant): 10 and 16. */
static void test_ensemble(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    const double own[] = {-1, -2, -3}, members[] = {-14, -6};
    of_image_likelihood image = {.logp = -10, .contributions = own};
    assert_true(isnan(value_of(OF_SCORE_ENSEMBLE, &a, &image)));
    image.member_logp = members;
    image.members = 2;
    double expected = 10 + 16 + 3072 * log(256);
    assert_true(fabs(value_of(OF_SCORE_ENSEMBLE, &a, &image) - expected) < 1e-9);
}

static void test_names(void **state) {
    (void)state;
    of_architecture plain = of_architecture_default(), classes = plain;
    of_score score;
    of_error error;
    char name[32];
    classes.classes = 2;
    for (int kind = OF_SCORE_NLL; kind <= OF_SCORE_COMBINED; kind++) {
        of_score_name((of_score){(of_score_kind)kind, 0}, name, sizeof name);
        of_status status = of_score_parse(name, &classes, true, &score, &error);
        if (kind == OF_SCORE_COMPLEXITY_WEBP && !of_has_webp()) {
            assert_int_equal(status, OF_ERROR_UNSUPPORTED);
            continue;
        }
        assert_int_equal(status, OF_OK);
        assert_int_equal(score.kind, kind);
    }
    assert_int_equal(of_score_parse("mixture", &classes, true, &score, &error), OF_OK);
    assert_int_equal(score.kind, OF_SCORE_NLL);
    static const char *const for_classes[] = {"mixture", "class"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(of_score_parse(for_classes[i], &plain, true, &score, &error),
                         OF_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "no classes"));
    }
    assert_int_equal(of_score_needs((of_score){OF_SCORE_COMBINED, 0}),
                     OF_NEEDS_CALIBRATION | OF_NEEDS_PNG);
}

/* Sizes: a flat image is the smallest, noise needs more bytes than it has; the coded file has a
 * header. */
static void test_coders(void **state) {
    (void)state;
    enum { SIDE = 32 };
    static uint8_t flat[SIDE * SIDE * 3], noise[SIDE * SIDE * 3];
    uint32_t random = 1;
    size_t small, large;
    of_error error;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(random >> 24);
        flat[i] = 77;
    }
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        size_t raw = (size_t)SIDE * SIDE * channels;
        assert_int_equal(of_png_bytes(flat, channels, SIDE, SIDE, &small, &error), OF_OK);
        assert_int_equal(of_png_bytes(noise, channels, SIDE, SIDE, &large, &error), OF_OK);
        assert_true(small > 57 && small < 120 && large > raw && large < raw + 200);
        if (!of_has_webp()) {
            assert_int_equal(of_webp_bytes(flat, channels, SIDE, SIDE, &small, &error),
                             OF_ERROR_UNSUPPORTED);
            continue;
        }
        assert_int_equal(of_webp_bytes(flat, channels, SIDE, SIDE, &small, &error), OF_OK);
        assert_int_equal(of_webp_bytes(noise, channels, SIDE, SIDE, &large, &error), OF_OK);
        assert_true(small > 12 && small < 60 && large > raw && large < raw + 200);
    }
    assert_int_equal(of_png_bytes(flat, 2, SIDE, SIDE, &small, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_png_bytes(flat, 3, 0, SIDE, &small, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_webp_bytes(NULL, 3, SIDE, SIDE, &small, &error), OF_ERROR_ARGUMENT);
}

/* Squares from the forward pass are those of its latents, for every family; and they do not change
 * what else it gives. */
static void check_squares(of_architecture architecture) {
    enum { IMAGES = 5, SCALES = 3 };
    static uint8_t pixels[IMAGES * 16 * 16 * 3];
    static float latents[IMAGES * 16 * 16 * 3];
    double squares[IMAGES * SCALES], logp[IMAGES], alone[IMAGES];
    of_model *model;
    of_plan_options options = of_plan_options_default();
    architecture.height = architecture.width = 16;
    architecture.steps = 1;
    architecture.hidden = 4;
    options.threads = 2;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i % 251);
    assert_int_equal(of_model_create(&architecture, 3, &model, NULL), OF_OK);
    const compiled plan = compile_with(model, &options);
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    const of_likelihoods all = {.logp = logp, .latents = latents, .latent_squares = squares};
    assert_int_equal(of_session_forward(plan.session, &batch, &all, NULL), OF_OK);
    assert_int_equal(
        of_session_forward(plan.session, &batch, &(of_likelihoods){.logp = alone}, NULL), OF_OK);
    assert_memory_equal(logp, alone, sizeof logp);
    uint32_t scales = of_architecture_scale_count(&architecture);
    size_t dimensions = of_architecture_dimensions(&architecture);
    for (size_t i = 0; i < IMAGES; i++) {
        double total = 0, counted = 0;
        for (uint32_t s = 0; s < scales; s++)
            total += squares[i * scales + s];
        for (size_t k = 0; k < dimensions; k++)
            counted += (double)latents[i * dimensions + k] * latents[i * dimensions + k];
        assert_true(fabs(total - counted) < 1e-5 * counted);
    }
    free_compiled(&plan);
    of_model_free(model);
}

static void test_squares(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    check_squares(architecture);
    architecture.classes = 2;
    check_squares(architecture);
    architecture.block = OF_BLOCK_DENSE;
    architecture.permutation = OF_PERMUTATION_INVCONV_FIXED;
    check_squares(architecture);
    architecture = of_architecture_default();
    architecture.family = OF_FAMILY_PATCH_GLOW;
    check_squares(architecture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complexity), cmocka_unit_test(test_class),
        cmocka_unit_test(test_ensemble),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_coders),     cmocka_unit_test(test_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
