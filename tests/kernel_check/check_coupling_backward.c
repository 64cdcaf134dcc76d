/* SPDX-License-Identifier: Apache-2.0 */
/* What the coupling keeps for training, and its gradients from that. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A coupling with kernel 1: the taps are the coefficients, [positions][N]. */
typedef struct coupling_case {
    uint32_t half, outputs, height, width;
    bool affine;
    size_t count; /* positions * half */
    float *pass, *rest, *coefficients, *bias, *scratch;
    float *kept_pass, *kept_rest, *kept_scale;
    of_channel_map map;
} coupling_case;

static float *random_floats(checker *check, size_t count, double deviation) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = normal(check, deviation);
    return values;
}

static void make_case(checker *check, coupling_case *c) {
    *c = (coupling_case){.half = coin(check) ? 6u << between(check, 0, 2) : between(check, 1, 70),
                         .height = between(check, 1, 4),
                         .width = between(check, 1, 20),
                         .affine = between(check, 0, 3) > 0};
    c->outputs = c->affine ? 2 * c->half : c->half;
    size_t positions = (size_t)c->height * c->width;
    c->count = positions * c->half;
    begin_case(check, "half %u, state %u x %u, %s", c->half, c->height, c->width,
               c->affine ? "affine" : "additive");
    c->pass = random_floats(check, c->count, 1.0);
    c->rest = random_floats(check, c->count, 1.0);
    c->coefficients = random_floats(check, positions * c->outputs, 3.0);
    c->bias = random_floats(check, c->outputs, 0.0);
    c->map = random_map(check, 2 * c->half);
    c->scratch = guarded_floats(check, scratch_floats(2 * (size_t)c->map.half_padded));
    c->kept_pass = guarded_floats(check, c->count);
    c->kept_rest = guarded_floats(check, c->count);
    c->kept_scale = c->affine ? guarded_floats(check, c->count) : NULL;
}

static of_coupling_row row_of(const coupling_case *c, uint32_t row, float *pass, float *rest) {
    return (of_coupling_row){
        .taps = {.taps = c->coefficients,
                 .stride = c->outputs,
                 .bias = c->bias,
                 .outputs = c->outputs,
                 .kernel = 1,
                 .height = c->height,
                 .width = c->width,
                 .row = row},
        .half = c->half,
        .affine = c->affine,
        .pass = pass,
        .rest = rest,
        .scratch = c->scratch,
    };
}

static void add_kept(const coupling_case *c, of_coupling_row *row) {
    row->kept_pass = c->kept_pass;
    row->kept_rest = c->kept_rest;
    row->kept_scale = c->kept_scale;
}

static bool same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

/* Element e's coefficients: add, or raw. */
static double coefficient(const coupling_case *c, size_t e, bool raw) {
    size_t position = e / c->half, i = e % c->half + (raw ? c->half : 0);
    return (double)c->coefficients[position * c->outputs + i];
}

static double sigmoid(double t) {
    return 1.0 / (1.0 + exp(-t));
}

