/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose of the tap sum: runs of `outputs` floats move, none is computed. */
#include "kernels_avx512.h"
#include "vector.h"

static void zero_run(float *target, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        _mm512_mask_storeu_ps(target + i, first_lanes(at_most(n - i, LANES)), _mm512_setzero_ps());
}

/* `outputs` is a constant at the calls that matter. */
ALWAYS_INLINE void scatter_columns(const of_scatter_rows *rows, size_t outputs) {
    float *target = rows->target;
    for (size_t column = 0; column < rows->width; column++, target += rows->stride) {
        bool first = column != rows->without_first, last = column != rows->without_last;
        float *taps = target;
        for (size_t ky = 0; ky < 3; ky++, taps += 3 * outputs) {
            if (rows->rows[ky] == NULL) {
                zero_run(taps, 3 * outputs);
                continue;
            }
            const float *centre = rows->rows[ky] + column * outputs;
            if (first)
                copy_run(taps, centre - rows->step, outputs);
            else
                zero_run(taps, outputs);
            copy_run(taps + outputs, centre, outputs);
            if (last)
                copy_run(taps + 2 * outputs, centre + rows->step, outputs);
            else
                zero_run(taps + 2 * outputs, outputs);
        }
        zero_run(target + rows->used, rows->stride - rows->used);
    }
}

static void copy_columns(const of_scatter_rows *rows) {
    float *target = rows->target;
    for (size_t column = 0; column < rows->width; column++, target += rows->stride) {
        copy_run(target, rows->rows[0] + column * rows->outputs, rows->outputs);
        zero_run(target + rows->used, rows->stride - rows->used);
    }
}

void of_avx512_tap_scatter_row(const of_tap_row *row, const float *values, bool mirrored,
                               float *target) {
    of_scatter_rows rows = of_scatter_rows_of(row, values, mirrored, target);
    if (row->kernel == 1) {
        copy_columns(&rows);
        return;
    }
    switch (row->outputs) {
    case 6: /* a half of the first scale */
        scatter_columns(&rows, 6);
        break;
    case 12:
        scatter_columns(&rows, 12);
        break;
    case 24:
        scatter_columns(&rows, 24);
        break;
    case 48:
        scatter_columns(&rows, 48);
        break;
    default:
        scatter_columns(&rows, row->outputs);
        break;
    }
}
