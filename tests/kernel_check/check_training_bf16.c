/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients in bfloat16: through relu, and of weights. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float value_of(uint16_t number) {
    uint32_t bits = (uint32_t)number << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t number_of(float value) {
    uint16_t number;
    of_kernels_for(OF_ISA_SCALAR)->round_to_bf16(&value, &number, 1);
    return number;
}

static uint16_t *random_numbers(checker *check, size_t count) {
    uint16_t *numbers = guarded(check, count, sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = number_of(normal(check, 1.0));
    return numbers;
}

static uint16_t *copy_of(checker *check, const uint16_t *numbers, size_t count) {
    uint16_t *copy = guarded(check, count, sizeof *copy);
    memcpy(copy, numbers, count * sizeof *copy);
    return copy;
}

/* The sums are float additions in the order of the positions: bits are compared. */
static void relu_case(checker *check, size_t positions, size_t channels) {
    static const float special[] = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, FLT_MIN, -FLT_MIN};
    size_t count = positions * channels;
    float leak = coin(check) ? 0.0f : of_random_uniform(&check->random);
    begin_case(check, "%zu positions, %zu channels, leak %.3g", positions, channels, (double)leak);
    uint16_t *activation = random_numbers(check, count), *gradient = random_numbers(check, count);
    float *sums = guarded_floats(check, channels);
    for (size_t c = 0; c < channels; c++)
        sums[c] = normal(check, 1.0);
    for (size_t i = 0; i < count; i++)
        if (between(check, 0, 9) == 0)
            activation[i] = number_of(special[between(check, 0, 6)]);
    if (count > 0 && coin(check))
        gradient[of_random_below(&check->random, (uint32_t)count)] = number_of(NAN);
    uint16_t *want = copy_of(check, gradient, count);
    float *want_sums = guarded_copy(check, sums, channels);
    for (size_t i = 0; i < count; i++) {
        if (value_of(activation[i]) <= 0.0f)
            want[i] = number_of(leak > 0.0f ? leak * value_of(want[i]) : 0.0f);
        want_sums[i % channels] += value_of(want[i]);
    }
    check->kernels->relu_backward_bf16(activation, gradient, positions, channels, leak, sums);
    for (size_t i = 0; i < count; i++)
        expect_near(check, "bits", i, (double)gradient[i], (double)want[i], 0.0);
    for (size_t c = 0; c < channels; c++) /* NaN has many bit patterns */
        expect_near(check, "bias gradient", c, (double)sums[c], (double)want_sums[c], 0.0);
    guarded_release(check);
}

void check_relu_backward_bf16(checker *check) {
    static const size_t channels[] = {1, 15, 16, 17, 32, 48, 64, 80, 128, 144};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int repeat = 0; repeat < 4; repeat++)
            relu_case(check, between(check, 0, 20), channels[i]);
    for (size_t wide = 128; wide <= 2048; wide *= 4)
        relu_case(check, 70, wide);
}

static void product_case(checker *check, size_t m, size_t n, size_t k, bool poisoned) {
    bool add = coin(check);
    begin_case(check, "%zux%zu, %zu positions%s%s", m, n, k, add ? ", added" : "",
               poisoned ? ", NaN" : "");
    of_product_bf16 task = {.m = m, .n = n, .k = k, .add = add};
    uint16_t *a = random_numbers(check, k * m), *b = random_numbers(check, k * n);
    float *c = guarded_floats(check, m * n);
    for (size_t i = 0; add && i < m * n; i++)
        c[i] = normal(check, 1.0);
    if (poisoned)
        (coin(check) ? a : b)[0] = number_of(NAN);
    float *before = guarded_copy(check, c, m * n);
    task.a = a;
    task.b = b;
    task.c = c;
    task.scratch = aligned_alloc(64, OF_PRODUCT_SCRATCH_BYTES(m));
    expect_true(check, task.scratch != NULL, "no memory");
    if (task.scratch != NULL)
        check->kernels->weight_product_bf16(&task);
    for (size_t row = 0; row < m; row++)
        for (size_t column = 0; column < n; column++) {
            double want = add ? (double)before[row * n + column] : 0, magnitude = fabs(want);
            for (size_t p = 0; p < k; p++) {
                double product =
                    (double)value_of(a[p * m + row]) * (double)value_of(b[p * n + column]);
                want += product;
                magnitude += fabs(product);
            }
            expect_near(check, "c", row * n + column, (double)c[row * n + column], want,
                        (double)(k + 1) * (double)FLT_EPSILON * magnitude);
        }
    free(task.scratch);
    guarded_release(check);
}

void check_weight_product_bf16(checker *check) {
    static const size_t positions[] = {0, 1, 2, 3, 15, 16, 64, 255, 256, 257, 600};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++)
        for (int repeat = 0; repeat < 3; repeat++)
            product_case(check, (size_t)16 * between(check, 1, 4),
                         (size_t)16 * between(check, 1, 5), positions[i],
                         repeat == 2 && positions[i] > 0);
    product_case(check, 112, 128, 130, false);
    product_case(check, 16, 16, 9, true);
}