/* Keeping changes no result, and what is kept is what kernels.h says, in the row alone. */
void check_coupling_kept(checker *check) {
    coupling_case c;
    for (int i = 0; i < 200; i++) {
        make_case(check, &c);
        uint32_t chosen = between(check, 0, c.height - 1);
        size_t start = (size_t)chosen * c.width * c.half, length = (size_t)c.width * c.half;
        float *pass[3], *rest[3];
        for (int run = 0; run < 3; run++) { /* plain; keeping; keeping and mapped */
            pass[run] = guarded_copy(check, c.pass, c.count);
            rest[run] = guarded_copy(check, c.rest, c.count);
        }
        of_coupling_row row = row_of(&c, chosen, pass[0], rest[0]);
        double log_det = check->kernels->coupling_row(&row);
        for (int run = 1; run < 3; run++) {
            memset(c.kept_pass, 0xff, c.count * sizeof(float));
            memset(c.kept_rest, 0xff, c.count * sizeof(float));
            row = row_of(&c, chosen, pass[run], rest[run]);
            add_kept(&c, &row);
            row.map = run == 2 ? &c.map : NULL;
            double kept_log_det = check->kernels->coupling_row(&row);
            expect_true(check, memcmp(&log_det, &kept_log_det, sizeof log_det) == 0,
                        "keeping changes the log-determinant");
            expect_true(check, same(c.kept_pass + start, c.pass + start, length),
                        "kept_pass is not pass");
            expect_true(check, same(c.kept_rest + start, rest[0] + start, length),
                        "kept_rest is not rest'");
        }
        expect_true(check, same(pass[0], pass[1], c.count) && same(rest[0], rest[1], c.count),
                    "keeping changes the state");
        for (size_t e = 0; e < c.count; e++) {
            bool inside = e >= start && e < start + length;
            expect_true(check, inside || (isnan(c.kept_pass[e]) && isnan(c.kept_rest[e])),
                        "another row was kept");
            if (!c.affine)
                continue;
            double t = inside ? coefficient(&c, e, true) + 2.0 : 0.0, s = sigmoid(t);
            expect_near(check, "kept_scale", e, (double)c.kept_scale[e], inside ? s : (double)NAN,
                        (6.0 + fabs(t)) * (double)FLT_EPSILON * s);
        }
        guarded_release(check);
    }
}

/* The kernel on given arrays, against the equations in double. */
static void run_backward(checker *check, const coupling_case *c, const float *g_start,
                         float log_det_gradient) {
    size_t positions = (size_t)c->height * c->width;
    float *g_rest = guarded_copy(check, g_start, c->count);
    float *g_coefficients = guarded_floats(check, positions * c->outputs);
    check->kernels->coupling_backward(&(of_coupling_backward){
        .rest_after = c->kept_rest,
        .scale = c->kept_scale,
        .log_det_gradient = log_det_gradient,
        .g_rest = g_rest,
        .g_coefficients = g_coefficients,
        .positions = positions,
        .half = c->half,
        .affine = c->affine,
    });
    const double epsilon = (double)FLT_EPSILON, least = (double)FLT_MIN;
    for (size_t e = 0; e < c->count; e++) {
        size_t at = e / c->half * c->outputs + e % c->half;
        double g = (double)g_start[e], s = c->affine ? (double)c->kept_scale[e] : 1.0;
        double tolerance = c->affine ? epsilon * fabs(g * s) + least : 0.0;
        expect_near(check, "g_rest", e, (double)g_rest[e], g * s, tolerance);
        expect_near(check, "g_add", at, (double)g_coefficients[at], g * s, tolerance);
        if (!c->affine)
            continue;
        double product = g * (double)c->kept_rest[e], log_det = (double)log_det_gradient;
        double magnitude = (fabs(product) + fabs(log_det)) * fabs(1.0 - s);
        expect_near(check, "g_raw", at + c->half, (double)g_coefficients[at + c->half],
                    (product + log_det) * (1.0 - s), 3.0 * epsilon * magnitude + least);
    }
}

void check_coupling_backward(checker *check) {
    static const float extremes[] = {0.0f, 1.0f, 0x1p-126f, 1.0f - 0x1p-24f, 1.6e-38f};
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, &c);
        if (i == 0 || i == 1) { /* dense: a position longer than a chunk */
            guarded_release(check);
            c = (coupling_case){.half = 1537,
                                .outputs = 3074,
                                .height = 1,
                                .width = 2,
                                .affine = true,
                                .count = 3074};
            c.kept_rest = guarded_floats(check, c.count);
            c.kept_scale = guarded_floats(check, c.count);
            begin_case(check, "half %u, two positions", c.half);
        }
        for (size_t e = 0; e < c.count; e++) {
            c.kept_rest[e] = normal(check, 2.0);
            if (c.affine)
                c.kept_scale[e] = between(check, 0, 4) > 0 ? of_random_uniform(&check->random)
                                                           : extremes[between(check, 0, 4)];
        }
        run_backward(check, &c, random_floats(check, c.count, 1.0), normal(check, 1.0));
        guarded_release(check);
    }
}

