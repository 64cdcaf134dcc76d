/* SPDX-License-Identifier: Apache-2.0 */
/* What the coupling keeps for training, and its gradients from that. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LARGEST_HALF = 1537 };

/* A coupling with kernel 1: the taps are the coefficients, [positions][N]. */
typedef struct coupling_case {
    uint32_t half, outputs, height, width;
    bool affine, shift_after;
    of_scale_map scale_map;
    size_t count; /* positions * half */
    float *pass, *rest, *coefficients, *bias, *scratch;
    float *kept_pass, *kept_rest, *kept_scale, *kept_tanh, *kept_scaled;
    float *gain, *gain_gradient; /* [half] */
    of_channel_map map;
} coupling_case;

static float *random_floats(checker *check, size_t count, double deviation) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = normal(check, deviation);
    return values;
}

/* What only some forms of the coupling have. */
static void add_form(checker *check, coupling_case *c) {
    c->kept_scale = c->affine ? guarded_floats(check, c->count) : NULL;
    c->kept_scaled = c->shift_after ? guarded_floats(check, c->count) : NULL;
    if (c->scale_map != OF_SCALE_MAP_TANH)
        return;
    c->gain = random_floats(check, c->half, 1.0);
    c->gain_gradient = random_floats(check, c->half, 1.0);
    c->kept_tanh = guarded_floats(check, c->count);
}

static void describe(checker *check, const coupling_case *c) {
    begin_case(check, "half %u, state %u x %u, %s%s", c->half, c->height, c->width,
               c->affine ? scale_map_name(c->scale_map) : "additive",
               c->shift_after ? ", shift after" : "");
}

static void make_case(checker *check, coupling_case *c) {
    *c = (coupling_case){.half = coin(check) ? 6u << between(check, 0, 2) : between(check, 1, 70),
                         .height = between(check, 1, 4),
                         .width = between(check, 1, 20),
                         .affine = between(check, 0, 3) > 0};
    c->scale_map = c->affine ? (of_scale_map)between(check, 0, SCALE_MAPS - 1) : 0;
    c->shift_after = c->affine && coin(check);
    c->outputs = c->affine ? 2 * c->half : c->half;
    size_t positions = (size_t)c->height * c->width;
    c->count = positions * c->half;
    add_form(check, c);
    describe(check, c);
    c->pass = random_floats(check, c->count, 1.0);
    c->rest = random_floats(check, c->count, 1.0);
    c->coefficients = random_floats(check, positions * c->outputs, 3.0);
    c->bias = random_floats(check, c->outputs, 0.0);
    c->map = random_map(check, 2 * c->half);
    c->scratch = guarded_floats(check, scratch_floats(2 * (size_t)c->map.half_padded));
    c->kept_pass = guarded_floats(check, c->count);
    c->kept_rest = guarded_floats(check, c->count);
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
        .scale_map = c->scale_map,
        .shift_after = c->shift_after,
        .gain = c->gain,
        .pass = pass,
        .rest = rest,
        .scratch = c->scratch,
    };
}

static void add_kept(const coupling_case *c, of_coupling_row *row) {
    row->kept_pass = c->kept_pass;
    row->kept_rest = c->kept_rest;
    row->kept_scale = c->kept_scale;
    row->kept_tanh = c->kept_tanh;
    row->kept_scaled = c->kept_scaled;
}

static bool same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

/* Element e's coefficients: add, or raw. */
static double coefficient(const coupling_case *c, size_t e, bool raw) {
    size_t position = e / c->half, i = e % c->half + (raw ? c->half : 0);
    return (double)c->coefficients[position * c->outputs + i];
}

