/* SPDX-License-Identifier: Apache-2.0 */
/* A source run through two plans in batches gives what the plans give on their own, in order. */
#include "core/error.h"
#include "score/stream.h"

#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"

enum { IMAGES = 23, SCALES = 2, GENERAL_SCALES = 3 };

static compiled make_plan(uint32_t size, uint32_t scales, uint64_t seed) {
    of_architecture architecture = of_architecture_default();
    of_plan_options options = of_plan_options_default();
    of_model *model;
    architecture.height = architecture.width = size;
    architecture.scales = scales;
    architecture.steps = 1;
    architecture.hidden = 8;
    options.threads = 2;
    assert_int_equal(of_model_create(&architecture, seed, &model, NULL), OF_OK);
    compiled plan = compile_with(model, &options);
    of_model_free(model);
    return plan;
}

static of_source *open_source(const of_plan *plan) {
    of_source_options options = of_source_options_default(of_plan_architecture(plan));
    of_source *source;
    options.limit = IMAGES;
    assert_int_equal(of_source_open("synthetic:noise", &options, &source, NULL), OF_OK);
    return source;
}

typedef struct expectation {
    double logp[IMAGES], contributions[IMAGES * SCALES], general_logp[IMAGES];
    uint64_t seen;
    uint64_t fail_at; /* the visitor fails when it has seen this many */
} expectation;

static of_status compare(void *user, const of_scored_batch *batch, of_error *error) {
    expectation *expected = user;
    assert_int_equal(batch->first, expected->seen);
    assert_int_equal(batch->own.scales, SCALES);
    assert_int_equal(batch->general.scales, GENERAL_SCALES);
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t image = expected->seen++;
        of_image_likelihood likelihood = of_scored_image(batch, i);
        char path[24];
        (void)snprintf(path, sizeof path, "%u", (unsigned)image);
        assert_string_equal(batch->items[i].path, path);
        assert_true(likelihood.logp == expected->logp[image]);
        assert_true(likelihood.general_logp == expected->general_logp[image]);
        assert_memory_equal(likelihood.contributions, expected->contributions + image * SCALES,
                            SCALES * sizeof(double));
        assert_true(likelihood.general_contributions ==
                    batch->general.contributions + i * GENERAL_SCALES);
    }
    return expected->seen == expected->fail_at ? of_fail(error, OF_ERROR_IO, "enough") : OF_OK;
}

static void expect_from(const compiled *plan, const compiled *general, expectation *expected) {
    of_source *source = open_source(plan->plan);
    of_source_batch images;
    assert_int_equal(of_source_next(source, IMAGES, &images, NULL), OF_OK);
    assert_int_equal(images.count, IMAGES);
    of_batch batch = {OF_PIXEL_U8, images.pixels, images.count};
    of_likelihoods own = {.logp = expected->logp, .contributions = expected->contributions};
    of_likelihoods other = {.logp = expected->general_logp};
    assert_int_equal(of_session_forward(plan->session, &batch, &own, NULL), OF_OK);
    assert_int_equal(of_session_forward(general->session, &batch, &other, NULL), OF_OK);
    of_source_free(source);
}

static void test_batches_in_order(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 5, IMAGES, 1000};
    compiled plan = make_plan(16, SCALES, 1), general = make_plan(16, GENERAL_SCALES, 2);
    const of_stream_models models = {.own = plan.session, .general = general.session};
    expectation expected = {.seen = 0};
    expect_from(&plan, &general, &expected);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        of_source *source = open_source(plan.plan);
        expected.seen = 0;
        assert_int_equal(of_stream_run(source, &models, sizes[i], 1, compare, &expected, NULL),
                         OF_OK);
        assert_int_equal(expected.seen, IMAGES);
        of_source_free(source);
    }
    free_compiled(&plan);
    free_compiled(&general);
}

static void test_visitor_ends_the_stream(void **state) {
    (void)state;
    compiled plan = make_plan(16, SCALES, 1), general = make_plan(16, GENERAL_SCALES, 2);
    const of_stream_models models = {.own = plan.session, .general = general.session};
    expectation expected = {.fail_at = 10};
    of_error error;
    expect_from(&plan, &general, &expected);
    of_source *source = open_source(plan.plan);
    assert_int_equal(of_stream_run(source, &models, 5, 1, compare, &expected, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "enough");
    assert_int_equal(expected.seen, 10);
    of_source_free(source);
    free_compiled(&plan);
    free_compiled(&general);
}

static void test_sizes_must_fit(void **state) {
    (void)state;
    compiled plan = make_plan(16, SCALES, 1), general = make_plan(32, SCALES, 2);
    of_source *source = open_source(plan.plan);
    const of_stream_models models = {.own = plan.session, .general = general.session};
    expectation expected = {.seen = 0};
    of_error error;
    assert_int_equal(of_stream_run(source, &models, 5, 1, compare, &expected, &error),
                     OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "3x16x16"));
    assert_non_null(strstr(error.message, "3x32x32"));
    assert_int_equal(of_stream_run(source, &(of_stream_models){.own = plan.session}, 0, 1, compare,
                                   &expected, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(expected.seen, 0);
    of_source_free(source);
    free_compiled(&plan);
    free_compiled(&general);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_in_order),
        cmocka_unit_test(test_visitor_ends_the_stream),
        cmocka_unit_test(test_sizes_must_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
