/* SPDX-License-Identifier: Apache-2.0 */
/* Names and values of the scores. */
#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static of_architecture three_scales(void) {
    of_architecture architecture = of_architecture_default();
    architecture.scales = 3;
    return architecture;
}

static void test_names_read_back(void **state) {
    (void)state;
    static const char *const names[] = {"nll",     "last",  "scale:0",   "scale:1",
                                        "scale:2", "ratio", "ratio-last"};
    of_architecture architecture = three_scales();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        of_score score;
        char name[32];
        assert_int_equal(of_score_parse(names[i], &architecture, true, &score, NULL), OF_OK);
        of_score_name(score, name, sizeof name);
        assert_string_equal(name, names[i]);
        assert_int_equal(of_score_needs_general(score), strncmp(name, "ratio", 5) == 0);
    }
}

static void assert_refused(const char *name, bool has_general, const char *reason) {
    of_architecture architecture = three_scales();
    of_score score;
    of_error error;
    assert_int_equal(of_score_parse(name, &architecture, has_general, &score, &error),
                     OF_ERROR_ARGUMENT);
    if (strstr(error.message, reason) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, reason);
}

static void test_wrong_names(void **state) {
    (void)state;
    assert_refused("", true, "unknown score");
    assert_refused("nll ", true, "unknown score");
    assert_refused("scale", true, "unknown score");
    assert_refused("scale:", true, "number must follow");
    assert_refused("scale:-1", true, "number must follow");
    assert_refused("scale:1x", true, "number must follow");
    assert_refused("scale:3", true, "3 scales");
    assert_refused("scale:99999999999999999999", true, "3 scales");
    assert_refused("ratio", false, "general model");
    assert_refused("ratio-last", false, "general model");
}

static void test_values(void **state) {
    (void)state;
    of_architecture architecture = three_scales();
    const double own[] = {-10, -20, -40}, general[] = {-1, -2, -4};
    const of_image_likelihood image = {
        .logp = -70, .contributions = own, .general_logp = -7, .general_contributions = general};
    double offset = (double)of_architecture_dimensions(&architecture) * log(256);
    const double expected[] = {70 + offset, 40, 10, 20, 40, 63, 36};
    static const char *const names[] = {"nll",     "last",  "scale:0",   "scale:1",
                                        "scale:2", "ratio", "ratio-last"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        of_score score;
        assert_int_equal(of_score_parse(names[i], &architecture, true, &score, NULL), OF_OK);
        assert_true(fabs(of_score_value(score, &architecture, &image) - expected[i]) < 1e-9);
    }
}

static bool is_finite(of_score_kind kind, uint32_t scale, const of_image_likelihood *image) {
    of_architecture architecture = three_scales();
    double value = of_score_value((of_score){kind, scale}, &architecture, image);
    return isfinite(value) != 0;
}

static void test_not_finite_without_what_it_needs(void **state) {
    (void)state;
    const double own[] = {-10, -20, (double)NAN};
    const of_image_likelihood image = {.logp = (double)NAN, .contributions = own};
    assert_false(is_finite(OF_SCORE_NLL, 0, &image));
    assert_false(is_finite(OF_SCORE_LAST, 0, &image));
    assert_false(is_finite(OF_SCORE_RATIO, 0, &image));
    assert_false(is_finite(OF_SCORE_RATIO_LAST, 0, &image));
    assert_false(is_finite(OF_SCORE_SCALE, 3, &image));
    assert_true(is_finite(OF_SCORE_SCALE, 0, &image));
}

/* The last scale of a general model with another number of scales is not its counterpart. */
static void test_ratio_last_needs_as_many_scales(void **state) {
    (void)state;
    const double own[] = {-10, -20, -40}, general[] = {-1, -2, -4};
    of_image_likelihood image = {.contributions = own, .general_contributions = general};
    for (uint32_t scales = 0; scales < 5; scales++) {
        image.general_scales = scales;
        assert_int_equal(is_finite(OF_SCORE_RATIO_LAST, 0, &image), scales == 0 || scales == 3);
        assert_true(is_finite(OF_SCORE_RATIO, 0, &image));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_read_back),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_not_finite_without_what_it_needs),
        cmocka_unit_test(test_ratio_last_needs_as_many_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
