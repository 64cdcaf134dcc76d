/* SPDX-License-Identifier: Apache-2.0 */
/* Expectations, random cases and the reference of the channel map. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { REPORTED_FAILURES = 5 };

void begin_case(checker *check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(check->shape, sizeof check->shape, format, arguments);
    va_end(arguments);
    check->cases++;
}

static bool report(checker *check) {
    return check->failures++ < REPORTED_FAILURES;
}

void expect_near(checker *check, const char *what, size_t index, double got, double want,
                 double tolerance) {
    if ((isnan(got) && isnan(want)) || got == want)
        return;
    double ratio = fabs(got - want) / tolerance;
    if (ratio <= 1.0) {
        if (ratio > check->worst)
            check->worst = ratio;
        return;
    }
    if (report(check))
        printf("    %s[%zu] is %.9g, expected %.9g +- %.3g (%s)\n", what, index, got, want,
               tolerance, check->shape);
}

void expect_true(checker *check, bool condition, const char *what) {
    if (!condition && report(check))
        printf("    %s (%s)\n", what, check->shape);
}

uint32_t between(checker *check, uint32_t low, uint32_t high) {
    return low + of_random_below(&check->random, high - low + 1);
}

float normal(checker *check, double deviation) {
    return (float)(deviation * of_random_normal(&check->random));
}

bool coin(checker *check) {
    return of_random_below(&check->random, 2) == 1;
}

static size_t padded_index(const of_channel_map *map, uint32_t output) {
    uint32_t half = map->channels / 2;
    return output < half ? output : map->half_padded + output - half;
}

of_channel_map random_map(checker *check, uint32_t channels) {
    uint32_t half = channels / 2;
    uint32_t padded = (half + OF_MAP_PADDING - 1) / OF_MAP_PADDING * OF_MAP_PADDING;
    size_t length = 2 * (size_t)padded;
    float *matrix = guarded(check, channels * length, sizeof *matrix);
    float *bias = guarded(check, length, sizeof *bias);
    of_channel_map map = {matrix, bias, channels, padded};
    for (size_t i = 0; i < channels * length; i++)
        matrix[i] = 0.0f;
    for (size_t i = 0; i < length; i++)
        bias[i] = 0.0f;
    for (uint32_t o = 0; o < channels; o++) {
        bias[padded_index(&map, o)] = normal(check, 1.0);
        for (uint32_t c = 0; c < channels; c++)
            matrix[c * length + padded_index(&map, o)] = normal(check, 1.0);
    }
    return map;
}

double map_matrix(const of_channel_map *map, uint32_t output, uint32_t input) {
    return (double)map->matrix[input * 2 * (size_t)map->half_padded + padded_index(map, output)];
}

double map_bias(const of_channel_map *map, uint32_t output) {
    return (double)map->bias[padded_index(map, output)];
}

/* Tolerance: C+1 rounded operations on terms of this size, plus the inputs' own errors. */
void expect_mapped(checker *check, const of_channel_map *map, const double *x, const double *error,
                   const float *pass, const float *rest, size_t position) {
    uint32_t half = map->channels / 2;
    for (uint32_t o = 0; o < map->channels; o++) {
        double want = map_bias(map, o), magnitude = fabs(want), inherited = 0.0;
        for (uint32_t c = 0; c < map->channels; c++) {
            double term = map_matrix(map, o, c) * x[c];
            want += term;
            magnitude += fabs(term);
            inherited += fabs(map_matrix(map, o, c)) * (error == NULL ? 0.0 : error[c]);
        }
        const float *half_values = o < half ? pass : rest;
        size_t index = position * half + o % half;
        expect_near(check, o < half ? "pass" : "rest", index, (double)half_values[index], want,
                    (map->channels + 1) * (double)FLT_EPSILON * magnitude + inherited +
                        (double)FLT_MIN);
    }
}

size_t scratch_floats(size_t values) {
    size_t floats = 2 * values;
    return (floats > OF_SCRATCH_FLOATS ? floats : OF_SCRATCH_FLOATS) + OF_SCRATCH_EXTRA;
}
