/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 2 * 1536 };

typedef struct coupling_case {
    of_coupling_row row;
    of_channel_map map;
    size_t taps_count, state_count;
    float *taps, *bias;         /* those of row.taps, writable */
    float *old_pass, *old_rest; /* as they were before the call */
} coupling_case;

typedef struct case_shape {
    uint32_t half, width, height, kernel;
    bool affine, inverse, mapped;
} case_shape;

static case_shape random_shape(checker *check) {
    case_shape shape = {
        .half = coin(check) ? 6u << between(check, 0, 2) : between(check, 1, 40),
        .width = coin(check) ? 1u << between(check, 0, 5) : between(check, 1, 67),
        .height = between(check, 1, 4),
        .kernel = coin(check) ? 3 : 1,
        .affine = between(check, 0, 3) > 0,
        .inverse = coin(check),
        .mapped = coin(check),
    };
    return shape;
}

static float uniform(checker *check, float limit) {
    return limit * (2.0f * of_random_uniform(&check->random) - 1.0f);
}

static float *random_floats(checker *check, size_t count, float limit) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = uniform(check, limit);
    return values;
}

static size_t case_values(const coupling_case *c) {
    size_t values = c->row.taps.outputs, padded = 2 * (size_t)c->map.half_padded;
    return c->row.map != NULL && padded > values ? padded : values;
}

/* Points row.map at the case's own map: a case must not be copied after this. */
static void make_case(checker *check, case_shape shape, coupling_case *c) {
    uint32_t outputs = shape.affine ? 2 * shape.half : shape.half;
    uint32_t tap_values = shape.kernel * shape.kernel * outputs;
    size_t stride = tap_values + (coin(check) ? 0 : between(check, 1, 20));
    size_t positions = (size_t)shape.height * shape.width;
    *c = (coupling_case){.taps_count = (positions - 1) * stride + tap_values,
                         .state_count = positions * shape.half};
    c->taps = random_floats(check, c->taps_count, shape.kernel == 3 ? 1.5f : 4.0f);
    c->bias = random_floats(check, outputs, 1.0f);
    c->old_pass = random_floats(check, c->state_count, 2.0f);
    c->old_rest = random_floats(check, c->state_count, 2.0f);
    if (shape.mapped)
        c->map = random_map(check, 2 * shape.half);
    uint32_t row = between(check, 0, shape.height - 1);
    c->row = (of_coupling_row){
        .taps = {.taps = c->taps,
                 .stride = stride,
                 .bias = c->bias,
                 .outputs = outputs,
                 .kernel = shape.kernel,
                 .height = shape.height,
                 .width = shape.width,
                 .row = row},
        .half = shape.half,
        .affine = shape.affine,
        .inverse = shape.inverse,
        .pass = guarded_copy(check, c->old_pass, c->state_count),
        .rest = guarded_copy(check, c->old_rest, c->state_count),
        .map = shape.mapped ? &c->map : NULL,
    };
    c->row.scratch = guarded_floats(check, scratch_floats(case_values(c)));
    begin_case(check, "half %u, state %u x %u, row %u, kernel %u, stride %zu%s%s%s", shape.half,
               shape.height, shape.width, row, shape.kernel, stride,
               shape.affine ? ", affine" : ", additive", shape.inverse ? ", inverse" : "",
               shape.mapped ? ", map" : "");
}

/* Coefficient `o` of the row's position `column`: float additions in the order of the taps. */
static float coefficient(const of_tap_row *row, uint32_t column, uint32_t o) {
    int reach = (int)row->kernel / 2;
    float sum = row->bias[o];
    uint32_t t = 0;
    for (int dy = -reach; dy <= reach; dy++)
        for (int dx = -reach; dx <= reach; dx++, t++) {
            int64_t y = (int64_t)row->row + dy, x = (int64_t)column + dx;
            if (y >= 0 && y < row->height && x >= 0 && x < row->width)
                sum += row->taps[(size_t)(y * row->width + x) * row->stride +
                                 (size_t)t * row->outputs + o];
        }
    return sum;
}

/* s and log s in double; the limit of 87 is the kernels' (scalar/coupling.c). */
static double exact_sigmoid(double t, double *log_s) {
    double limited = t < -87.0 ? -87.0 : t;
    *log_s = (t < 0.0 ? t : 0.0) - log1p(exp(-fabs(t)));
    return 1.0 / (1.0 + exp(-limited));
}

/* rest' of one element in double, with the error that float may make. */
static double exact_couple(const of_coupling_row *row, double add, double raw, double rest,
                           double *error, double *log_s) {
    double s = 1.0, epsilon = (double)FLT_EPSILON, relative = epsilon;
    *log_s = 0.0;
    if (row->affine) {
        double t = raw + 2.0, distance = fabs(t) > 87.0 ? 87.0 : fabs(t);
        s = exact_sigmoid(t, log_s);
        relative = (6.0 + distance) * epsilon; /* t itself is rounded to float */
    }
    double value = row->inverse ? rest / s - add : (rest + add) * s;
    double magnitude = row->inverse ? fabs(rest) / s + fabs(add) : (fabs(rest) + fabs(add)) * s;
    *error = relative * magnitude + 2e-45;
    return value;
}

