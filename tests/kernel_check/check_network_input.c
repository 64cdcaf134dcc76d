/* SPDX-License-Identifier: Apache-2.0 */
/* What a coupling network reads, its gradients, and tables of input values. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LARGEST_HALF = 2100 };

typedef struct input_case {
    of_network_input input;
    float *pass, *scale, *shift; /* those of the input, writable */
    size_t state_count, count;   /* positions * half, positions * inputs */
} input_case;

static float *random_floats(checker *check, size_t count, double deviation) {
    float *values = guarded_floats(check, count);
    for (size_t i = 0; i < count; i++)
        values[i] = normal(check, deviation);
    return values;
}

static void make_case(checker *check, bool dense, input_case *c) {
    uint32_t half = dense         ? between(check, 1000, LARGEST_HALF)
                    : coin(check) ? 6u << between(check, 0, 2)
                                  : between(check, 1, 70);
    uint32_t extra = coin(check) ? 0 : between(check, 1, dense ? 1100 : 40);
    size_t positions = between(check, 0, dense ? 3 : 60);
    bool affine = coin(check), ones = extra > 0 && coin(check);
    *c = (input_case){.state_count = positions * half, .count = positions * (half + extra)};
    c->pass = random_floats(check, c->state_count, 1.0);
    c->scale = affine ? random_floats(check, half, 1.0) : NULL;
    c->shift = affine ? random_floats(check, half, 1.0) : NULL;
    c->input = (of_network_input){.pass = c->pass,
                                  .scale = c->scale,
                                  .shift = c->shift,
                                  .positions = positions,
                                  .half = half,
                                  .inputs = half + extra,
                                  .ones = ones};
    begin_case(check, "half %u, inputs %u, %zu positions%s%s", half, half + extra, positions,
               affine ? ", affine" : "", ones ? ", ones" : "");
}

/* Value e of the target in double, and what float may make of it. */
static double exact_value(const input_case *c, size_t e, double *tolerance) {
    size_t position = e / c->input.inputs, channel = e % c->input.inputs;
    *tolerance = 0.0;
    if (channel >= c->input.half)
        return c->input.ones && channel == c->input.half ? 1.0 : 0.0;
    double x = (double)c->pass[position * c->input.half + channel];
    if (c->scale == NULL)
        return x;
    double product = (double)c->scale[channel] * x, shift = (double)c->shift[channel];
    *tolerance = (double)FLT_EPSILON * (fabs(product) + fabs(product + shift));
    return product + shift <= 0.0 ? 0.0 : product + shift;
}

static void expect_input(checker *check, const input_case *c) {
    float *target = guarded_floats(check, c->count);
    check->kernels->network_input(&c->input, target);
    for (size_t e = 0; e < c->count; e++) {
        double tolerance, want = exact_value(c, e, &tolerance);
        expect_near(check, "value", e, (double)target[e], want, tolerance);
    }
}

void check_network_input(checker *check) {
    input_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, i < 10, &c);
        expect_input(check, &c);
        guarded_release(check);
    }
}

/* NaN and infinities go through, negative infinity is closed. */
void check_network_input_nan(checker *check) {
    input_case c;
    for (int i = 0; i < 100; i++) {
        make_case(check, false, &c);
        float *arrays[] = {c.pass, c.scale != NULL ? c.scale : c.pass,
                           c.shift != NULL ? c.shift : c.pass};
        int which = (int)between(check, 0, 2);
        size_t n = arrays[which] == c.pass ? c.state_count : c.input.half;
        if (n > 0)
            arrays[which][of_random_below(&check->random, (uint32_t)n)] = coin(check)   ? NAN
                                                                          : coin(check) ? INFINITY
                                                                                        : -INFINITY;
        expect_input(check, &c);
        guarded_release(check);
    }
}

/* The bits of round_to_bf16 on what network_input gives. */
void check_network_input_bf16(checker *check) {
    input_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, i < 20, &c);
        float *values = guarded_floats(check, c.count);
        uint16_t *want = guarded(check, c.count, sizeof *want);
        uint16_t *got = guarded(check, c.count, sizeof *got);
        check->kernels->network_input(&c.input, values);
        check->kernels->round_to_bf16(values, want, c.count);
        check->kernels->network_input_bf16(&c.input, got);
        expect_true(check, memcmp(want, got, c.count * sizeof *got) == 0, "the bits differ");
        guarded_release(check);
    }
}

typedef struct gradients {
    float *g_inputs, *g_pass, *scale, *shift;
} gradients;

/* scale*x + shift of state element e. */
static double value_before_relu(const input_case *c, size_t e, double x) {
    size_t i = e % c->input.half;
    return c->scale != NULL ? (double)c->scale[i] * x + (double)c->shift[i] : x;
}

/* Random gradients, but none where rounding decides on which side of relu's bend a value lies. */
static gradients random_gradients(checker *check, const input_case *c) {
    size_t half = c->input.half;
    gradients g = {.g_inputs = random_floats(check, c->count, 1.0),
                   .g_pass = random_floats(check, c->state_count, 1.0)};
    if (c->scale == NULL)
        return g;
    g.scale = random_floats(check, half, 1.0);
    g.shift = random_floats(check, half, 1.0);
    for (size_t e = 0; e < c->state_count; e++)
        if (fabs(value_before_relu(c, e, (double)c->pass[e])) < 1e-3)
            g.g_inputs[e / half * c->input.inputs + e % half] = 0.0f;
    return g;
}

