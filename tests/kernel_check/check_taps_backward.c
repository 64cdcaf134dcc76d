/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct scatter_case {
    of_tap_row row;
    size_t value_count, target_count;
    float *values, *target;
} scatter_case;

/* The widths that kernels know, and any other. */
static uint32_t random_outputs(checker *check) {
    return coin(check) ? 6u << between(check, 0, 3) : between(check, 1, 70);
}

static void make_case(checker *check, scatter_case *c) {
    of_tap_row row = {.outputs = random_outputs(check),
                      .kernel = between(check, 0, 3) > 0 ? 3 : 1,
                      .height = between(check, 1, 5),
                      .width = coin(check) ? 1u << between(check, 0, 4) : between(check, 1, 19)};
    size_t used = row.kernel * row.kernel * (size_t)row.outputs;
    row.stride = used + (coin(check) ? 0 : between(check, 1, 40));
    row.row = between(check, 0, row.height - 1);
    size_t positions = (size_t)row.height * row.width;
    *c = (scatter_case){
        .row = row, .value_count = positions * row.outputs, .target_count = positions * row.stride};
    c->values = guarded_floats(check, c->value_count);
    for (size_t i = 0; i < c->value_count; i++)
        c->values[i] = between(check, 0, 30) > 0 ? normal(check, 1.0) : NAN;
    c->target = guarded_floats(check, c->target_count);
    begin_case(check, "outputs %u, kernel %u, state %u x %u, row %u, stride %zu", row.outputs,
               row.kernel, row.height, row.width, row.row, row.stride);
}

/* What belongs at element i of a position's taps, straight from the text in kernels.h. */
static float wanted(const scatter_case *c, uint32_t column, size_t i, bool mirrored) {
    const of_tap_row *row = &c->row;
    size_t t = i / row->outputs;
    if (t >= row->kernel * row->kernel)
        return 0.0f;
    int64_t reach = row->kernel / 2;
    int64_t dy = (int64_t)(t / row->kernel) - reach, dx = (int64_t)(t % row->kernel) - reach;
    int64_t y = (int64_t)row->row + (mirrored ? dy : -dy);
    int64_t x = (int64_t)column + (mirrored ? dx : -dx);
    if (y < 0 || y >= row->height || x < 0 || x >= row->width)
        return 0.0f;
    return c->values[(size_t)(y * row->width + x) * row->outputs + i % row->outputs];
}

/* Data only moves: bits are compared, also those of the rows that stay as they were. */
void check_tap_scatter(checker *check) {
    scatter_case c;
    for (int i = 0; i < 400; i++) {
        make_case(check, &c);
        bool mirrored = coin(check);
        float *want = guarded_copy(check, c.target, c.target_count);
        for (uint32_t column = 0; column < c.row.width; column++) {
            float *taps = want + ((size_t)c.row.row * c.row.width + column) * c.row.stride;
            for (size_t e = 0; e < c.row.stride; e++)
                taps[e] = wanted(&c, column, e, mirrored);
        }
        check->kernels->tap_scatter_row(&c.row, c.values, mirrored, c.target);
        expect_true(check, memcmp(want, c.target, c.target_count * sizeof *want) == 0,
                    mirrored ? "the gathered neighbourhoods differ" : "the scattered taps differ");
        guarded_release(check);
    }
}

/* <tap_sum(T), g> = <T, tap_scatter(g)> for any T and g. */
void check_tap_transpose(checker *check) {
    scatter_case c;
    for (int i = 0; i < 200; i++) {
        make_case(check, &c);
        size_t used = c.row.kernel * c.row.kernel * (size_t)c.row.outputs;
        float *taps = guarded_floats(check, c.target_count), *bias, *sums;
        bias = guarded_floats(check, c.row.outputs);
        sums = guarded_floats(check, c.value_count);
        memset(bias, 0, c.row.outputs * sizeof *bias);
        for (size_t e = 0; e < c.target_count; e++)
            taps[e] = normal(check, 1.0);
        for (size_t e = 0; e < c.value_count; e++)
            c.values[e] = normal(check, 1.0);
        of_tap_row row = c.row;
        row.taps = taps;
        row.bias = bias;
        for (row.row = 0; row.row < row.height; row.row++) {
            check->kernels->tap_sum_row(&row, sums + (size_t)row.row * row.width * row.outputs);
            check->kernels->tap_scatter_row(&row, c.values, false, c.target);
        }
        double forward = 0.0, backward = 0.0, tolerance = 0.0;
        for (size_t e = 0; e < c.value_count; e++)
            forward += (double)sums[e] * (double)c.values[e];
        for (size_t e = 0; e < c.target_count; e++) {
            double term = (double)taps[e] * (double)c.target[e];
            backward += term;
            tolerance += fabs(term) * 9.0 * (double)FLT_EPSILON; /* nine additions in float */
            if (e % row.stride >= used)
                expect_near(check, "padding", e, (double)c.target[e], 0.0, 0.0);
        }
        expect_near(check, "<T, scatter(g)>", 0, backward, forward, tolerance);
        guarded_release(check);
    }
}
