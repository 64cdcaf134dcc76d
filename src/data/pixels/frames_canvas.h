/* SPDX-License-Identifier: Apache-2.0 */
/* The canvas that the frames of an animation are drawn on, for the formats that have one. */
#ifndef OF_DATA_PIXELS_FRAMES_CANVAS_H
#define OF_DATA_PIXELS_FRAMES_CANVAS_H

#include "data/pixels/decoder.h"

/* What becomes of a frame's area before the next frame. */
typedef enum of_disposal { OF_KEEP, OF_CLEAR, OF_RESTORE } of_disposal;

typedef struct of_area {
    uint32_t x, y, width, height;
} of_area;

typedef struct of_canvas {
    uint32_t height, width;
    uint8_t *pixels; /* [height][width][4], opacity last */
    uint8_t *before; /* the same before the last frame */
    of_area area;    /* of the last frame */
    of_disposal disposal;
} of_canvas;

of_status of_canvas_open(uint32_t height, uint32_t width, of_canvas *canvas, of_error *error);
void of_canvas_close(of_canvas *canvas);

/* Does what the last frame asked for and remembers what is there. */
void of_canvas_prepare(of_canvas *canvas);

/* Draws a picture of 1 to 4 channels with its upper left corner at the area's; `over`: what is
 * transparent lets the canvas through, else it replaces it. Only what lies on the canvas counts. */
void of_canvas_draw(of_canvas *canvas, const of_picture *picture, of_area area, bool over);

/* ---- Formats: draw the next frame, whose place in the file is *at, and say its area and disposal.
 * -------------------------------------------------------------------------------------------------
 */

of_status of_gif_draw(const uint8_t *bytes, size_t size, size_t *at, of_canvas *canvas,
                      of_error *error);
of_status of_png_draw(const uint8_t *bytes, size_t size, size_t *at, of_canvas *canvas,
                      of_error *error);

#ifdef OUTFLOW_WEBP
typedef struct of_webp_frames of_webp_frames;
of_status of_webp_frames_open(const uint8_t *bytes, size_t size, of_webp_frames **frames,
                              of_error *error);
/* [height][width][4], valid until the next call. */
of_status of_webp_frames_next(of_webp_frames *frames, const uint8_t **pixels, of_error *error);
void of_webp_frames_close(of_webp_frames *frames);
#endif

#endif