/* The scale of element e; 1 for additive couplings. */
static exact_scale scale_at(const coupling_case *c, size_t e) {
    if (!c->affine)
        return (exact_scale){.s = 1.0};
    return exact_scale_of(c->scale_map, (float)coefficient(c, e, true),
                          c->gain != NULL ? c->gain[e % c->half] : 0.0f);
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
            exact_scale scale = scale_at(&c, e);
            double none = (double)NAN;
            expect_near(check, "kept_scale", e, (double)c.kept_scale[e], inside ? scale.s : none,
                        scale.s_error);
            if (c.kept_tanh != NULL)
                expect_near(check, "kept_tanh", e, (double)c.kept_tanh[e],
                            inside ? scale.tanh : none, 2e-7);
            if (c.kept_scaled != NULL)
                expect_near(check, "kept_scaled", e, (double)c.kept_scaled[e],
                            inside ? (double)(c.rest[e] * c.kept_scale[e]) : none, 0.0);
        }
        guarded_release(check);
    }
}

static of_coupling_backward task_of(const coupling_case *c, float log_det_gradient, float *g_rest,
                                    float *g_coefficients) {
    return (of_coupling_backward){
        .rest_after = c->shift_after ? NULL : c->kept_rest,
        .scale = c->kept_scale,
        .log_det_gradient = log_det_gradient,
        .g_rest = g_rest,
        .g_coefficients = g_coefficients,
        .positions = (size_t)c->height * c->width,
        .half = c->half,
        .affine = c->affine,
        .scale_map = c->scale_map,
        .shift_after = c->shift_after,
        .gain = c->gain,
        .tanh_kept = c->kept_tanh,
        .scaled = c->kept_scaled,
        .gain_gradient = c->gain_gradient,
    };
}

/* g_raw of element e, and what it adds to the gradient of its gain. */
static void expect_scale_gradient(checker *check, const coupling_case *c, size_t e, double g,
                                  double log_det, double got, double *gain, double *tolerance) {
    const double epsilon = (double)FLT_EPSILON;
    double tanh = c->kept_tanh != NULL ? (double)c->kept_tanh[e] : 0.0;
    double factor = (double)(c->shift_after ? c->kept_scaled : c->kept_rest)[e];
    double channel_gain = c->gain != NULL ? (double)c->gain[e % c->half] : 0.0;
    double slope = exact_slope(c->scale_map, (double)c->kept_scale[e], tanh, channel_gain);
    double g_l = g * factor + log_det, size = fabs(g * factor) + fabs(log_det);
    /* 1/s - 1 cancels where s is near 1, and so does 1 - tanh^2 */
    double slope_error = 2.0 * epsilon * (fabs(slope) + 1.0 + fabs(channel_gain));
    if (c->scale_map == OF_SCALE_MAP_SIGMOID || c->scale_map == OF_SCALE_MAP_EXP)
        slope_error = epsilon * fabs(slope);
    expect_near(check, "g_raw", e, got, g_l * slope,
                2.0 * epsilon * size * fabs(slope) + size * slope_error + (double)FLT_MIN);
    *gain += g_l * tanh;
    *tolerance += 4.0 * epsilon * size * fabs(tanh);
}

/* Float additions one after the other: each rounds what is there by then. */
static void expect_gain_gradient(checker *check, const coupling_case *c, const float *before,
                                 const double *sums, const double *tolerances) {
    double positions = (double)c->height * c->width;
    for (size_t i = 0; i < c->half; i++) {
        double size = fabs((double)before[i]) + tolerances[i] / (4.0 * (double)FLT_EPSILON);
        expect_near(check, "gain gradient", i, (double)c->gain_gradient[i],
                    (double)before[i] + sums[i],
                    tolerances[i] + positions * (double)FLT_EPSILON * size);
    }
}