static double log_error(double log_s) {
    return 5e-7 + 2e-7 * fabs(log_s);
}

static void expect_other_rows_kept(checker *check, const coupling_case *c, const float *before,
                                   const float *after) {
    size_t count = (size_t)c->row.taps.width * c->row.half, start = c->row.taps.row * count;
    expect_true(check,
                memcmp(before, after, start * sizeof *after) == 0 &&
                    memcmp(before + start + count, after + start + count,
                           (c->state_count - start - count) * sizeof *after) == 0,
                "another row was written");
}

static void expect_position(checker *check, const coupling_case *c, uint32_t column,
                            double *log_det, double *tolerance) {
    static double x[MAX_CHANNELS], error[MAX_CHANNELS];
    const of_coupling_row *row = &c->row;
    uint32_t half = row->half;
    size_t position = (size_t)row->taps.row * row->taps.width + column;
    for (uint32_t i = 0; i < half; i++) {
        double log_s;
        float add = coefficient(&row->taps, column, i);
        float raw = row->affine ? coefficient(&row->taps, column, half + i) : 0.0f;
        x[i] = (double)c->old_pass[position * half + i];
        error[i] = 0.0;
        x[half + i] =
            exact_couple(row, (double)add, (double)raw, (double)c->old_rest[position * half + i],
                         &error[half + i], &log_s);
        *log_det += log_s;
        *tolerance += isfinite(log_s) ? log_error(log_s) : 0.0;
    }
    if (row->map != NULL) {
        expect_mapped(check, row->map, x, error, row->pass, row->rest, position);
        return;
    }
    for (uint32_t i = 0; i < half; i++) {
        size_t index = position * half + i;
        expect_near(check, "pass", index, (double)row->pass[index], x[i], 0.0);
        expect_near(check, "rest", index, (double)row->rest[index], x[half + i], error[half + i]);
    }
}

/* Runs the kernel and compares everything with the reference. */
static void run_case(checker *check, const coupling_case *c) {
    double got = check->kernels->coupling_row(&c->row), log_det = 0.0, tolerance = 0.0;
    for (uint32_t column = 0; column < c->row.taps.width; column++)
        expect_position(check, c, column, &log_det, &tolerance);
    if (!c->row.affine)
        tolerance = 0.0;
    expect_near(check, "log-det", 0, got, log_det, tolerance);
    expect_other_rows_kept(check, c, c->old_pass, c->row.pass);
    expect_other_rows_kept(check, c, c->old_rest, c->row.rest);
}

void check_coupling(checker *check) {
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, random_shape(check), &c);
        run_case(check, &c);
        guarded_release(check);
    }
    for (int i = 0; i < 8; i++) { /* dense: everything in one position */
        make_case(check, (case_shape){1536, 1, 1, i < 4 ? 1 : 3, i % 4 != 3, i % 2 == 1, false},
                  &c);
        run_case(check, &c);
        guarded_release(check);
    }
    for (uint32_t half = 48; half <= 192; half *= 2) { /* maps wider than the registers */
        make_case(check, (case_shape){half, 5, 2, 3, true, false, true}, &c);
        run_case(check, &c);
        guarded_release(check);
    }
}

void check_tap_sum(checker *check) {
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, random_shape(check), &c);
        const of_tap_row *row = &c.row.taps;
        float *coefficients = guarded_floats(check, (size_t)row->width * row->outputs);
        check->kernels->tap_sum_row(row, coefficients);
        for (uint32_t column = 0; column < row->width; column++)
            for (uint32_t o = 0; o < row->outputs; o++) {
                size_t index = (size_t)column * row->outputs + o;
                expect_near(check, "coefficients", index, (double)coefficients[index],
                            (double)coefficient(row, column, o), 0.0);
            }
        guarded_release(check);
    }
}

void check_coupling_inverse(checker *check) {
    coupling_case c;
    for (int i = 0; i < 200; i++) {
        case_shape shape = random_shape(check);
        shape.mapped = shape.inverse = false;
        make_case(check, shape, &c);
        double forward = check->kernels->coupling_row(&c.row);
        c.row.inverse = true;
        double backward = check->kernels->coupling_row(&c.row);
        expect_near(check, "log-det of the inverse", 0, backward, forward, 0.0);
        for (size_t e = 0; e < c.state_count; e++) {
            expect_near(check, "pass", e, (double)c.row.pass[e], (double)c.old_pass[e], 0.0);
            expect_near(check, "rest", e, (double)c.row.rest[e], (double)c.old_rest[e],
                        8.0 * (double)FLT_EPSILON * (fabs((double)c.old_rest[e]) + 16.0));
        }
        guarded_release(check);
    }
}

