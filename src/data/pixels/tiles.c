/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/tiles.h"

#include "core/error.h"
#include "data/pixels/convert.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- What is asked for ----------------------------------------------------------------------- */

of_status of_tiling_check(const of_tiling *tiling, of_error *error) {
    if (tiling->size < OF_TILE_LEAST || tiling->size > OF_MAX_SIDE)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                               "a tile has %d to %d pixels a side, not %" PRIu32,
                               (int)OF_TILE_LEAST, (int)OF_MAX_SIDE, tiling->size);
    if (tiling->stride == 0 || tiling->stride > tiling->size)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                               "tiles of %" PRIu32 " pixels lie 1 to %" PRIu32
                               " pixels apart, not %" PRIu32 ": nothing between them is left out",
                               tiling->size, tiling->size, tiling->stride);
    return OF_OK;
}

/* Digits up to `after`; what does not fit into 32 bits becomes the largest number. */
static const char *read_number(const char *text, uint32_t *value) {
    uint64_t read = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        read = read < UINT32_MAX ? read * 10 + (uint64_t)(*at - '0') : UINT32_MAX;
    *value = read < UINT32_MAX ? (uint32_t)read : UINT32_MAX;
    return at > text ? at : NULL;
}

of_status of_tiling_parse(const char *text, of_tiling *tiling, const char **rest, of_error *error) {
    of_tiling read = {0, 0};
    const char *at = read_number(text, &read.size);
    const char *further = at != NULL && *at == ':' ? read_number(at + 1, &read.stride) : NULL;
    /* What begins with digits may be a folder's name as well. */
    bool with_stride = further != NULL && *further == (rest != NULL ? ':' : '\0');
    at = with_stride ? further : at;
    if (at == NULL || *at != (rest != NULL ? ':' : '\0'))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                               "tiles '%.200s': expected SIZE or SIZE:STRIDE in pixels, for "
                               "example 32 or 32:16",
                               text);
    if (!with_stride)
        read.stride = read.size > 1 ? read.size / 2 : read.size;
    of_status status = of_tiling_check(&read, error);
    if (status != OF_OK)
        return status;
    *tiling = read;
    if (rest != NULL)
        *rest = at + 1;
    return OF_OK;
}

/* ---- Where they lie -------------------------------------------------------------------------- */

static uint32_t scaled(uint32_t length, double factor, uint32_t most) {
    double rounded = floor(length * factor + 0.5);
    return rounded < 1 ? 1 : rounded > most ? most : (uint32_t)rounded;
}

static uint32_t windows(uint32_t length, uint32_t window, uint32_t step) {
    return length > window ? 1 + (length - window + step - 1) / step : 1;
}

of_tile_grid of_tile_grid_of(const of_tiling *tiling, uint32_t height, uint32_t width,
                             uint32_t picture_height, uint32_t picture_width) {
    double form = (double)width / height;
    double tile_height = tiling->size, tile_width = tiling->size * form;
    double factor = fmin(1, fmin(picture_height / tile_height, picture_width / tile_width));
    of_tile_grid grid = {
        .picture_height = picture_height,
        .picture_width = picture_width,
        .height = scaled(tiling->size, factor, picture_height),
        .width = scaled(tiling->size, factor * form, picture_width),
        .step_y = scaled(tiling->stride, factor, OF_MAX_SIDE),
        .step_x = scaled(tiling->stride, factor * form, OF_MAX_SIDE),
        .enlarged = factor < 1,
    };
    /* Rounding must not leave a gap. */
    grid.step_y = grid.step_y < grid.height ? grid.step_y : grid.height;
    grid.step_x = grid.step_x < grid.width ? grid.step_x : grid.width;
    grid.down = windows(picture_height, grid.height, grid.step_y);
    grid.across = windows(picture_width, grid.width, grid.step_x);
    return grid;
}

uint64_t of_tile_grid_count(const of_tile_grid *grid) {
    return (uint64_t)grid->down * grid->across;
}

static uint32_t place(uint32_t number, uint32_t step, uint32_t last) {
    uint64_t at = (uint64_t)number * step;
    return at < last ? (uint32_t)at : last;
}

of_tile of_tile_grid_at(const of_tile_grid *grid, uint64_t picture, uint64_t number) {
    uint32_t row = (uint32_t)(number / grid->across), column = (uint32_t)(number % grid->across);
    return (of_tile){
        .x = place(column, grid->step_x, grid->picture_width - grid->width),
        .y = place(row, grid->step_y, grid->picture_height - grid->height),
        .height = grid->height,
        .width = grid->width,
        .picture_height = grid->picture_height,
        .picture_width = grid->picture_width,
        .down = grid->down,
        .across = grid->across,
        .picture = picture,
        .number = number,
        .enlarged = grid->enlarged,
    };
}
