/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of contributions: they sum to what of_session_forward finds, and say where something is. */
#include "core/memory.h"
#include "core/random.h"
#include "model/model.h"
#include "score/correlation.h"
#include "score/heat.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "random_model.h"

enum { IMAGES = 3 };

static of_architecture small(uint32_t channels, uint32_t height, uint32_t width) {
    of_architecture a = of_architecture_default();
    a.channels = channels;
    a.height = height;
    a.width = width;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 16;
    return a;
}

static compiled compile(const of_model *model) {
    of_plan_options options = of_plan_options_default();
    options.threads = 2;
    return compile_with(model, &options);
}

static uint8_t *make_pixels(size_t count) {
    uint8_t *pixels = of_allocate(count, 1);
    of_random random = of_random_stream(3, 0);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)of_random_below(&random, 256);
    return pixels;
}

static double *make_maps(const compiled *model, const of_batch *batch) {
    of_error error;
    size_t size = of_architecture_position_count(of_plan_architecture(model->plan));
    double *maps = of_allocate(batch->count * size, sizeof *maps);
    assert_non_null(maps);
    if (of_session_position_contributions(model->session, batch, maps, &error) != OF_OK)
        fail_msg("%s", error.message);
    return maps;
}

static double sum_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void assert_near(double sum, double expected) {
    if (!(fabs(sum - expected) <= 1e-6 * fabs(expected) + 1e-3))
        fail_msg("the map sums to %.9g instead of %.9g", sum, expected);
}

static size_t scale_size(const of_architecture *a, uint32_t s) {
    uint32_t height, width;
    of_architecture_position_shape(a, s, &height, &width);
    return (size_t)height * width;
}

static void check_sums(const of_architecture *a) {
    double contributions[IMAGES * 6], class_logp[IMAGES * 4] = {0};
    of_model *model = make_model(a);
    compiled plan = compile(model);
    uint8_t *pixels = make_pixels(IMAGES * of_architecture_dimensions(a));
    uint32_t scales = of_architecture_scale_count(a);
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    const of_likelihoods out = {.contributions = contributions,
                                .class_logp = a->classes > 0 ? class_logp : NULL};
    assert_true(a->classes <= 4);
    assert_int_equal(of_session_forward(plan.session, &batch, &out, NULL), OF_OK);
    double *maps = make_maps(&plan, &batch);
    const double *map = maps;
    for (size_t i = 0; i < IMAGES; i++) {
        double all = 0;
        for (uint32_t s = 0; s < scales; s++) {
            double sum = sum_of(map, scale_size(a, s));
            map += scale_size(a, s);
            all += sum;
            if (a->classes == 0)
                assert_near(sum, contributions[i * scales + s]);
        }
        double best = a->classes > 0 ? class_logp[i * a->classes] : all;
        for (uint32_t c = 1; c < a->classes; c++)
            best = fmax(best, class_logp[i * a->classes + c]);
        assert_near(all, best);
    }
    of_free(maps);
    of_free(pixels);
    free_compiled(&plan);
    of_model_free(model);
}

static void maps_sum_to_contributions(void **state) {
    (void)state;
    of_architecture a = small(3, 32, 16);
    check_sums(&a);
    a.scales = 3;
    a.coupling = OF_COUPLING_ADDITIVE;
    a.permutation = OF_PERMUTATION_SHUFFLE;
    check_sums(&a);
    a = small(1, 48, 64);
    check_sums(&a);
    a.classes = 4;
    check_sums(&a);
    a = small(3, 16, 16);
    a.block = OF_BLOCK_DENSE;
    check_sums(&a);
    a.classes = 2;
    check_sums(&a);
    a = small(3, 16, 40);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_sums(&a);
    a.classes = 3;
    check_sums(&a);
    a = small(3, 8, 16);
    a.classes = 0;
    a.family = OF_FAMILY_PATCH_GLOW;
    a.block = OF_BLOCK_DENSE;
    check_sums(&a);
}

/* Couplings so far from 0 that the float of the sigmoid underflows: the log-det stays. */
static void extreme_couplings_sum_too(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    int bias = of_model_find(model, "scales.0.steps.0.net.conv3.bias");
    assert_true(bias >= 0);
    for (size_t i = 0; i < model->parameters[bias].count; i++)
        of_model_values(model, bias)[i] = i % 2 == 1 ? -300.0F : 0;
    compiled plan = compile(model);
    uint8_t *pixels = make_pixels(256);
    double contributions[2];
    const of_batch batch = {OF_PIXEL_U8, pixels, 1};
    assert_int_equal(of_session_forward(plan.session, &batch,
                                        &(of_likelihoods){.contributions = contributions}, NULL),
                     OF_OK);
    double *maps = make_maps(&plan, &batch);
    assert_true(contributions[0] < -1000);
    assert_near(sum_of(maps, 64), contributions[0]);
    of_free(maps);
    of_free(pixels);
    free_compiled(&plan);
    of_model_free(model);
}

