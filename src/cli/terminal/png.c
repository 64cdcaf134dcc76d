/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/png.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <png.h>
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
    size_t rows = (grid->count + grid->columns - 1) / grid->columns, size;
    bool fits = of_multiply(grid->columns, (size_t)grid->width + GAP, &target->width) &&
                of_multiply(rows, (size_t)grid->height + GAP, &target->height);
    target->channels = grid->channels;
    if (!fits || target->width > INT32_MAX || target->height > INT32_MAX)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "the grid is too large for a PNG: ask for fewer images");
    target->width -= GAP;
    target->height -= GAP;
    fits = of_multiply(target->width, target->height, &size) &&
           of_multiply(size, target->channels, &size);
    target->pixels = fits ? of_allocate(size, 1) : NULL;
    if (target->pixels == NULL)
        return of_fail_memory(error, "the grid of images");
    memset(target->pixels, GAP_SHADE, size);
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
    png_image image = {
        .version = PNG_IMAGE_VERSION,
        .width = (png_uint_32)canvas.width,
        .height = (png_uint_32)canvas.height,
        .format = grid->channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY,
    };
    if (!png_image_write_to_stdio(&image, file, 0, canvas.pixels, 0, NULL))
        status = of_fail(error, OF_ERROR_IO, "writing the PNG failed: %s", image.message);
    png_image_free(&image);
    of_free(canvas.pixels);
    return status;
}
