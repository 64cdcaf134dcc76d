/* SPDX-License-Identifier: Apache-2.0 */
/* The transpose of the tap sum, and the gathering of neighbourhoods. */
#include "kernels_scalar.h"

#include <string.h>

/* What tap t of the position (row->row, column) takes, or NULL outside the image. */
static const float *source_of(const of_tap_row *row, const float *values, uint32_t column,
                              uint32_t t, bool mirrored) {
    int64_t reach = row->kernel / 2, sign = mirrored ? 1 : -1;
    int64_t y = (int64_t)row->row + sign * (t / row->kernel - reach);
    int64_t x = (int64_t)column + sign * (t % row->kernel - reach);
    if (y < 0 || y >= row->height || x < 0 || x >= row->width)
        return NULL;
    return values + ((size_t)y * row->width + (size_t)x) * row->outputs;
}

void of_scalar_tap_scatter_row(const of_tap_row *row, const float *values, bool mirrored,
                               float *target) {
    size_t outputs = row->outputs, used = row->kernel * row->kernel * outputs;
    float *position = target + (size_t)row->row * row->width * row->stride;
    for (uint32_t column = 0; column < row->width; column++, position += row->stride) {
        for (uint32_t t = 0; t < row->kernel * row->kernel; t++) {
            const float *source = source_of(row, values, column, t, mirrored);
            if (source != NULL)
                memcpy(position + t * outputs, source, outputs * sizeof *source);
            else
                memset(position + t * outputs, 0, outputs * sizeof *position);
        }
        memset(position + used, 0, (row->stride - used) * sizeof *position);
    }
}
