/* SPDX-License-Identifier: Apache-2.0 */
/* The affine map of a position's channels, y = A x + b. */
#include "kernels_scalar.h"

/* Outputs 0..half-1 stand at the start of a matrix row, the others at half_padded. */
static uint32_t padded_index(const of_channel_map *map, uint32_t output) {
    uint32_t half = map->channels / 2;
    return output < half ? output : map->half_padded + output - half;
}

/* y += A x */
static void add_product(const of_channel_map *map, const float *x, float *y) {
    size_t row_length = 2 * (size_t)map->half_padded;
    for (uint32_t c = 0; c < map->channels; c++) {
        const float *column = map->matrix + c * row_length;
        for (uint32_t o = 0; o < map->channels; o++)
            y[o] += column[padded_index(map, o)] * x[c];
    }
}

void of_scalar_apply_map(const of_channel_map *map, const float *x, float *y) {
    for (uint32_t o = 0; o < map->channels; o++)
        y[o] = map->bias[padded_index(map, o)];
    add_product(map, x, y);
}

void of_scalar_apply_matrix(const of_channel_map *map, const float *x, float *y) {
    for (uint32_t o = 0; o < map->channels; o++)
        y[o] = 0.0f;
    add_product(map, x, y);
}