/* A change of some pixels changes the map there, and not far from there. */
static void maps_are_where_the_pixels_are(void **state) {
    (void)state;
    of_architecture a = small(1, 48, 48);
    a.scales = 1;
    a.steps = 1;
    of_model *model = make_model(&a);
    compiled plan = compile(model);
    uint8_t pixels[2 * 48 * 48];
    memset(pixels, 100, sizeof pixels);
    for (size_t y = 20; y < 24; y++)
        for (size_t x = 36; x < 40; x++)
            pixels[48 * 48 + y * 48 + x] = 255;
    const of_batch batch = {OF_PIXEL_U8, pixels, 2};
    double *maps = make_maps(&plan, &batch), inside = 0, far = 0;
    for (size_t y = 0; y < 24; y++)
        for (size_t x = 0; x < 24; x++) {
            double change = fabs(maps[576 + y * 24 + x] - maps[y * 24 + x]);
            bool in = y >= 10 && y < 12 && x >= 18 && x < 20;
            bool near = y + 3 >= 10 && y < 15 && x + 3 >= 18 && x < 23;
            inside += in ? change : 0;
            far += near ? 0 : change;
        }
    assert_true(inside > 1);
    assert_true(far == 0);
    of_free(maps);
    free_compiled(&plan);
    of_model_free(model);
}

/* Heat of a score on its pixels sums to its value, also between models of other depths. */
static void heat_sums_to_scores(void **state) {
    (void)state;
    static const of_score scores[] = {{OF_SCORE_NLL, 0},   {OF_SCORE_LAST, 0},
                                      {OF_SCORE_SCALE, 0}, {OF_SCORE_SCALE, 1},
                                      {OF_SCORE_RATIO, 0}, {OF_SCORE_RATIO_LAST, 0}};
    of_architecture a = small(3, 16, 32), deep = a;
    deep.steps = 1;
    deep.input.bin = 1.0 / 200; /* another than the model's: ratios are of probabilities */
    of_model *model = make_model(&a), *general = make_model(&deep);
    compiled plan = compile(model), general_plan = compile(general);
    uint8_t *pixels = make_pixels(of_architecture_dimensions(&a));
    double own[2], other[2], logp[2], heat[16 * 32];
    const of_batch batch = {OF_PIXEL_U8, pixels, 1};
    assert_int_equal(of_session_forward(plan.session, &batch,
                                        &(of_likelihoods){.logp = &logp[0], .contributions = own},
                                        NULL),
                     OF_OK);
    assert_int_equal(of_session_forward(general_plan.session, &batch,
                                        &(of_likelihoods){.logp = &logp[1], .contributions = other},
                                        NULL),
                     OF_OK);
    const of_image_likelihood likelihood = {.logp = logp[0],
                                            .contributions = own,
                                            .general_logp = logp[1],
                                            .general_bin = deep.input.bin,
                                            .general_contributions = other};
    double *maps = make_maps(&plan, &batch), *general_maps = make_maps(&general_plan, &batch);
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        of_heat_of_score(scores[i], (of_position_contributions){&a, maps},
                         (of_position_contributions){&deep, general_maps}, heat);
        assert_near(sum_of(heat, 16 * 32), of_score_value(scores[i], &a, &likelihood));
        assert_int_equal(of_heat_score(scores[i], true).kind, scores[i].kind);
    }
    assert_int_equal(of_heat_score((of_score){OF_SCORE_COMBINED, 0}, true).kind, OF_SCORE_RATIO);
    assert_int_equal(of_heat_score((of_score){OF_SCORE_COMBINED, 0}, false).kind, OF_SCORE_NLL);
    of_free(maps);
    of_free(general_maps);
    of_free(pixels);
    free_compiled(&plan);
    free_compiled(&general_plan);
    of_model_free(model);
    of_model_free(general);
}

static void correlation_of_values(void **state) {
    (void)state;
    const double x[] = {1e6 + 1, 1e6 + 2, NAN, 1e6 + 4}, y[] = {3, 5, 7, 9}, flat[] = {2, 2, 2, 2};
    const double z[] = {1, 0, 5, -INFINITY};
    assert_true(fabs(of_value_correlation(x, y, 4) - 1) < 1e-9);
    assert_true(fabs(of_value_correlation(y, z, 4) - 0.7559289460184544) < 1e-9);
    assert_true(isnan(of_value_correlation(x, flat, 4)));
    assert_true(isnan(of_value_correlation(x, y, 1)));
}

static void misuse_is_an_error(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    compiled plan = compile(model);
    of_error error;
    double map[1];
    assert_int_equal(
        of_session_position_contributions(NULL, &(of_batch){OF_PIXEL_U8, NULL, 0}, map, &error),
        OF_ERROR_ARGUMENT);
    assert_int_equal(of_session_position_contributions(
                         plan.session, &(of_batch){OF_PIXEL_U8, NULL, 1}, map, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_session_position_contributions(
                         plan.session, &(of_batch){OF_PIXEL_U8, NULL, 0}, map, &error),
                     OF_OK);
    free_compiled(&plan);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_sum_to_contributions),
        cmocka_unit_test(extreme_couplings_sum_too),
        cmocka_unit_test(maps_are_where_the_pixels_are),
        cmocka_unit_test(heat_sums_to_scores),
        cmocka_unit_test(correlation_of_values),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