/* log s alone: one position, one channel, so that errors cannot cancel. */
void check_log_sigmoid(checker *check) {
    float raw_and_add[2] = {0.0f, 0.0f}, bias[2] = {0.0f, 0.0f}, pass = 0.0f, rest;
    float *scratch = guarded_floats(check, scratch_floats(2));
    of_coupling_row row = {.taps = {.taps = raw_and_add,
                                    .stride = 2,
                                    .bias = bias,
                                    .outputs = 2,
                                    .kernel = 1,
                                    .height = 1,
                                    .width = 1},
                           .half = 1,
                           .affine = true,
                           .pass = &pass,
                           .rest = &rest,
                           .scratch = scratch};
    for (int i = -100000; i <= 100000; i++) {
        raw_and_add[1] = (float)i * 1e-3f + uniform(check, 1e-3f);
        double t = (double)(raw_and_add[1] + 2.0f), log_s;
        begin_case(check, "t = %.9g", t);
        rest = 1.0f;
        double s = exact_sigmoid(t, &log_s);
        expect_near(check, "log s", 0, check->kernels->coupling_row(&row), log_s, log_error(log_s));
        expect_near(check, "s", 0, (double)rest, s,
                    (4.0 + 0.2 * fabs(fmax(t, -87.0))) * (double)FLT_EPSILON * s);
    }
    guarded_release(check);
}

void check_coupling_extremes(checker *check) {
    static const float extremes[] = {40.0f,   -40.0f,   1e4f,   -1e4f,   INFINITY, -INFINITY,
                                     FLT_MAX, -FLT_MAX, 1e-42f, -1e-42f, 0.0f,     -0.0f,
                                     -2.0f,   -88.9f,   -89.1f, -105.0f, 86.0f,    -2.0000002f};
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        case_shape shape = random_shape(check);
        shape.kernel = 1;
        shape.affine = true;
        shape.mapped = shape.mapped && !shape.inverse; /* rest/s may near the largest float */
        make_case(check, shape, &c);
        memset(c.bias, 0, c.row.taps.outputs * sizeof *c.bias);
        for (size_t p = 0; p < (size_t)shape.height * shape.width; p++)
            for (uint32_t o = shape.half; o < 2 * shape.half; o++)
                if (between(check, 0, 3) == 0)
                    c.taps[p * c.row.taps.stride + o] =
                        extremes[between(check, 0, sizeof extremes / sizeof *extremes - 1)];
        run_case(check, &c);
        guarded_release(check);
    }
}

void check_coupling_nan(checker *check) {
    coupling_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, random_shape(check), &c);
        uint32_t taken = c.row.taps.width * c.row.half;
        size_t index = (size_t)c.row.taps.row * taken + between(check, 0, taken - 1);
        switch (between(check, 0, 3)) {
        case 0:
            c.row.pass[index] = c.old_pass[index] = NAN;
            break;
        case 1:
            c.row.rest[index] = c.old_rest[index] = NAN;
            break;
        default:
            c.taps[of_random_below(&check->random, (uint32_t)c.taps_count)] = NAN;
        }
        run_case(check, &c);
        guarded_release(check);
    }
}

/* What a row must not depend on becomes NaN: taps out of reach, other rows, scratch. */
static void poison(coupling_case *c) {
    const of_tap_row *row = &c->row.taps;
    uint32_t reach = row->kernel / 2, used = row->kernel * row->kernel * row->outputs;
    for (size_t i = 0; i < c->taps_count; i++) {
        size_t y = i / row->stride / row->width;
        if (y + reach < row->row || y > row->row + reach || i % row->stride >= used)
            c->taps[i] = NAN;
    }
    size_t count = (size_t)row->width * c->row.half, start = row->row * count;
    for (size_t i = 0; i < c->state_count; i++)
        if (i < start || i >= start + count)
            c->row.pass[i] = c->row.rest[i] = NAN;
    for (size_t i = 0; i < scratch_floats(case_values(c)); i++)
        c->row.scratch[i] = NAN;
}

void check_coupling_independence(checker *check) {
    coupling_case c;
    for (int i = 0; i < 200; i++) {
        make_case(check, random_shape(check), &c);
        float *pass = guarded_copy(check, c.old_pass, c.state_count);
        float *rest = guarded_copy(check, c.old_rest, c.state_count);
        double first = check->kernels->coupling_row(&c.row);
        size_t count = (size_t)c.row.taps.width * c.row.half, start = c.row.taps.row * count;
        const float *first_pass = c.row.pass + start, *first_rest = c.row.rest + start;
        c.row.pass = pass; /* elsewhere, so aligned differently */
        c.row.rest = rest;
        poison(&c);
        double second = check->kernels->coupling_row(&c.row);
        expect_true(check, memcmp(&first, &second, sizeof first) == 0, "log-det differs");
        expect_true(check,
                    memcmp(first_pass, pass + start, count * sizeof *pass) == 0 &&
                        memcmp(first_rest, rest + start, count * sizeof *rest) == 0,
                    "the state differs");
        guarded_release(check);
    }
}
