/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A float image to paint synthetic scenes on. Coordinates have their origin in the centre, y
 * points down, and the shorter side runs from -1 to 1. Edges are smoothed over one pixel by
 * their signed distance (negative inside), so nothing is supersampled.
 */
#ifndef OF_DATA_SYNTHETIC_CANVAS_H
#define OF_DATA_SYNTHETIC_CANVAS_H

#include "core/random.h"
#include "data/pixels/convert.h"

typedef struct of_colour {
    float red, green, blue; /* 0..1 */
} of_colour;

typedef struct of_point {
    float x, y;
} of_point;

typedef struct of_canvas {
    uint32_t height, width;
    float pixel;       /* side of a pixel in canvas coordinates */
    of_colour *pixels; /* [height][width] */
    float *field;      /* [height][width], room for one noise field */
} of_canvas;

of_status of_canvas_create(uint32_t height, uint32_t width, of_canvas *canvas, of_error *error);
void of_canvas_free(of_canvas *canvas);

/* Rounds to bytes; grey by Rec. 601 luma. */
void of_canvas_store(const of_canvas *canvas, uint32_t channels, uint8_t *pixels);

/* Centre of a pixel. */
static inline of_point of_canvas_point(const of_canvas *canvas, uint32_t row, uint32_t column) {
    return (of_point){((float)column + 0.5f - 0.5f * (float)canvas->width) * canvas->pixel,
                      ((float)row + 0.5f - 0.5f * (float)canvas->height) * canvas->pixel};
}

/* Share of a pixel that lies inside an edge at this distance. */
static inline float of_canvas_coverage(const of_canvas *canvas, float distance) {
    float share = 0.5f - distance / canvas->pixel;
    return share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
}

static inline of_colour of_mix(of_colour a, of_colour b, float share_of_b) {
    return (of_colour){a.red + (b.red - a.red) * share_of_b,
                       a.green + (b.green - a.green) * share_of_b,
                       a.blue + (b.blue - a.blue) * share_of_b};
}

static inline of_colour of_brighten(of_colour colour, float amount) {
    return (of_colour){colour.red + amount, colour.green + amount, colour.blue + amount};
}

float of_luma(of_colour colour);

/* low + uniform * (high - low) */
float of_random_between(of_random *random, float low, float high);

/* Hue in turns, 0 and 1 being red. */
of_colour of_colour_of_hue(float hue, float saturation, float value);

/* Any hue, with saturation and value between the bounds. */
of_colour of_random_colour(of_random *random, float low_saturation, float high_saturation,
                           float low_value, float high_value);

/* A colour whose luma differs from that of `other` by `contrast` or more. */
of_colour of_random_contrast(of_random *random, of_colour other, float contrast);

/* Fills canvas->field with noise whose amplitude falls like the inverse of its frequency, as in
 * natural images: `cells` along the shorter side, then twice as many and so on, down to cells
 * of two pixels or to `octaves`. Values have mean 0 and stay within -1..1. */
void of_canvas_noise(of_canvas *canvas, float cells, unsigned octaves, of_random *random);

/* A linear gradient between two colours in a random direction, with gentle waves. */
void of_canvas_gradient(of_canvas *canvas, of_colour from, of_colour to, float waves,
                        of_random *random);

/* Adds independent noise of this standard deviation to every value. */
void of_canvas_grain(of_canvas *canvas, float deviation, of_random *random);

#endif
