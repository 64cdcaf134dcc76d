/* SPDX-License-Identifier: Apache-2.0 */
/* A part of an integer convolution. */
#include "kernels_scalar.h"

#include <math.h>
#include <string.h>

/* Products of a group of 4 bytes. */
static int32_t group_sum(bool wide, const void *source, const void *weights) {
    int32_t sum = 0;
    if (wide) {
        int16_t x[2], w[2];
        memcpy(x, source, sizeof x);
        memcpy(w, weights, sizeof w);
        for (int i = 0; i < 2; i++)
            sum += (int32_t)x[i] * w[i];
        return sum;
    }
    uint8_t x[4];
    int8_t w[4];
    memcpy(x, source, sizeof x);
    memcpy(w, weights, sizeof w);
    for (int i = 0; i < 4; i++)
        sum += (int32_t)x[i] * w[i];
    return sum;
}

/* Output o of row r. */
static int32_t sum_of(const of_integer_tile *tile, uint32_t r, uint32_t o) {
    size_t depth = tile->all_taps * tile->groups;
    uint32_t first = o / OF_PANEL_OUTPUTS * OF_PANEL_OUTPUTS, left = tile->outputs - first;
    uint32_t width = left < OF_PANEL_OUTPUTS ? left : OF_PANEL_OUTPUTS;
    size_t skipped = tile->first_tap * tile->groups * width;
    const char *weights = (const char *)tile->weights + (first * depth + skipped + o - first) * 4;
    int32_t sum = 0;
    for (size_t t = 0; t < tile->taps; t++)
        for (size_t g = 0; g < tile->groups; g++, weights += (size_t)width * 4)
            sum += group_sum(tile->wide, (const char *)tile->sources[t * OF_TILE_ROWS + r] + g * 4,
                             weights);
    return sum;
}

static long limited(float value, float most) {
    value = value > 0.0f ? value : 0.0f;
    return lrintf(value < most ? value : most);
}

void of_scalar_integer_tile(const of_integer_tile *tile) {
    for (uint32_t r = 0; r < tile->rows; r++) {
        char *row = (char *)tile->target + r * tile->stride;
        for (uint32_t o = 0; o < tile->outputs; o++) {
            float y = fmaf(tile->scale[o], (float)sum_of(tile, r, o), tile->bias[o]);
            uint8_t narrow = (uint8_t)limited(y, 255.0f);
            int16_t wide = (int16_t)limited(y, OF_INT16_MOST);
            if (tile->to == OF_TILE_F32)
                memcpy(row + o * sizeof y, &y, sizeof y);
            else if (tile->to == OF_TILE_U8)
                memcpy(row + o, &narrow, sizeof narrow);
            else
                memcpy(row + o * sizeof wide, &wide, sizeof wide);
        }
    }
}
