/* SPDX-License-Identifier: Apache-2.0 */
/* One map of heat from the scores of a picture's tiles, and the picture itself, reduced. */
#ifndef OF_DETECT_TILE_HEAT_H
#define OF_DETECT_TILE_HEAT_H

#include <outflow/detect.h>

/* The map of the picture that is being put together:
 *
 *   value(p) = sum over tiles t of w(p - middle of t) score(t) / sum of w,    w(d) = w(dx) w(dy)
 *   w(dx) = 1 + 1/width - |dx| / (width / 2)
 *
 * A tent that is lowest, but not 0, at the tile's edge: so the map has no seams where tiles begin,
 * and every pixel has a value. */
typedef struct of_heat_canvas {
    of_tiled_heat heat;                         /* values and pixels point into the memory below */
    uint32_t side;                              /* most of the map */
    uint32_t channels, tile_height, tile_width; /* of the tiles' pixels, as the model takes them */
    float *sums, *weights;                      /* [height][width] */
    uint8_t *pixels;                            /* [height][width][channels] */
    size_t capacity;                            /* pixels */
} of_heat_canvas;

/* `side` of at least 1; tiles have the form of the architecture's images. */
void of_heat_canvas_open(const of_architecture *architecture, uint32_t side,
                         of_heat_canvas *canvas);
void of_heat_canvas_close(of_heat_canvas *canvas);

/* Forgets the picture before; `tile` is any tile of the next one. */
of_status of_heat_canvas_begin(of_heat_canvas *canvas, const of_tile *tile, of_error *error);

/* What is not finite is most anomalous: the places that it covers are infinite. */
void of_heat_canvas_add(of_heat_canvas *canvas, const of_tile *tile, const uint8_t *pixels,
                        double value);

/* All tiles are there: values are means from now on. */
void of_heat_canvas_finish(of_heat_canvas *canvas);

#endif
