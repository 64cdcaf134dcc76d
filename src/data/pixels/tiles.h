/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of a picture: where they lie. */
#ifndef OF_DATA_PIXELS_TILES_H
#define OF_DATA_PIXELS_TILES_H

#include <outflow/outflow.h>

/* The windows of one picture, row by row. The last ones of a row and of a column end with the
 * picture, so that every pixel is covered; they may lie closer to those before than the others. */
typedef struct of_tile_grid {
    uint32_t picture_height, picture_width;
    uint32_t height, width;  /* of a window, in pixels of the picture */
    uint32_t step_y, step_x; /* from one to the next */
    uint32_t down, across;   /* windows */
    bool enlarged;           /* the picture is smaller than a tile: its windows are, too */
} of_tile_grid;

/* `tiling` passes of_tiling_check. Windows have the form of a `height` x `width` image, and
 * tiling->size pixels down; in a picture that is smaller, as many as fit, which is as if the
 * picture were enlarged. */
of_tile_grid of_tile_grid_of(const of_tiling *tiling, uint32_t height, uint32_t width,
                             uint32_t picture_height, uint32_t picture_width);

uint64_t of_tile_grid_count(const of_tile_grid *grid);

/* Window `number` of picture number `picture`; number < count. */
of_tile of_tile_grid_at(const of_tile_grid *grid, uint64_t picture, uint64_t number);

#endif