static void call_backward(checker *check, const input_case *c, const gradients *g) {
    check->kernels->network_input_backward(&(of_network_input_backward){
        .pass = c->scale != NULL ? c->pass : NULL,
        .scale = c->scale,
        .shift = c->shift,
        .g_inputs = g->g_inputs,
        .g_pass = g->g_pass,
        .scale_gradient = g->scale,
        .shift_gradient = g->shift,
        .positions = c->input.positions,
        .half = c->input.half,
        .inputs = c->input.inputs,
    });
}

/* Slopes of g * relu(scale*x + shift) by x, scale and shift: central differences, exact but for
 * rounding in double, since no step crosses the bend. */
typedef struct slopes {
    double x, scale, shift;
} slopes;

static double relu(double value) {
    return value > 0.0 ? value : 0.0;
}

static slopes differences(const input_case *c, size_t e, double g) {
    const double h = 1e-5;
    size_t i = e % c->input.half;
    double x = (double)c->pass[e], a = 1.0, b = 0.0;
    if (c->scale == NULL)
        return (slopes){.x = g};
    a = (double)c->scale[i];
    b = (double)c->shift[i];
    double k = g / (2.0 * h);
    return (slopes){.x = k * (relu(a * (x + h) + b) - relu(a * (x - h) + b)),
                    .scale = k * (relu((a + h) * x + b) - relu((a - h) * x + b)),
                    .shift = k * (relu(a * x + b + h) - relu(a * x + b - h))};
}

/* The differences of each element, summed as the kernel has to. */
static void backward_case(checker *check, const input_case *c) {
    static double scale[LARGEST_HALF], shift[LARGEST_HALF], sizes[LARGEST_HALF];
    gradients g = random_gradients(check, c);
    size_t half = c->input.half;
    for (size_t i = 0; i < half && c->scale != NULL; i++) {
        scale[i] = (double)g.scale[i];
        shift[i] = (double)g.shift[i];
        sizes[i] = fabs(scale[i]) + fabs(shift[i]);
    }
    float *before = guarded_copy(check, g.g_pass, c->state_count);
    call_backward(check, c, &g);
    for (size_t e = 0; e < c->state_count; e++) {
        size_t i = e % half;
        double g_in = (double)g.g_inputs[e / half * c->input.inputs + i], old = (double)before[e];
        slopes slope = differences(c, e, g_in);
        expect_near(check, "g_pass", e, (double)g.g_pass[e], old + slope.x,
                    (double)FLT_EPSILON * (fabs(old) + 2.0 * fabs(slope.x)) + 1e-9);
        scale[i] += slope.scale;
        shift[i] += slope.shift;
        sizes[i] += fabs(slope.scale) + fabs(slope.shift);
    }
    double rounding = (double)FLT_EPSILON * ((double)c->input.positions + 1.0);
    for (size_t i = 0; i < half && c->scale != NULL; i++) {
        double tolerance = rounding * sizes[i] + 1e-8;
        expect_near(check, "scale gradient", i, (double)g.scale[i], scale[i], tolerance);
        expect_near(check, "shift gradient", i, (double)g.shift[i], shift[i], tolerance);
    }
}

void check_network_input_backward(checker *check) {
    input_case c;
    for (int i = 0; i < 300; i++) {
        make_case(check, i < 10, &c);
        backward_case(check, &c);
        guarded_release(check);
    }
}

/* A closed channel lets no gradient through, whatever it is; NaN stays NaN. */
void check_network_input_backward_nan(checker *check) {
    float pass[3] = {1.0f, 1.0f, NAN}, scale[3] = {-1.0f, 1.0f, 1.0f}, shift[3] = {0.0f};
    float g_inputs[3] = {NAN, NAN, 1.0f}, g_pass[3] = {0.0f}, g_scale[3] = {0.0f};
    float g_shift[3] = {0.0f};
    begin_case(check, "closed, open, NaN");
    check->kernels->network_input_backward(&(of_network_input_backward){
        pass, scale, shift, g_inputs, g_pass, g_scale, g_shift, 1, 3, 3});
    const double want[3] = {0.0, (double)NAN, 1.0};
    for (size_t i = 0; i < 3; i++) {
        expect_near(check, "g_pass", i, (double)g_pass[i], want[i], 0.0);
        expect_near(check, "shift gradient", i, (double)g_shift[i], want[i], 0.0);
    }
    expect_near(check, "scale gradient", 2, (double)g_scale[2], (double)NAN, 0.0);
}

void check_look_up(checker *check) {
    for (uint32_t n = 0; n < 300; n++) {
        begin_case(check, "n %u", n);
        uint8_t *pixels = guarded(check, n, sizeof *pixels);
        float *table = random_floats(check, 256, 1.0), *values = guarded_floats(check, n);
        for (uint32_t i = 0; i < n; i++)
            pixels[i] = (uint8_t)between(check, 0, 255);
        check->kernels->look_up(pixels, table, values, n);
        for (uint32_t i = 0; i < n; i++)
            expect_near(check, "value", i, (double)values[i], (double)table[pixels[i]], 0.0);
        guarded_release(check);
    }
}
