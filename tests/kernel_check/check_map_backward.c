/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* y = A x + b and a loss whose gradient with respect to y is g. */
typedef struct map_case {
    uint32_t channels;
    size_t positions;
    of_channel_map map, transposed;
    float *pass, *rest, *g_pass, *g_rest; /* as before the call */
    float *matrix_start, *bias_start;     /* what the gradients are added to */
    of_map_backward task;                 /* works on copies */
} map_case;

static float *random_floats(checker *check, size_t count) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = normal(check, 1.0);
    return values;
}

/* The map of the transposed matrix; its bias, which no one may use, is NaN. */
static of_channel_map transpose(checker *check, const of_channel_map *map) {
    of_channel_map result = random_map(check, map->channels);
    size_t half = map->channels / 2, length = 2 * (size_t)map->half_padded;
    float *matrix = guarded_floats(check, map->channels * length);
    for (size_t c = 0; c < map->channels; c++)
        for (size_t i = 0; i < length; i++) {
            size_t within = i < map->half_padded ? i : i - map->half_padded;
            size_t o = i < map->half_padded ? within : half + within;
            matrix[c * length + i] =
                within < half ? (float)map_matrix(map, (uint32_t)c, (uint32_t)o) : 0.0f;
        }
    result.matrix = matrix;
    result.bias = guarded_floats(check, length);
    return result;
}

static of_map_backward fresh_task(checker *check, const map_case *c) {
    size_t count = c->positions * c->channels / 2, padded = 2 * (size_t)c->map.half_padded;
    return (of_map_backward){
        .pass = c->pass,
        .rest = c->rest,
        .g_pass = guarded_copy(check, c->g_pass, count),
        .g_rest = guarded_copy(check, c->g_rest, count),
        .positions = c->positions,
        .transposed = &c->transposed,
        .matrix_gradient = guarded_copy(check, c->matrix_start, c->channels * c->channels),
        .bias_gradient = guarded_copy(check, c->bias_start, c->channels),
        .scratch = guarded_floats(check, scratch_floats(padded)),
    };
}

/* The task points at the case's own map: a case must not be copied after this. */
static void make_case(checker *check, uint32_t channels, size_t positions, map_case *c) {
    *c = (map_case){.channels = channels, .positions = positions};
    size_t count = positions * channels / 2;
    begin_case(check, "C %u, %zu positions", channels, positions);
    c->map = random_map(check, channels);
    c->transposed = transpose(check, &c->map);
    c->pass = random_floats(check, count);
    c->rest = random_floats(check, count);
    c->g_pass = random_floats(check, count);
    c->g_rest = random_floats(check, count);
    c->matrix_start = random_floats(check, (size_t)channels * channels);
    c->bias_start = random_floats(check, channels);
    c->task = fresh_task(check, c);
}

static void make_random_case(checker *check, map_case *c) {
    uint32_t half = coin(check) ? 6u << between(check, 0, 2) : between(check, 1, 40);
    make_case(check, 2 * half, coin(check) ? 1u << between(check, 0, 8) : between(check, 0, 150),
              c);
}

static double element(const map_case *c, const float *pass, const float *rest, size_t position,
                      uint32_t channel) {
    uint32_t half = c->channels / 2;
    return (double)(channel < half ? pass[position * half + channel]
                                   : rest[position * half + channel - half]);
}

/* Each sum in float, in the order of the positions: every addition may err by half an epsilon of
 * the sum so far. */
static void expect_sum(checker *check, const map_case *c, uint32_t row, uint32_t column,
                       const float *start, const float *got, bool bias) {
    size_t index = bias ? row : (size_t)row * c->channels + column;
    double want = (double)start[index], tolerance = (double)FLT_MIN;
    for (size_t p = 0; p < c->positions; p++) {
        double x = bias ? 1.0 : element(c, c->pass, c->rest, p, column);
        double term = element(c, c->g_pass, c->g_rest, p, row) * x;
        want += term;
        tolerance += (double)FLT_EPSILON * (fabs(want) + fabs(term));
    }
    expect_near(check, bias ? "bias gradient" : "matrix gradient", index, (double)got[index], want,
                tolerance);
}

static void expect_input_gradient(checker *check, const map_case *c, size_t position) {
    for (uint32_t i = 0; i < c->channels; i++) {
        double want = 0.0, magnitude = 0.0;
        for (uint32_t o = 0; o < c->channels; o++) {
            double term = map_matrix(&c->map, o, i) * element(c, c->g_pass, c->g_rest, position, o);
            want += term;
            magnitude += fabs(term);
        }
        expect_near(check, "g_x", position * c->channels + i,
                    element(c, c->task.g_pass, c->task.g_rest, position, i), want,
                    (c->channels + 1) * (double)FLT_EPSILON * magnitude + (double)FLT_MIN);
    }
}