/* The kernel on given arrays, against the equations in double. */
static void run_backward(checker *check, const coupling_case *c, const float *g_start,
                         float log_det_gradient) {
    static double gain[LARGEST_HALF], tolerances[LARGEST_HALF];
    size_t positions = (size_t)c->height * c->width;
    float *g_rest = guarded_copy(check, g_start, c->count);
    float *g_coefficients = guarded_floats(check, positions * c->outputs);
    float *before = c->gain != NULL ? guarded_copy(check, c->gain_gradient, c->half) : NULL;
    of_coupling_backward task = task_of(c, log_det_gradient, g_rest, g_coefficients);
    check->kernels->coupling_backward(&task);
    memset(gain, 0, sizeof gain);
    memset(tolerances, 0, sizeof tolerances);
    const double epsilon = (double)FLT_EPSILON, least = (double)FLT_MIN;
    for (size_t e = 0; e < c->count; e++) {
        size_t at = e / c->half * c->outputs + e % c->half;
        double g = (double)g_start[e], s = c->affine ? (double)c->kept_scale[e] : 1.0;
        double tolerance = c->affine ? epsilon * fabs(g * s) + least : 0.0;
        expect_near(check, "g_rest", e, (double)g_rest[e], g * s, tolerance);
        expect_near(check, "g_add", at, (double)g_coefficients[at], c->shift_after ? g : g * s,
                    c->shift_after ? 0.0 : tolerance);
        if (c->affine)
            expect_scale_gradient(check, c, e, g, (double)log_det_gradient,
                                  (double)g_coefficients[at + c->half], &gain[e % c->half],
                                  &tolerances[e % c->half]);
    }
    if (before != NULL)
        expect_gain_gradient(check, c, before, gain, tolerances);
}

/* What a forward pass may have kept. */
static void random_kept(checker *check, coupling_case *c) {
    static const float extremes[] = {0.0f, 0x1p-126f, 1.0f, 1.0f - 0x1p-24f, 1.6e-38f};
    for (size_t e = 0; e < c->count; e++) {
        c->kept_rest[e] = normal(check, 2.0);
        if (c->affine)
            c->kept_scale[e] = between(check, 0, 4) > 0
                                   ? 0x1p-24f + of_random_uniform(&check->random)
                                   : extremes[between(check, 0, 4)];
        if (c->scale_map == OF_SCALE_MAP_SIGMOID_INVERSE) /* not below 1 */
            c->kept_scale[e] = fminf(1.0f / c->kept_scale[e], 1e37f);
        if (c->kept_tanh != NULL)
            c->kept_tanh[e] = tanhf(normal(check, 2.0));
        if (c->kept_scaled != NULL)
            c->kept_scaled[e] = normal(check, 2.0);
    }
}

/* Dense: a position longer than a chunk, in each form. */
static void make_dense_case(checker *check, coupling_case *c, int form) {
    *c = (coupling_case){.half = 1537,
                         .outputs = 2 * 1537,
                         .height = 1,
                         .width = 2,
                         .affine = true,
                         .scale_map = (of_scale_map)(form / 2),
                         .shift_after = form % 2 == 1,
                         .count = 2 * 1537};
    add_form(check, c);
    c->kept_rest = guarded_floats(check, c->count);
    describe(check, c);
}

void check_coupling_backward(checker *check) {
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        if (i < 2 * SCALE_MAPS)
            make_dense_case(check, &c, i);
        else
            make_case(check, &c);
        random_kept(check, &c);
        run_backward(check, &c, random_floats(check, c.count, 1.0), normal(check, 1.0));
        guarded_release(check);
    }
}

void check_coupling_backward_nan(checker *check) {
    coupling_case c;
    for (int i = 0; i < 100; i++) {
        make_case(check, &c);
        float *g = random_floats(check, c.count, 1.0);
        random_kept(check, &c);
        float *poisoned[] = {g, c.shift_after ? c.kept_scaled : c.kept_rest,
                             c.affine ? c.kept_scale : g, c.kept_tanh != NULL ? c.kept_tanh : g};
        size_t index = of_random_below(&check->random, (uint32_t)c.count);
        poisoned[between(check, 0, 3)][index] = coin(check) ? NAN : INFINITY;
        run_backward(check, &c, g, between(check, 0, 4) > 0 ? 0.5f : NAN);
        guarded_release(check);
    }
}

/* One element's share of the loss g * rest' + l * log s, with its inputs in double. */
typedef struct element {
    const coupling_case *c;
    double g, l, rest, add, raw, gain;
} element;

