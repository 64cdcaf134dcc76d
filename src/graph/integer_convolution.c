/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/integer_convolution.h"

#include "core/error.h"
#include "core/memory.h"
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { GROUP = 4 /* bytes */, LANES = 16, OUTSIDE = -1 };

struct of_integer_convolution {
    of_convolution_shape shape;
    const of_kernels *kernels;
    size_t taps, position_bytes, groups; /* position_bytes, and groups of it: of the source */
    int32_t *places;                     /* kernel 3: [positions][taps] source position, OUTSIDE */
    void *zeros;                         /* a source position outside */
    float *no_bias;                      /* [outputs] zeros, for shapes without one */
};

static bool is_wide(const of_convolution_shape *shape) {
    return shape->source == OF_PRECISION_INT16;
}

/* ---- Creation ---------------------------------------------------------------------------- */

static int32_t place_of(const of_convolution_shape *shape, uint32_t y, uint32_t x, size_t tap) {
    int64_t row = (int64_t)y + (int64_t)(tap / 3) - 1 + shape->above;
    int64_t column = (int64_t)x + (int64_t)(tap % 3) - 1;
    int64_t rows = (int64_t)shape->height + shape->above + shape->below;
    if (row < 0 || row >= rows || column < 0 || column >= (int64_t)shape->width)
        return OUTSIDE;
    return (int32_t)(row * shape->width + column);
}

static void fill_places(of_integer_convolution *c) {
    const of_convolution_shape *shape = &c->shape;
    int32_t *place = c->places;
    for (uint32_t y = 0; y < shape->height; y++)
        for (uint32_t x = 0; x < shape->width; x++)
            for (size_t tap = 0; tap < c->taps; tap++)
                *place++ = place_of(shape, y, x, tap);
}

of_status of_integer_convolution_create(const of_convolution_shape *shape,
                                        of_integer_convolution **result, of_error *error) {
    size_t positions = (size_t)shape->height * shape->width;
    size_t bytes = shape->inputs * of_precision_bytes(shape->source);
    if (bytes % GROUP != 0 || shape->outputs % LANES != 0)
        return of_fail(error, OF_ERROR_INTERNAL, "an integer convolution of %u inputs, %u outputs",
                       (unsigned)shape->inputs, (unsigned)shape->outputs);
    of_integer_convolution *c = of_allocate_zeroed(1, sizeof *c);
    if (c == NULL)
        return of_fail_memory(error, "a convolution");
    *c = (of_integer_convolution){.shape = *shape,
                                  .kernels = of_kernels_for(OF_ISA_AVX512),
                                  .taps = (size_t)shape->kernel * shape->kernel,
                                  .position_bytes = bytes,
                                  .groups = bytes / GROUP};
    c->zeros = of_allocate_zeroed(bytes, 1);
    c->no_bias = of_allocate_zeroed(shape->outputs, sizeof *c->no_bias);
    c->places = shape->kernel == 1 ? NULL : of_allocate(positions * c->taps, sizeof *c->places);
    if (c->zeros == NULL || c->no_bias == NULL || (shape->kernel > 1 && c->places == NULL)) {
        of_integer_convolution_free(c);
        return of_fail_memory(error, "a convolution");
    }
    if (c->places != NULL)
        fill_places(c);
    *result = c;
    return OF_OK;
}

void of_integer_convolution_free(of_integer_convolution *convolution) {
    if (convolution == NULL)
        return;
    of_free(convolution->places);
    of_free(convolution->zeros);
    of_free(convolution->no_bias);
    of_free(convolution);
}

/* ---- Weights: scales [outputs], then the panels of of_integer_tile ------------------------- */

static size_t scale_bytes(const of_integer_convolution *c) {
    return of_round_up(c->shape.outputs * sizeof(float), OF_ALIGNMENT);
}

size_t of_integer_convolution_weight_bytes(const of_integer_convolution *c) {
    return scale_bytes(c) +
           of_round_up(c->taps * c->position_bytes * c->shape.outputs, OF_ALIGNMENT);
}

/* The scale uses the whole range of the integers, unless sums of the largest inputs would then
 * leave 32 bits; rounding adds half a unit to each weight at most. */
float of_integer_weights(const of_convolution_shape *shape, const float *weights,
                         int16_t *integers) {
    size_t count = (size_t)shape->inputs * shape->kernel * shape->kernel;
    double most_weight = is_wide(shape) ? 32767 : 127;
    double most_input = is_wide(shape) ? OF_INT16_MOST : 255;
    double room = INT32_MAX / most_input - 0.5 * (double)count;
    double largest = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)weights[i]));
        sum += fabs((double)weights[i]);
    }
    float scale = (float)fmax(largest / most_weight, sum / fmax(room, 1));
    if (!(scale > FLT_MIN)) /* no weights to speak of */
        scale = 1;
    for (size_t i = 0; i < count; i++) {
        double rounded = nearbyint((double)weights[i] / (double)scale);
        integers[i] = (int16_t)fmax(-most_weight, fmin(most_weight, rounded));
    }
    return scale;
}