static void run_case(checker *check, const map_case *c) {
    check->kernels->map_backward(&c->task);
    for (uint32_t r = 0; r < c->channels; r++) {
        for (uint32_t column = 0; column < c->channels; column++)
            expect_sum(check, c, r, column, c->matrix_start, c->task.matrix_gradient, false);
        expect_sum(check, c, r, 0, c->bias_start, c->task.bias_gradient, true);
    }
    for (size_t p = 0; p < c->positions; p++)
        expect_input_gradient(check, c, p);
}

void check_map_backward(checker *check) {
    map_case c;
    for (int i = 0; i < 120; i++) {
        make_random_case(check, &c);
        run_case(check, &c);
        guarded_release(check);
    }
    static const uint32_t wide[][2] = {{192, 5}, {384, 1}, {12, 1024}, {48, 100}};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        make_case(check, wide[i][0], wide[i][1], &c);
        run_case(check, &c);
        guarded_release(check);
    }
}

void check_map_backward_nan(checker *check) {
    map_case c;
    for (int i = 0; i < 60; i++) {
        make_random_case(check, &c);
        size_t count = c.positions * c.channels / 2;
        if (count > 0) {
            size_t index = of_random_below(&check->random, (uint32_t)count);
            switch (between(check, 0, 3)) {
            case 0:
                c.pass[index] = coin(check) ? NAN : INFINITY;
                break;
            case 1:
                c.rest[index] = NAN;
                break;
            case 2:
                c.g_pass[index] = c.task.g_pass[index] = NAN;
                break;
            default:
                c.g_rest[index] = c.task.g_rest[index] = NAN;
            }
        }
        run_case(check, &c);
        guarded_release(check);
    }
}

/* The loss, sum of g * (A x + b), with one input moved: `what` 0 an element of A, 1 of b, 2 of x.
 */
static double loss(const map_case *c, int what, uint32_t row, uint32_t column, size_t position,
                   double move) {
    double sum = 0.0;
    for (size_t p = 0; p < c->positions; p++)
        for (uint32_t o = 0; o < c->channels; o++) {
            double y = map_bias(&c->map, o) + (what == 1 && o == row ? move : 0.0);
            for (uint32_t i = 0; i < c->channels; i++) {
                double a = map_matrix(&c->map, o, i), x = element(c, c->pass, c->rest, p, i);
                a += what == 0 && o == row && i == column ? move : 0.0;
                x += what == 2 && p == position && i == column ? move : 0.0;
                y += a * x;
            }
            sum += y * element(c, c->g_pass, c->g_rest, p, o);
        }
    return sum;
}

/* The loss is linear in each element, so a difference over 2 is its derivative. */
void check_map_backward_differences(checker *check) {
    map_case c;
    for (int i = 0; i < 30; i++) {
        make_case(check, 2 * between(check, 1, 24), between(check, 1, 20), &c);
        memset(c.task.matrix_gradient, 0, (size_t)c.channels * c.channels * sizeof(float));
        memset(c.task.bias_gradient, 0, c.channels * sizeof(float));
        check->kernels->map_backward(&c.task);
        for (int what = 0; what < 3; what++) {
            uint32_t row = between(check, 0, c.channels - 1);
            uint32_t column = between(check, 0, c.channels - 1);
            uint32_t position = between(check, 0, (uint32_t)c.positions - 1);
            double want = 0.5 * (loss(&c, what, row, column, position, 1.0) -
                                 loss(&c, what, row, column, position, -1.0));
            double got = what == 0   ? (double)c.task.matrix_gradient[row * c.channels + column]
                         : what == 1 ? (double)c.task.bias_gradient[row]
                                     : element(&c, c.task.g_pass, c.task.g_rest, position, column);
            expect_near(check, "derivative", (size_t)what, got, want, 2e-5 * (1.0 + fabs(want)));
        }
        guarded_release(check);
    }
}

/* Positions are taken in order: two calls make the bits of one, wherever the arrays lie. */
void check_map_backward_order(checker *check) {
    map_case c;
    for (int i = 0; i < 60; i++) {
        make_random_case(check, &c);
        size_t half = c.channels / 2, first = c.positions / 3;
        of_map_backward whole = c.task, part = fresh_task(check, &c), split = part;
        check->kernels->map_backward(&whole);
        part.positions = first;
        check->kernels->map_backward(&part);
        part.positions = c.positions - first;
        part.pass += first * half;
        part.rest += first * half;
        part.g_pass += first * half;
        part.g_rest += first * half;
        check->kernels->map_backward(&part);
        size_t count = c.positions * half * sizeof(float), channels = c.channels;
        expect_true(
            check,
            memcmp(whole.matrix_gradient, split.matrix_gradient,
                   channels * channels * sizeof(float)) == 0 &&
                memcmp(whole.bias_gradient, split.bias_gradient, channels * sizeof(float)) == 0,
            "gradients of the parameters depend on the calls");
        expect_true(check,
                    memcmp(whole.g_pass, split.g_pass, count) == 0 &&
                        memcmp(whole.g_rest, split.g_rest, count) == 0,
                    "g_x depends on the calls");
        guarded_release(check);
    }
}
