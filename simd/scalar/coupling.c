/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a flow step: coefficients from taps, the coupling (scale_map.c), and the next step's
 * channel map. */
#include "kernels_scalar.h"

#include <string.h>

/* The bias of the position (row->row, column). */
static const float *bias_of(const of_tap_row *row, uint32_t column) {
    if (row->edge_bias == NULL)
        return row->bias;
    uint32_t number =
        (row->row == 0 ? OF_EDGE_TOP : 0) | (row->row + 1 == row->height ? OF_EDGE_BOTTOM : 0) |
        (column == 0 ? OF_EDGE_LEFT : 0) | (column + 1 == row->width ? OF_EDGE_RIGHT : 0);
    return row->edge_bias + (size_t)number * row->outputs;
}

/* Coefficients of the position (row->row, column). */
static void tap_sum(const of_tap_row *row, uint32_t column, float *coefficients) {
    int64_t reach = row->kernel / 2;
    memcpy(coefficients, bias_of(row, column), row->outputs * sizeof *coefficients);
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
        log_det += of_scalar_couple(row, row->scratch, start);
        keep_state(row, start);
        if (row->map != NULL)
            map_position(row, row->pass + start, row->rest + start);
    }
    return log_det;
}