/* Where the weight of input i, tap t, output o stands, in numbers. */
static size_t weight_place(const of_integer_convolution *c, uint32_t o, size_t tap, uint32_t i) {
    size_t in_group = is_wide(&c->shape) ? 2 : 4;
    size_t first = (size_t)(o / OF_PANEL_OUTPUTS) * OF_PANEL_OUTPUTS,
           left = c->shape.outputs - first;
    size_t width = left < OF_PANEL_OUTPUTS ? left : OF_PANEL_OUTPUTS;
    size_t group = tap * c->groups + i / in_group;
    return (first * c->taps * c->groups + group * width + o - first) * in_group + i % in_group;
}

of_status of_integer_convolution_pack(const of_integer_convolution *c, const float *weights,
                                      void *packed, of_error *error) {
    const of_convolution_shape *shape = &c->shape;
    size_t row = (size_t)shape->inputs * c->taps;
    float *scales = packed;
    char *target = (char *)packed + scale_bytes(c);
    int16_t *integers = of_allocate(row, sizeof *integers);
    if (integers == NULL)
        return of_fail_memory(error, "integer weights");
    for (uint32_t o = 0; o < shape->outputs; o++) {
        scales[o] = of_integer_weights(shape, weights + o * row, integers);
        for (uint32_t i = 0; i < shape->inputs; i++)
            for (size_t tap = 0; tap < c->taps; tap++) {
                int16_t value = integers[i * c->taps + tap];
                size_t place = weight_place(c, o, tap, i);
                if (is_wide(shape))
                    ((int16_t *)(void *)target)[place] = value;
                else
                    ((int8_t *)target)[place] = (int8_t)value;
            }
    }
    of_free(integers);
    return OF_OK;
}

/* ---- Running ----------------------------------------------------------------------------- */

/* Source pointers of the tile's rows for every tap. Taps that lie outside for all rows, at the
 * image's first or last row, are left out. */
static void find_sources(const of_integer_convolution *c, const char *source, size_t first,
                         const void **sources, of_integer_tile *tile) {
    const of_convolution_shape *shape = &c->shape;
    size_t positions = (size_t)shape->height * shape->width;
    size_t image_bytes =
        (size_t)(shape->height + shape->above + shape->below) * shape->width * c->position_bytes;
    size_t image = first / positions, position = first % positions;
    bool inside[9] = {false};
    for (size_t r = 0; r < OF_TILE_ROWS; r++, position++) {
        if (position == positions) {
            position = 0;
            image++;
        }
        const char *base = source + image * image_bytes;
        const int32_t *places = c->places + position * c->taps;
        for (size_t tap = 0; tap < c->taps; tap++) {
            bool there = r < tile->rows && places[tap] != OUTSIDE;
            inside[tap] |= there;
            sources[tap * OF_TILE_ROWS + r] =
                there ? base + (size_t)places[tap] * c->position_bytes : c->zeros;
        }
    }
    size_t begin = 0, end = c->taps;
    while (begin + 1 < end && !inside[begin])
        begin++;
    while (end > begin + 1 && !inside[end - 1])
        end--;
    tile->sources = sources + begin * OF_TILE_ROWS;
    tile->first_tap = begin;
    tile->taps = end - begin;
}

static void find_rows(const of_integer_convolution *c, const char *source, size_t first,
                      const void **sources, of_integer_tile *tile) {
    for (size_t r = 0; r < OF_TILE_ROWS; r++)
        sources[r] = r < tile->rows ? source + (first + r) * c->position_bytes : c->zeros;
    tile->sources = sources;
    tile->taps = 1;
}

static of_tile_target target_of(const of_convolution_shape *shape) {
    switch (shape->target) {
    case OF_PRECISION_INT8:
        return OF_TILE_U8;
    case OF_PRECISION_INT16:
        return OF_TILE_S16;
    default:
        return OF_TILE_F32;
    }
}

void of_integer_convolution_run(const of_integer_convolution *c, uint32_t images,
                                const void *source, const void *packed, const float *bias,
                                void *target) {
    const of_convolution_shape *shape = &c->shape;
    const void *sources[9 * OF_TILE_ROWS];
    size_t positions = (size_t)images * shape->height * shape->width;
    of_integer_tile tile = {.groups = c->groups,
                            .all_taps = c->taps,
                            .wide = is_wide(shape),
                            .weights = (const char *)packed + scale_bytes(c),
                            .scale = packed,
                            .bias = shape->bias ? bias : c->no_bias,
                            .outputs = shape->outputs,
                            .to = target_of(shape),
                            .stride = shape->outputs * of_precision_bytes(shape->target)};
    for (size_t first = 0; first < positions; first += OF_TILE_ROWS) {
        size_t left = positions - first;
        tile.rows = left < OF_TILE_ROWS ? (uint32_t)left : OF_TILE_ROWS;
        tile.target = (char *)target + first * tile.stride;
        if (c->places != NULL)
            find_sources(c, source, first, sources, &tile);
        else
            find_rows(c, source, first, sources, &tile);
        c->kernels->integer_tile(&tile);
    }
}
