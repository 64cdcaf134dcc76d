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
    float *taps, *bias, *edge_bias; /* those of row.taps, writable */
    float *old_pass, *old_rest;     /* as they were before the call */
} coupling_case;

typedef struct case_shape {
    uint32_t half, width, height, kernel;
    bool affine, inverse, mapped, edges, shift_after;
    of_scale_map scale_map;
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
        .edges = coin(check),
        .shift_after = coin(check),
        .scale_map = (of_scale_map)between(check, 0, SCALE_MAPS - 1),
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

/* A bias for each kind of position; the first is that of those inside. */
static float *random_edge_bias(checker *check, const float *bias, uint32_t outputs) {
    float *edge_bias = random_floats(check, (size_t)OF_EDGES * outputs, 3.0f);
    memcpy(edge_bias, bias, outputs * sizeof *bias);
    return edge_bias;
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
    if (shape.edges)
        c->edge_bias = random_edge_bias(check, c->bias, outputs);
    if (shape.mapped)
        c->map = random_map(check, 2 * shape.half);
    uint32_t row = between(check, 0, shape.height - 1);
    c->row = (of_coupling_row){
        .taps = {.taps = c->taps,
                 .stride = stride,
                 .bias = c->bias,
                 .edge_bias = c->edge_bias,
                 .outputs = outputs,
                 .kernel = shape.kernel,
                 .height = shape.height,
                 .width = shape.width,
                 .row = row},
        .half = shape.half,
        .affine = shape.affine,
        .inverse = shape.inverse,
        .scale_map = shape.scale_map,
        .shift_after = shape.affine && shape.shift_after,
        .gain = shape.affine && shape.scale_map == OF_SCALE_MAP_TANH
                    ? random_floats(check, shape.half, 3.0f)
                    : NULL,
        .pass = guarded_copy(check, c->old_pass, c->state_count),
        .rest = guarded_copy(check, c->old_rest, c->state_count),
        .map = shape.mapped ? &c->map : NULL,
    };
    c->row.scratch = guarded_floats(check, scratch_floats(case_values(c)));
    begin_case(check, "half %u, state %u x %u, row %u, kernel %u, stride %zu, %s%s%s%s%s",
               shape.half, shape.height, shape.width, row, shape.kernel, stride,
               shape.affine ? scale_map_name(shape.scale_map) : "additive",
               c->row.shift_after ? ", shift after" : "", shape.inverse ? ", inverse" : "",
               shape.mapped ? ", map" : "", shape.edges ? ", edges" : "");
}

static float bias_at(const of_tap_row *row, uint32_t column, uint32_t o) {
    if (row->edge_bias == NULL)
        return row->bias[o];
    uint32_t number = 0;
    number += row->row == 0 ? 1 : 0;
    number += row->row == row->height - 1 ? 2 : 0;
    number += column == 0 ? 4 : 0;
    number += column == row->width - 1 ? 8 : 0;
    return row->edge_bias[number * row->outputs + o];
}

/* Coefficient `o` of the row's position `column`: float additions in the order of the taps. */
static float coefficient(const of_tap_row *row, uint32_t column, uint32_t o) {
    int reach = (int)row->kernel / 2;
    float sum = bias_at(row, column, o);
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

/* rest' of one element in double, with the error that float may make. */
static double exact_couple(const of_coupling_row *row, double add, double rest,
                           const exact_scale *scale, double *error) {
    double s = scale->s, epsilon = (double)FLT_EPSILON;
    double factor = row->inverse ? 1.0 / s : s;
    double relative = scale->s_error / s + 2.0 * epsilon;
    if (row->shift_after) {
        double inner = row->inverse ? rest - add : rest, outer = row->inverse ? 0.0 : add;
        double magnitude = row->inverse ? fabs(rest) + fabs(add) : fabs(rest);
        *error = (relative + epsilon) * magnitude * factor + epsilon * fabs(outer) + 2e-45;
        return inner * factor + outer;
    }
    double inner = row->inverse ? rest : rest + add, outer = row->inverse ? -add : 0.0;
    double magnitude = row->inverse ? fabs(rest) : fabs(rest) + fabs(add);
    *error = (relative + epsilon) * magnitude * factor + epsilon * fabs(outer) + 2e-45;
    return inner * factor + outer;
}

/* The scale of channel i of a column; 1 for additive couplings. */
static exact_scale scale_at(const of_coupling_row *row, uint32_t column, uint32_t i) {
    if (!row->affine)
        return (exact_scale){.s = 1.0};
    return exact_scale_of(row->scale_map, coefficient(&row->taps, column, row->half + i),
                          row->gain != NULL ? row->gain[i] : 0.0f);
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
        float add = coefficient(&row->taps, column, i);
        exact_scale scale = scale_at(row, column, i);
        x[i] = (double)c->old_pass[position * half + i];
        error[i] = 0.0;
        x[half + i] = exact_couple(row, (double)add, (double)c->old_rest[position * half + i],
                                   &scale, &error[half + i]);
        *log_det += scale.l;
        *tolerance += isfinite(scale.l) ? scale.l_error + 1e-12 * fabs(scale.l) : 0.0;
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
        make_case(check,
                  (case_shape){.half = 1536,
                               .width = 1,
                               .height = 1,
                               .kernel = i < 4 ? 1 : 3,
                               .affine = i % 4 != 3,
                               .inverse = i % 2 == 1,
                               .scale_map = (of_scale_map)(i % 4)},
                  &c);
        run_case(check, &c);
        guarded_release(check);
    }
    for (uint32_t half = 48; half <= 192; half *= 2) { /* maps wider than the registers */
        make_case(
            check,
            (case_shape){
                .half = half, .width = 5, .height = 2, .kernel = 3, .affine = true, .mapped = true},
            &c);
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

/* What may have been added to element e of the state, and lost by that: seen from before it. */
static double largest_shift(const of_coupling_row *row, size_t e) {
    uint32_t column = (uint32_t)(e / row->half % row->taps.width), i = (uint32_t)(e % row->half);
    return 20.0 / (row->shift_after ? scale_at(row, column, i).s : 1.0);
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
                        8.0 * (double)FLT_EPSILON *
                            (fabs((double)c.old_rest[e]) + largest_shift(&c.row, e)));
        }
        guarded_release(check);
    }
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
        shape.mapped = shape.mapped && !shape.inverse && /* rest/s may near the largest float */
                       shape.scale_map == OF_SCALE_MAP_SIGMOID;
        make_case(check, shape, &c);
        memset(c.bias, 0, c.row.taps.outputs * sizeof *c.bias);
        c.row.taps.edge_bias = NULL;
        for (size_t p = 0; p < (size_t)shape.height * shape.width; p++)
            for (uint32_t o = 0; o < 2 * shape.half; o++)
                if (o < shape.half) /* small enough for the largest s */
                    c.taps[p * c.row.taps.stride + o] *= 0.25f;
                else if (between(check, 0, 3) == 0)
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
    if (c->edge_bias == NULL)
        return;
    bool top = row->row == 0, bottom = row->row + 1 == row->height;
    for (size_t i = 0; i < (size_t)OF_EDGES * row->outputs; i++) {
        size_t number = i / row->outputs;
        if ((number & OF_EDGE_TOP) != (top ? OF_EDGE_TOP : 0) ||
            (number & OF_EDGE_BOTTOM) != (bottom ? OF_EDGE_BOTTOM : 0))
            c->edge_bias[i] = NAN;
    }
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
