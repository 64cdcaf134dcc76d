/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a flow step: coefficients from taps, the coupling, its log-determinant, and the
 * next step's channel map. */
#include "kernels_scalar.h"

#include <math.h>
#include <string.h>

/* Coefficients of the position (row->row, column). */
static void tap_sum(const of_tap_row *row, uint32_t column, float *coefficients) {
    int64_t reach = row->kernel / 2;
    memcpy(coefficients, row->bias, row->outputs * sizeof *coefficients);
    for (uint32_t t = 0; t < row->kernel * row->kernel; t++) {
        int64_t y = (int64_t)row->row + t / row->kernel - reach;
        int64_t x = (int64_t)column + t % row->kernel - reach;
        if (y < 0 || y >= row->height || x < 0 || x >= row->width)
            continue;
        const float *tap = row->taps + ((size_t)y * row->width + (size_t)x) * row->stride +
                           (size_t)t * row->outputs;
        for (uint32_t o = 0; o < row->outputs; o++)
            coefficients[o] += tap[o];
    }
}

void of_scalar_tap_sum_row(const of_tap_row *row, float *coefficients) {
    for (uint32_t column = 0; column < row->width; column++)
        tap_sum(row, column, coefficients + (size_t)column * row->outputs);
}

/* s = sigmoid(t) and its logarithm, without overflow or cancellation for any t:
 *     e = exp(-min(|t|, 87))    s = (t >= 0 ? 1 : e) / (1 + e)    log s = min(t, 0) - log1p(e)
 * The limit keeps s at or above exp(-87), a normal number, so that the inverse stays finite;
 * log s is exact beyond it. Each comparison lets NaN through. */
static float sigmoid(float t, float *log_s) {
    float distance = fabsf(t);
    float e = expf(-(distance > 87.0f ? 87.0f : distance));
    *log_s = (t > 0.0f ? 0.0f : t) - log1pf(e);
    return (t < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The coupling on one position's rest half, which begins at `start`; returns the sum of log s. */
static double couple(const of_coupling_row *row, size_t start) {
    const float *add = row->scratch, *raw = row->scratch + row->half;
    float *rest = row->rest + start;
    double log_det = 0.0;
    for (uint32_t i = 0; i < row->half; i++) {
        float s = 1.0f, log_s = 0.0f;
        if (row->affine)
            s = sigmoid(raw[i] + 2.0f, &log_s);
        rest[i] = row->inverse ? rest[i] / s - add[i] : (rest[i] + add[i]) * s;
        if (row->affine && row->kept_scale != NULL)
            row->kept_scale[start + i] = s;
        log_det += (double)log_s;
    }
    return log_det;
}

static void keep_state(const of_coupling_row *row, size_t start) {
    if (row->kept_pass != NULL)
        memcpy(row->kept_pass + start, row->pass + start, row->half * sizeof *row->pass);
    if (row->kept_rest != NULL)
        memcpy(row->kept_rest + start, row->rest + start, row->half * sizeof *row->rest);
}

static void map_position(const of_coupling_row *row, float *pass, float *rest) {
    size_t half = row->half;
    float *x = row->scratch, *y = row->scratch + 2 * half;
    memcpy(x, pass, half * sizeof *x);
    memcpy(x + half, rest, half * sizeof *x);
    of_scalar_apply_map(row->map, x, y);
    memcpy(pass, y, half * sizeof *y);
    memcpy(rest, y + half, half * sizeof *y);
}

double of_scalar_coupling_row(const of_coupling_row *row) {
    double log_det = 0.0;
    for (uint32_t column = 0; column < row->taps.width; column++) {
        size_t start = ((size_t)row->taps.row * row->taps.width + column) * row->half;
        tap_sum(&row->taps, column, row->scratch);
        log_det += couple(row, start);
        keep_state(row, start);
        if (row->map != NULL)
            map_position(row, row->pass + start, row->rest + start);
    }
    return log_det;
}
