/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 2, GAP_SHADE = 255 };

/* A grid as bytes, [height][width][channels]. */
typedef struct byte_canvas {
    unsigned char *pixels;
    size_t height, width, channels;
} byte_canvas;

static unsigned char to_byte(float value) {
    if (!(value > 0))
        return 0;
    return value < 1 ? (unsigned char)lrintf(255 * value) : 255;
}

static of_status canvas_allocate(const of_grid *grid, byte_canvas *target, of_error *error) {
    size_t rows = (grid->count + grid->columns - 1) / grid->columns;
    if (grid->columns > INT32_MAX / ((size_t)grid->width + GAP) ||
        rows > INT32_MAX / ((size_t)grid->height + GAP))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "the grid is too large for a PNG: ask for fewer images");
    target->width = grid->columns * ((size_t)grid->width + GAP) - GAP;
    target->height = rows * ((size_t)grid->height + GAP) - GAP;
    target->channels = grid->channels;
    target->pixels = calloc(target->height, target->width * target->channels);
    if (target->pixels == NULL)
        return of_fail_memory(error, "the grid of images");
    memset(target->pixels, GAP_SHADE, target->height * target->width * target->channels);
    return OF_OK;
}

static void place_image(const of_grid *grid, size_t index, byte_canvas *target) {
    size_t row_values = (size_t)grid->width * grid->channels;
    size_t top = index / grid->columns * ((size_t)grid->height + GAP);
    size_t left = index % grid->columns * ((size_t)grid->width + GAP);
    const float *image = grid->images + index * grid->height * row_values;
    for (size_t y = 0; y < grid->height; y++) {
        unsigned char *row = target->pixels + ((top + y) * target->width + left) * target->channels;
        for (size_t i = 0; i < row_values; i++)
            row[i] = to_byte(image[y * row_values + i]);
    }
}

of_status of_grid_write_png(const of_grid *grid, FILE *file, of_error *error) {
    byte_canvas canvas = {0};
    of_status status = canvas_allocate(grid, &canvas, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < grid->count; i++)
        place_image(grid, i, &canvas);
    uint8_t *png = NULL;
    size_t size;
    status = of_png_encode(canvas.pixels, grid->channels, (uint32_t)canvas.height,
                           (uint32_t)canvas.width, &png, &size, error);
    if (status == OF_OK && fwrite(png, 1, size, file) != size)
        status = of_fail(error, OF_ERROR_IO, "writing the PNG failed");
    of_free(png);
    free(canvas.pixels);
    return status;
}