void check_coupling_backward_nan(checker *check) {
    coupling_case c;
    for (int i = 0; i < 100; i++) {
        make_case(check, &c);
        float *g = random_floats(check, c.count, 1.0);
        for (size_t e = 0; e < c.count; e++) {
            c.kept_rest[e] = normal(check, 1.0);
            if (c.affine)
                c.kept_scale[e] = of_random_uniform(&check->random);
        }
        float *poisoned[] = {g, c.kept_rest, c.affine ? c.kept_scale : g};
        size_t index = of_random_below(&check->random, (uint32_t)c.count);
        poisoned[between(check, 0, 2)][index] = coin(check) ? NAN : INFINITY;
        run_backward(check, &c, g, between(check, 0, 4) > 0 ? 0.5f : NAN);
        guarded_release(check);
    }
}

/* One element's share of the loss g * rest' + l * log s, with its inputs in double. */
static double loss(bool affine, double g, double l, double rest, double add, double raw) {
    double t = raw + 2.0, s = affine ? sigmoid(t) : 1.0;
    double log_s = affine ? fmin(t, 0.0) - log1p(exp(-fabs(t))) : 0.0;
    return g * (rest + add) * s + l * log_s;
}

/* Forward kernel, backward kernel, and the slope of the loss by central differences. */
void check_coupling_backward_differences(checker *check) {
    const double h = 1e-5;
    coupling_case c;
    for (int i = 0; i < 60; i++) {
        make_case(check, &c);
        float *pass = guarded_copy(check, c.pass, c.count);
        float *rest = guarded_copy(check, c.rest, c.count);
        for (uint32_t y = 0; y < c.height; y++) {
            of_coupling_row row = row_of(&c, y, pass, rest);
            add_kept(&c, &row);
            (void)check->kernels->coupling_row(&row);
        }
        float *g = random_floats(check, c.count, 1.0), *g_rest = guarded_copy(check, g, c.count);
        size_t positions = (size_t)c.height * c.width;
        float *got = guarded_floats(check, positions * c.outputs), l = normal(check, 1.0);
        check->kernels->coupling_backward(&(of_coupling_backward){.rest_after = c.kept_rest,
                                                                  .scale = c.kept_scale,
                                                                  .log_det_gradient = l,
                                                                  .g_rest = g_rest,
                                                                  .g_coefficients = got,
                                                                  .positions = positions,
                                                                  .half = c.half,
                                                                  .affine = c.affine});
        for (size_t e = 0; e < c.count; e++) {
            double ge = (double)g[e], le = (double)l, x = (double)c.rest[e];
            double a = coefficient(&c, e, false), r = c.affine ? coefficient(&c, e, true) : 0.0;
            double d_rest =
                loss(c.affine, ge, le, x + h, a, r) - loss(c.affine, ge, le, x - h, a, r);
            double d_add =
                loss(c.affine, ge, le, x, a + h, r) - loss(c.affine, ge, le, x, a - h, r);
            double d_raw =
                loss(c.affine, ge, le, x, a, r + h) - loss(c.affine, ge, le, x, a, r - h);
            /* s is kept in float, so 1 - s is known to a few epsilons */
            double tolerance = 3e-6 * (1.0 + fabs(ge) * (1.0 + fabs(x) + fabs(a)) + fabs(le));
            size_t at = e / c.half * c.outputs + e % c.half;
            expect_near(check, "d loss / d rest", e, (double)g_rest[e], d_rest / (2.0 * h),
                        tolerance);
            expect_near(check, "d loss / d add", e, (double)got[at], d_add / (2.0 * h), tolerance);
            if (c.affine)
                expect_near(check, "d loss / d raw", e, (double)got[at + c.half], d_raw / (2.0 * h),
                            tolerance);
        }
        guarded_release(check);
    }
}
