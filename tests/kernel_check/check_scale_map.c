/* SPDX-License-Identifier: Apache-2.0 */
/* The scale maps in double, straight from the text in kernels.h, with the errors it allows, and the
 * kernels' maps against that. */
#include "check.h"

#include <math.h>

static const char *const names[SCALE_MAPS] = {"sigmoid", "exp", "inverse sigmoid", "tanh"};

const char *scale_map_name(of_scale_map map) {
    return names[map];
}

static double limited(double x) {
    return x < -87.0 ? -87.0 : x > 87.0 ? 87.0 : x;
}

/* The logarithm of sigmoid(t). */
static double log_sigmoid(double t) {
    return (t < 0.0 ? t : 0.0) - log1p(exp(-fabs(t)));
}

/* raw + 2 is rounded to float, as every kernel does. */
exact_scale exact_scale_of(of_scale_map map, float raw, float gain) {
    double t = (double)(raw + 2.0f), sign = map == OF_SCALE_MAP_SIGMOID ? 1.0 : -1.0;
    exact_scale exact = {.tanh = tanh((double)raw)};
    switch (map) {
    case OF_SCALE_MAP_SIGMOID:
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        exact.l = sign * log_sigmoid(t);
        exact.s = exp(sign * log_sigmoid(limited(t)));
        exact.l_error = 5e-7 + 2e-7 * fabs(exact.l);
        break;
    case OF_SCALE_MAP_EXP:
        exact.l = (double)raw;
        exact.s = exp(limited(exact.l));
        break;
    case OF_SCALE_MAP_TANH:
        exact.l = (double)gain * exact.tanh;
        exact.s = exp(limited(exact.l));
        exact.l_error = 2e-7 * fabs((double)gain) + 1e-7 * fabs(exact.l);
        break;
    }
    exact.s_error = (6e-7 + 3e-8 * fabs(log(exact.s))) * exact.s;
    if (map == OF_SCALE_MAP_TANH)
        exact.s_error += fmin(exact.l_error, 1.0) * exact.s;
    return exact;
}

double exact_slope(of_scale_map map, double s, double tanh, double gain) {
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return 1.0;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return 1.0 / s - 1.0;
    case OF_SCALE_MAP_TANH:
        return gain * (1.0 - tanh * tanh);
    default:
        return 1.0 - s;
    }
}

/* One value of a map, alone, so that errors cannot cancel: l, s, tanh(raw). */
static void scale_case(checker *check, of_scale_map map, float raw, float gain, float *scratch) {
    float coefficients[2] = {0.0f, raw}, bias[2] = {0.0f, 0.0f};
    float pass = 0.0f, rest = 1.0f, s = NAN, tanh = NAN;
    of_coupling_row row = {
        .taps = {.taps = coefficients,
                 .stride = 2,
                 .bias = bias,
                 .outputs = 2,
                 .kernel = 1,
                 .height = 1,
                 .width = 1},
        .half = 1,
        .affine = true,
        .scale_map = map,
        .gain = &gain,
        .pass = &pass,
        .rest = &rest,
        .scratch = scratch,
        .kept_scale = &s,
        .kept_tanh = &tanh,
    };
    exact_scale exact = exact_scale_of(map, raw, gain);
    begin_case(check, "%s, raw %.9g, gain %.9g", scale_map_name(map), (double)raw, (double)gain);
    expect_near(check, "l", 0, check->kernels->coupling_row(&row), exact.l, exact.l_error);
    expect_near(check, "s", 0, (double)s, exact.s, exact.s_error);
    expect_near(check, "rest", 0, (double)rest, (double)s, 0.0);
    if (map == OF_SCALE_MAP_TANH)
        expect_near(check, "tanh", 0, (double)tanh, exact.tanh, 2e-7);
}

void check_log_scale(checker *check) {
    float *scratch = guarded_floats(check, scratch_floats(2));
    for (int m = 0; m < SCALE_MAPS; m++)
        for (int i = -50000; i <= 50000; i++) {
            float raw = (float)i * 2e-3f + 2e-3f * of_random_uniform(&check->random);
            if (m == OF_SCALE_MAP_TANH && i % 2)
                raw *= 0.05f;
            scale_case(check, (of_scale_map)m, raw, normal(check, i % 100 ? 2.0 : 100.0), scratch);
        }
    guarded_release(check);
}
