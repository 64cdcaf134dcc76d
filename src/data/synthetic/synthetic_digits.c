/* SPDX-License-Identifier: Apache-2.0 */
/* Digits drawn with strokes and an outline, before smooth gradients. */
#include "data/synthetic/synthetic_paint.h"

#include <math.h>

#define DEGREE (3.14159265f / 180.0f)

enum { MAX_SEGMENTS = 48, ARC_SEGMENTS = 14, MAX_PIECES = 4 };

/* A piece of a stroke: an arc of an ellipse, angles in degrees clockwise from the right, or, with
 * radius_x 0, a line from where the last piece ended (`pen` up: from the centre) to `to`. */
typedef struct piece {
    of_point centre;
    float radius_x, radius_y, from, to;
} piece;

#define ARC(x, y, rx, ry, a, b)                                                                    \
    { {x, y}, rx, ry, a, b }
#define LINE(x0, y0, x1, y1)                                                                       \
    { {x0, y0}, 0, 0, x1, y1 }

/* In a box of -0.45..0.45 times -0.75..0.75. */
static const piece glyphs[OF_DIGIT_CLASSES][MAX_PIECES] = {
    {ARC(0, 0, .45f, .75f, 0, 360)},
    {LINE(-.28f, -.48f, .06f, -.75f), LINE(.06f, -.75f, .06f, .75f)},
    {ARC(0, -.34f, .42f, .41f, 190, 400), LINE(.32f, -.08f, -.45f, .75f),
     LINE(-.45f, .75f, .47f, .75f)},
    {ARC(0, -.38f, .38f, .37f, 200, 450), ARC(0, .37f, .44f, .38f, 270, 510)},
    {LINE(.2f, .75f, .2f, -.75f), LINE(.2f, -.75f, -.46f, .28f), LINE(-.46f, .28f, .46f, .28f)},
    {LINE(.4f, -.75f, -.3f, -.75f), LINE(-.3f, -.75f, -.36f, -.06f),
     ARC(0, .27f, .44f, .48f, 218, 505)},
    {ARC(0, .32f, .42f, .43f, 0, 360), ARC(.38f, .32f, .8f, 1.07f, 180, 262)},
    {LINE(-.45f, -.75f, .45f, -.75f), LINE(.45f, -.75f, -.1f, .75f)},
    {ARC(0, -.38f, .35f, .37f, 0, 360), ARC(0, .37f, .43f, .39f, 0, 360)},
    {ARC(0, -.32f, .42f, .43f, 0, 360), ARC(-.38f, -.32f, .8f, 1.07f, 0, 82)},
};

typedef struct segment {
    of_point from, along; /* along: to the other end */
    float inverse_square; /* of its length */
} segment;

typedef struct drawing {
    segment segments[MAX_SEGMENTS];
    unsigned count;
    float matrix[4]; /* glyph to canvas */
    of_point centre;
} drawing;

static of_point place(const drawing *digit, float x, float y) {
    const float *m = digit->matrix;
    return (of_point){digit->centre.x + m[0] * x + m[1] * y, digit->centre.y + m[2] * x + m[3] * y};
}

static void add_segment(drawing *digit, of_point from, of_point to) {
    of_point along = {to.x - from.x, to.y - from.y};
    digit->segments[digit->count++] =
        (segment){from, along, 1.0f / (along.x * along.x + along.y * along.y)};
}

static void add_piece(drawing *digit, const piece *part) {
    if (part->radius_x == 0.0f) {
        add_segment(digit, place(digit, part->centre.x, part->centre.y),
                    place(digit, part->from, part->to));
        return;
    }
    of_point previous = {0};
    for (int i = 0; i <= ARC_SEGMENTS; i++) {
        float angle = part->from + (part->to - part->from) * (float)i / (float)ARC_SEGMENTS;
        of_point next = place(digit, part->centre.x + part->radius_x * cosf(angle * DEGREE),
                              part->centre.y + part->radius_y * sinf(angle * DEGREE));
        if (i > 0)
            add_segment(digit, previous, next);
        previous = next;
    }
}

/* Rotation, scale, shear and aspect, all slight. */
static void random_pose(drawing *digit, of_random *random) {
    float scale = of_random_between(random, 0.75f, 1.0f);
    float aspect = of_random_between(random, 0.85f, 1.2f);
    float shear = of_random_between(random, -0.25f, 0.25f);
    float angle = of_random_between(random, -0.15f, 0.15f);
    float c = cosf(angle) * scale, s = sinf(angle) * scale;
    digit->matrix[0] = c * aspect;
    digit->matrix[1] = c * shear - s;
    digit->matrix[2] = s * aspect;
    digit->matrix[3] = s * shear + c;
    digit->centre = (of_point){of_random_between(random, -0.2f, 0.2f),
                               of_random_between(random, -0.12f, 0.12f)};
}

static float drawing_distance(const drawing *digit, of_point point) {
    float nearest = 1e9f;
    for (unsigned i = 0; i < digit->count; i++) {
        const segment *part = &digit->segments[i];
        float px = point.x - part->from.x, py = point.y - part->from.y;
        float at = (px * part->along.x + py * part->along.y) * part->inverse_square;
        at = at < 0.0f ? 0.0f : at > 1.0f ? 1.0f : at;
        float dx = px - at * part->along.x, dy = py - at * part->along.y;
        float square = dx * dx + dy * dy;
        nearest = square < nearest ? square : nearest;
    }
    return sqrtf(nearest);
}

void of_paint_gradient(of_canvas *canvas, of_random *random) {
    of_colour from = of_random_colour(random, 0.05f, 0.7f, 0.15f, 0.95f);
    of_colour to = of_random_colour(random, 0.05f, 0.7f, 0.15f, 0.95f);
    of_canvas_gradient(canvas, from, of_mix(from, to, 0.6f), 0.25f, random);
}

void of_paint_digit(of_canvas *canvas, uint32_t digit, of_random *random) {
    of_paint_gradient(canvas, random);
    drawing strokes = {.count = 0};
    random_pose(&strokes, random);
    for (int i = 0; i < MAX_PIECES; i++)
        if (glyphs[digit][i].radius_x != 0.0f || glyphs[digit][i].from != 0.0f)
            add_piece(&strokes, &glyphs[digit][i]);

    size_t middle = (size_t)(canvas->height / 2) * canvas->width + canvas->width / 2;
    of_colour fill = of_random_contrast(random, canvas->pixels[middle], 0.3f);
    of_colour outline = of_mix(canvas->pixels[middle], fill, -0.35f);
    float half_width = of_random_between(random, 0.1f, 0.17f);
    float outline_width = of_random_between(random, 0.0f, 0.12f);
    float shade = of_random_between(random, -0.1f, 0.1f);
    for (uint32_t row = 0; row < canvas->height; row++)
        for (uint32_t column = 0; column < canvas->width; column++) {
            of_point point = of_canvas_point(canvas, row, column);
            float distance = drawing_distance(&strokes, point) - half_width;
            of_colour *pixel = &canvas->pixels[(size_t)row * canvas->width + column];
            *pixel = of_mix(*pixel, outline, of_canvas_coverage(canvas, distance - outline_width));
            *pixel = of_mix(*pixel, of_brighten(fill, shade * point.y),
                            of_canvas_coverage(canvas, distance));
        }
    of_canvas_grain(canvas, of_random_between(random, 0.001f, 0.005f), random);
}
