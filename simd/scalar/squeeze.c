/* SPDX-License-Identifier: Apache-2.0 */
/* Squeeze 2x2 with the map that follows it, and the inverse of the squeeze. */
#include "kernels_scalar.h"

#include <string.h>

/* Where squeezed channel `channel` of position (row, column) stands in the source image. */
static size_t source_index(uint32_t channel, uint32_t source_channels, size_t row_stride,
                           uint32_t row, uint32_t column) {
    uint32_t c = channel / 4, dy = channel / 2 % 2, dx = channel % 2;
    return (2 * (size_t)row + dy) * row_stride + (2 * (size_t)column + dx) * source_channels + c;
}

/* Maps the squeezed channels x of one position and splits the result into the two halves. */
static void map_position(const of_squeeze_row *row, uint32_t column, const float *x, float *y) {
    size_t half = row->map->channels / 2;
    size_t start = ((size_t)row->row * row->width + column) * half;
    of_scalar_apply_map(row->map, x, y);
    memcpy(row->pass + start, y, half * sizeof *y);
    memcpy(row->rest + start, y + half, half * sizeof *y);
}

void of_scalar_squeeze_row_u8(const of_squeeze_row *row) {
    const uint8_t *source = row->source;
    uint32_t channels = row->map->channels;
    for (uint32_t column = 0; column < row->width; column++) {
        for (uint32_t c = 0; c < channels; c++)
            row->scratch[c] = (float)
                source[source_index(c, row->source_channels, row->row_stride, row->row, column)];
        map_position(row, column, row->scratch, row->scratch + channels);
    }
}

void of_scalar_squeeze_row_f32(const of_squeeze_row *row) {
    const float *source = row->source;
    uint32_t channels = row->map->channels;
    for (uint32_t column = 0; column < row->width; column++) {
        for (uint32_t c = 0; c < channels; c++)
            row->scratch[c] =
                source[source_index(c, row->source_channels, row->row_stride, row->row, column)];
        map_position(row, column, row->scratch, row->scratch + channels);
    }
}

void of_scalar_unsqueeze_row(const of_unsqueeze_row *row) {
    uint32_t half = 2 * row->source_channels;
    for (uint32_t column = 0; column < row->width; column++) {
        size_t start = ((size_t)row->row * row->width + column) * half;
        for (uint32_t c = 0; c < 2 * half; c++) {
            size_t target =
                source_index(c, row->source_channels, row->row_stride, row->row, column);
            row->target[target] = c < half ? row->pass[start + c] : row->rest[start + c - half];
        }
    }
}
