/* SPDX-License-Identifier: Apache-2.0 */
/* Drift: distances that can be told in advance, and significances of published tables. */
#include "core/random.h"

#include <math.h>
#include <outflow/detect.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const of_score nll = {OF_SCORE_NLL, 0}, combined = {OF_SCORE_COMBINED, 0};

enum { IMAGES = 1024 /* of the calibration: p-values are multiples of 1/1025 */ };

/* A calibration on so many images; which ones does not matter. */
static of_calibration *make_calibration(void) {
    of_architecture architecture = of_architecture_default();
    of_model *model;
    of_calibrator *calibrator;
    of_calibration *calibration;
    of_random random = of_random_stream(7, 0);
    double contribution, square;
    architecture.height = architecture.width = 8;
    architecture.scales = architecture.steps = 1;
    architecture.hidden = 4;
    assert_int_equal(of_model_create(&architecture, 1, &model, NULL), OF_OK);
    const of_calibration_options options = {.size = sizeof(of_calibration_options), .model = model};
    assert_int_equal(of_calibrator_create(&options, &calibrator, NULL), OF_OK);
    for (int i = 0; i < IMAGES; i++) {
        contribution = of_random_normal(&random);
        square = exp(of_random_normal(&random));
        const of_image_likelihood image = {.logp = contribution,
                                           .contributions = &contribution,
                                           .latent_squares = &square,
                                           .png_bytes = 99};
        assert_int_equal(of_calibrator_add(calibrator, &image, NULL), OF_OK);
    }
    assert_int_equal(of_calibrator_finish(calibrator, &calibration, NULL), OF_OK);
    of_calibrator_free(calibrator);
    of_model_free(model);
    return calibration;
}

static void close_to(double value, double expected, double bound) {
    if (!(fabs(value - expected) <= bound))
        fail_msg("%g instead of %g +- %g", value, expected, bound);
}

/* `images` p-values, evenly over (low, high]. */
static of_drift spread(double low, double high, int images) {
    of_drift drift = {.images = 0};
    for (int i = 0; i < images; i++)
        of_drift_add(&drift, low + (high - low) * (i + 1) / images);
    return drift;
}

static void distances(void **state) {
    of_calibration *calibration = *state;
    of_drift even = spread(0, 1, 5000), low = spread(0, 0.5, 5000), high = spread(0.25, 1, 5000);
    of_drift_summary summary = of_drift_summarise(&even, calibration, nll);
    close_to(summary.distance, 0, 0.001);
    close_to(summary.significance, 1, 1e-9);
    assert_false(summary.drifted);
    summary = of_drift_summarise(&low, calibration, nll);
    close_to(summary.distance, 0.5, 0.001);
    assert_true(summary.significance < 1e-100);
    assert_true(summary.drifted);
    assert_int_equal(summary.images, 5000);
    close_to(of_drift_summarise(&high, calibration, nll).distance, 0.25, 0.001);
}

/* Both samples of 1024: n = 512. Tables of the limit distribution: P(l > 1.3581) = 0.05,
 * P(l > 1.6276) = 0.01. */
static void significances(void **state) {
    of_calibration *calibration = *state;
    const double l[] = {1.3581, 1.6276}, expected[] = {0.05, 0.01};
    const double root = sqrt(512), factor = root + 0.12 + 0.11 / root;
    for (int i = 0; i < 2; i++) {
        of_drift drift = spread(l[i] / factor, 1, IMAGES);
        of_drift_summary summary = of_drift_summarise(&drift, calibration, nll);
        close_to(summary.distance, l[i] / factor, 0.001);
        close_to(summary.significance, expected[i], 0.25 * expected[i]);
        /* combined is fitted to half of the images, which then do not count */
        assert_true(of_drift_summarise(&drift, calibration, combined).significance >
                    1.5 * expected[i]);
        assert_false(summary.drifted);
    }
}

/* Many images make a small distance significant, few make a large one chance: neither is drift. */
static void judgements(void **state) {
    of_calibration *calibration = *state;
    of_drift small = spread(0.08, 1, 1000000), few = spread(0, 0.5, 8);
    of_drift_summary summary = of_drift_summarise(&small, calibration, nll);
    assert_true(summary.significance < 0.001);
    assert_false(summary.drifted);
    summary = of_drift_summarise(&few, calibration, nll);
    close_to(summary.distance, 0.5, 0.001);
    assert_false(summary.drifted);
}

static void nothing(void **state) {
    of_drift none = {.images = 0}, some = spread(0, 1, 9);
    of_drift_add(&none, (double)NAN);
    of_drift_add(&none, 0);
    of_drift_add(&none, 1.5);
    of_drift_add(&none, -1);
    assert_int_equal(none.images, 0);
    of_drift_summary summary = of_drift_summarise(&none, *state, nll);
    assert_true(isnan(summary.distance) && isnan(summary.significance) && !summary.drifted);
    assert_true(isnan(of_drift_summarise(&some, NULL, nll).distance));
}

static int open_state(void **state) {
    *state = make_calibration();
    return 0;
}

static int close_state(void **state) {
    of_calibration_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(significances),
        cmocka_unit_test(judgements),
        cmocka_unit_test(nothing),
    };
    return cmocka_run_group_tests(tests, open_state, close_state);
}
