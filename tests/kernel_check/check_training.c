/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the element-wise kernels, and sums over whole gradients. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const size_t lengths[] = {0,  1,  3,  7,  8,  9,  15, 16,  17,  19,  24,
                                 31, 32, 33, 35, 47, 48, 63, 255, 768, 1537};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static float *random_floats(checker *check, size_t count, double deviation) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = normal(check, deviation);
    return values;
}

static bool same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

static float random_activation(checker *check) {
    static const float special[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, FLT_MIN, -FLT_MIN};
    return between(check, 0, 9) > 0 ? normal(check, 1.0) : special[between(check, 0, 6)];
}

/* The sums are float additions in the order of the positions: bits are compared. */
static void relu_case(checker *check, size_t positions, size_t channels, bool sums_only) {
    size_t count = positions * channels;
    float leak = coin(check) ? 0.0f : of_random_uniform(&check->random);
    begin_case(check, "%zu positions, %zu channels, leak %.3g%s", positions, channels, (double)leak,
               sums_only ? ", sums only" : "");
    float *activation = sums_only ? NULL : guarded_floats(check, count);
    float *gradient = random_floats(check, count, 1.0), *sums = random_floats(check, channels, 1.0);
    for (size_t i = 0; i < count && !sums_only; i++)
        activation[i] = random_activation(check);
    if (count > 0 && coin(check))
        gradient[of_random_below(&check->random, (uint32_t)count)] = NAN;
    float *want = guarded_copy(check, gradient, count);
    float *want_sums = guarded_copy(check, sums, channels);
    for (size_t i = 0; i < count; i++) {
        if (!sums_only && activation[i] <= 0.0f)
            want[i] = leak > 0.0f ? leak * want[i] : 0.0f;
        want_sums[i % channels] += want[i];
    }
    check->kernels->relu_backward(activation, gradient, positions, channels, leak, sums);
    expect_true(check, same(want, gradient, count), "the gradient differs");
    for (size_t c = 0; c < channels; c++) /* NaN has many bit patterns */
        expect_near(check, "bias gradient", c, (double)sums[c], (double)want_sums[c], 0.0);
    guarded_release(check);
}

void check_relu_backward(checker *check) {
    for (size_t i = 1; i < LENGTHS; i++)
        for (int repeat = 0; repeat < 4; repeat++)
            relu_case(check, between(check, 0, 20), lengths[i], repeat == 3);
    for (uint32_t channels = 64; channels <= 512; channels *= 2)
        relu_case(check, 64, channels, false);
}

/* The loss -weight/2 * z^2 of one element in double. */
static double density(double weight, double x, double scale, double shift) {
    double z = scale * x + shift;
    return -0.5 * weight * z * z;
}

/* Against the equations, and against central differences, which are exact for a quadratic. */
static void scale_shift_case(checker *check, size_t n, bool wanted, size_t poisoned) {
    begin_case(check, "n %zu, poisoned %zu%s", n, poisoned, wanted ? "" : ", no g_x");
    float *x = random_floats(check, n, 1.0), *scale = random_floats(check, n, 2.0);
    float *shift = random_floats(check, n, 0.5), weight = normal(check, 1.0);
    float *g_scale = random_floats(check, n, 1.0), *g_shift = random_floats(check, n, 1.0);
    float *g_x = wanted ? guarded_floats(check, n) : NULL;
    if (poisoned < n)
        (coin(check) ? x : coin(check) ? scale : shift)[poisoned] = NAN;
    float *old_scale = guarded_copy(check, g_scale, n),
          *old_shift = guarded_copy(check, g_shift, n);
    check->kernels->scale_shift_backward(x, scale, shift, weight, g_x, g_scale, g_shift, n);
    for (size_t i = 0; i < n; i++) {
        double a = (double)scale[i], b = (double)shift[i], v = (double)x[i], w = (double)weight;
        double d_x = 0.5 * (density(w, v + 1.0, a, b) - density(w, v - 1.0, a, b));
        double d_scale = 0.5 * (density(w, v, a + 1.0, b) - density(w, v, a - 1.0, b));
        double d_shift = 0.5 * (density(w, v, a, b + 1.0) - density(w, v, a, b - 1.0));
        double error = 3.0 * (double)FLT_EPSILON * fabs(w) * (fabs(a * v) + fabs(b)) + 1e-30;
        double sum_scale = (double)old_scale[i] + d_scale;
        double sum_shift = (double)old_shift[i] + d_shift;
        if (wanted)
            expect_near(check, "g_x", i, (double)g_x[i], d_x, 2.0 * error * fabs(a) + 1e-14);
        expect_near(check, "g_scale", i, (double)g_scale[i], sum_scale,
                    2.0 * error * fabs(v) + (double)FLT_EPSILON * fabs(sum_scale) + 1e-14);
        expect_near(check, "g_shift", i, (double)g_shift[i], sum_shift,
                    error + (double)FLT_EPSILON * fabs(sum_shift) + 1e-14);
    }
    guarded_release(check);
}

void check_scale_shift_backward(checker *check) {
    for (size_t i = 0; i < LENGTHS; i++)
        for (int repeat = 0; repeat < 4; repeat++)
            scale_shift_case(check, lengths[i], repeat < 3, lengths[i]);
    for (size_t i = 1; i < LENGTHS; i++)
        for (size_t poisoned = 0; poisoned < lengths[i]; poisoned += 1 + lengths[i] / 8)
            scale_shift_case(check, lengths[i], coin(check), poisoned);
}

void check_accumulate(checker *check) {
    for (size_t i = 0; i < LENGTHS; i++)
        for (int repeat = 0; repeat < 6; repeat++) {
            size_t n = lengths[i];
            begin_case(check, "n %zu", n);
            float *values = random_floats(check, n, 1.0), *target = random_floats(check, n, 1.0);
            if (n > 0 && coin(check))
                values[of_random_below(&check->random, (uint32_t)n)] = coin(check) ? NAN : INFINITY;
            float *old = guarded_copy(check, target, n);
            check->kernels->accumulate(values, target, n);
            for (size_t e = 0; e < n; e++)
                expect_near(check, "target", e, (double)target[e], (double)(old[e] + values[e]),
                            0.0);
            guarded_release(check);
        }
}

void check_square_sum(checker *check) {
    for (size_t i = 0; i < LENGTHS; i++)
        for (int repeat = 0; repeat < 6; repeat++) {
            size_t n = lengths[i];
            begin_case(check, "n %zu, repeat %d", n, repeat);
            float *values = random_floats(check, n, repeat == 1 ? 1e30 : 1.0);
            if (n > 0 && repeat == 2)
                values[of_random_below(&check->random, (uint32_t)n)] = NAN;
            if (n > 0 && repeat == 3)
                values[of_random_below(&check->random, (uint32_t)n)] = -INFINITY;
            double want = 0.0, got = check->kernels->square_sum(values, n);
            for (size_t e = 0; e < n; e++)
                want += (double)values[e] * (double)values[e];
            expect_near(check, "sum", 0, got, want, 1e-13 * want);
            float *elsewhere = guarded_copy(check, values, n);
            double again = check->kernels->square_sum(elsewhere, n);
            expect_true(check, memcmp(&got, &again, sizeof got) == 0 || isnan(got),
                        "the sum depends on the address");
            guarded_release(check);
        }
}
