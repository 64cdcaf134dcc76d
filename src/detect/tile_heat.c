/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/tile_heat.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <string.h>

/* Pixels of the map that a tile touches along one side, and where the tile lies. */
typedef struct extent {
    uint32_t begin, end;
    uint32_t cell, from, length;
} extent;

static extent extent_of(uint32_t from, uint32_t length, uint32_t cell) {
    return (extent){from / cell, (from + length - 1) / cell + 1, cell, from, length};
}

/* Of the middle of a pixel of the map, or where the tile comes nearest to it. */
static double place_in_tile(const extent *along, uint32_t index) {
    double middle = ((double)index + 0.5) * along->cell - along->from;
    return fmin(fmax(middle, 0.5), along->length - 0.5);
}

static float weight_at(const extent *along, uint32_t index) {
    double half = along->length / 2.0, distance = fabs(place_in_tile(along, index) - half);
    return (float)(1 + 1.0 / along->length - distance / half);
}

void of_heat_canvas_open(const of_architecture *architecture, uint32_t side,
                         of_heat_canvas *canvas) {
    *canvas = (of_heat_canvas){.side = side,
                               .channels = architecture->channels,
                               .tile_height = architecture->height,
                               .tile_width = architecture->width};
}

static void free_memory(of_heat_canvas *canvas) {
    of_free(canvas->sums);
    of_free(canvas->weights);
    of_free(canvas->pixels);
    canvas->sums = canvas->weights = NULL;
    canvas->pixels = NULL;
    canvas->capacity = 0;
}

void of_heat_canvas_close(of_heat_canvas *canvas) {
    free_memory(canvas);
}

static of_status reserve(of_heat_canvas *canvas, size_t pixels, of_error *error) {
    size_t bytes;
    if (pixels <= canvas->capacity)
        return OF_OK;
    free_memory(canvas);
    canvas->sums = of_allocate(pixels, sizeof *canvas->sums);
    canvas->weights = of_allocate(pixels, sizeof *canvas->weights);
    if (of_multiply(pixels, canvas->channels, &bytes))
        canvas->pixels = of_allocate(bytes, 1);
    if (canvas->sums == NULL || canvas->weights == NULL || canvas->pixels == NULL) {
        free_memory(canvas);
        return of_fail_memory(error, "the heat of a picture");
    }
    canvas->capacity = pixels;
    return OF_OK;
}

of_status of_heat_canvas_begin(of_heat_canvas *canvas, const of_tile *tile, of_error *error) {
    uint32_t height = tile->picture_height, width = tile->picture_width;
    uint32_t longer = height > width ? height : width;
    uint32_t cell = (longer - 1) / canvas->side + 1;
    canvas->heat = (of_tiled_heat){
        .height = (height - 1) / cell + 1, .width = (width - 1) / cell + 1, .cell = cell};
    size_t pixels = (size_t)canvas->heat.height * canvas->heat.width;
    of_status status = reserve(canvas, pixels, error);
    if (status != OF_OK)
        return status;
    memset(canvas->sums, 0, pixels * sizeof *canvas->sums);
    memset(canvas->weights, 0, pixels * sizeof *canvas->weights);
    canvas->heat.values = canvas->sums;
    canvas->heat.pixels = canvas->pixels;
    return OF_OK;
}

/* Pixels `low` to `high` of a tile, as the model takes it, that a pixel of the map stands for. */
static void span_of(const extent *along, uint32_t index, uint32_t pixels, size_t *low,
                    size_t *high) {
    double scale = (double)pixels / along->length;
    double from = fmax(0, ((double)index * along->cell - along->from) * scale);
    double to = ((double)(index + 1) * along->cell - along->from) * scale;
    *low = from < pixels - 1 ? (size_t)from : pixels - 1;
    *high = to >= pixels ? pixels : (size_t)ceil(to);
    if (*high <= *low)
        *high = *low + 1;
}

static uint8_t mean_of(const of_heat_canvas *canvas, const uint8_t *pixels, const size_t rows[2],
                       const size_t columns[2], uint32_t channel) {
    size_t sum = 0, count = (rows[1] - rows[0]) * (columns[1] - columns[0]);
    for (size_t y = rows[0]; y < rows[1]; y++)
        for (size_t x = columns[0]; x < columns[1]; x++)
            sum += pixels[(y * canvas->tile_width + x) * canvas->channels + channel];
    return (uint8_t)((sum + count / 2) / count);
}

/* Tiles that overlap show the same: the last one is as good as any. */
static void copy_pixels(of_heat_canvas *canvas, const extent *down, const extent *across,
                        const uint8_t *pixels) {
    size_t rows[2], columns[2];
    for (uint32_t y = down->begin; y < down->end; y++) {
        span_of(down, y, canvas->tile_height, &rows[0], &rows[1]);
        for (uint32_t x = across->begin; x < across->end; x++) {
            span_of(across, x, canvas->tile_width, &columns[0], &columns[1]);
            for (uint32_t c = 0; c < canvas->channels; c++)
                canvas->pixels[((size_t)y * canvas->heat.width + x) * canvas->channels + c] =
                    mean_of(canvas, pixels, rows, columns, c);
        }
    }
}

static void add_value(of_heat_canvas *canvas, const extent *down, const extent *across,
                      float value) {
    for (uint32_t y = down->begin; y < down->end; y++) {
        size_t row = (size_t)y * canvas->heat.width;
        float vertical = weight_at(down, y);
        for (uint32_t x = across->begin; x < across->end; x++) {
            float weight = vertical * weight_at(across, x);
            canvas->sums[row + x] += weight * value;
            canvas->weights[row + x] += weight;
        }
    }
}

void of_heat_canvas_add(of_heat_canvas *canvas, const of_tile *tile, const uint8_t *pixels,
                        double value) {
    const extent down = extent_of(tile->y, tile->height, canvas->heat.cell);
    const extent across = extent_of(tile->x, tile->width, canvas->heat.cell);
    add_value(canvas, &down, &across, isfinite(value) ? (float)value : INFINITY);
    copy_pixels(canvas, &down, &across, pixels);
}

void of_heat_canvas_finish(of_heat_canvas *canvas) {
    size_t pixels = (size_t)canvas->heat.height * canvas->heat.width;
    for (size_t i = 0; i < pixels; i++)
        canvas->sums[i] /= canvas->weights[i];
}