static double loss(element x) {
    double log_s = 0.0, t = x.raw + 2.0;
    if (x.c->affine && x.c->scale_map == OF_SCALE_MAP_SIGMOID)
        log_s = -log1p(exp(-t));
    else if (x.c->scale_map == OF_SCALE_MAP_EXP)
        log_s = x.raw;
    else if (x.c->scale_map == OF_SCALE_MAP_SIGMOID_INVERSE)
        log_s = log1p(exp(-t));
    else if (x.c->scale_map == OF_SCALE_MAP_TANH)
        log_s = x.gain * tanh(x.raw);
    double s = exp(log_s), after = x.c->shift_after ? x.rest * s + x.add : (x.rest + x.add) * s;
    return x.g * after + x.l * log_s;
}

/* Central difference of the loss in one of the element's numbers. */
static double difference(element x, double *number, const element *base) {
    const double h = 1e-5;
    size_t offset = (size_t)((char *)number - (const char *)base);
    double value = *number, up, down;
    up = value + h;
    memcpy((char *)&x + offset, &up, sizeof up);
    double above = loss(x);
    down = value - h;
    memcpy((char *)&x + offset, &down, sizeof down);
    return (above - loss(x)) / (2.0 * h);
}

/* The forward kernel on the whole state, keeping what the backward one needs. */
static void run_forward(checker *check, const coupling_case *c) {
    float *pass = guarded_copy(check, c->pass, c->count);
    float *rest = guarded_copy(check, c->rest, c->count);
    for (uint32_t y = 0; y < c->height; y++) {
        of_coupling_row row = row_of(c, y, pass, rest);
        add_kept(c, &row);
        (void)check->kernels->coupling_row(&row);
    }
}

/* Forward kernel, backward kernel, and the slope of the loss by central differences. */
void check_coupling_backward_differences(checker *check) {
    coupling_case c;
    for (int i = 0; i < 120; i++) {
        double gain_sums[LARGEST_HALF] = {0}, tolerances[LARGEST_HALF] = {0};
        make_case(check, &c);
        run_forward(check, &c);
        float *g = random_floats(check, c.count, 1.0), *g_rest = guarded_copy(check, g, c.count);
        size_t positions = (size_t)c.height * c.width;
        float *got = guarded_floats(check, positions * c.outputs), l = normal(check, 1.0);
        for (size_t k = 0; k < c.half && c.gain != NULL; k++)
            c.gain_gradient[k] = 0.0f;
        of_coupling_backward task = task_of(&c, l, g_rest, got);
        check->kernels->coupling_backward(&task);
        for (size_t e = 0; e < c.count; e++) {
            element x = {&c,
                         (double)g[e],
                         (double)l,
                         (double)c.rest[e],
                         coefficient(&c, e, false),
                         c.affine ? coefficient(&c, e, true) : 0.0,
                         c.gain != NULL ? (double)c.gain[e % c.half] : 0.0};
            /* s is kept in float, so s and 1 - s are known to a few epsilons */
            double s = scale_at(&c, e).s, size = fabs(x.g) * (1.0 + fabs(x.rest) + fabs(x.add));
            double tolerance = 3e-6 * (1.0 + size * (1.0 + s) + fabs(x.l)) * (1.0 + fabs(x.gain));
            size_t at = e / c.half * c.outputs + e % c.half;
            expect_near(check, "d loss / d rest", e, (double)g_rest[e], difference(x, &x.rest, &x),
                        tolerance);
            expect_near(check, "d loss / d add", e, (double)got[at], difference(x, &x.add, &x),
                        tolerance);
            if (c.affine)
                expect_near(check, "d loss / d raw", e, (double)got[at + c.half],
                            difference(x, &x.raw, &x), tolerance);
            gain_sums[e % c.half] += difference(x, &x.gain, &x);
            tolerances[e % c.half] += tolerance;
        }
        for (size_t k = 0; k < c.half && c.gain != NULL; k++)
            expect_near(check, "d loss / d gain", k, (double)c.gain_gradient[k], gain_sums[k],
                        tolerances[k]);
        guarded_release(check);
    }
}
