/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenes in the manner of the dead leaves model (Lee, Mumford, Huang 2001, "Occlusion models for
 * natural images"): regions of power-law sizes that cover each other, which gives edges and
 * statistics close to those of photographs. Each region has its colour, texture and shading.
 */
#include "data/synthetic/synthetic_paint.h"

#include <math.h>

#define TWO_PI 6.2831853f

enum { MAX_LEAVES = 11 };

/* A scene keeps to two hues and their neighbours. */
typedef struct palette {
    float hues[2];
} palette;

static of_colour palette_colour(const palette *hues, float high_saturation, float low_value,
                                of_random *random) {
    float hue = hues->hues[of_random_below(random, 2)] + of_random_between(random, -0.05f, 0.05f);
    float saturation = of_random_between(random, 0.05f, high_saturation);
    return of_colour_of_hue(hue, saturation, of_random_between(random, low_value, 0.95f));
}

typedef struct leaf {
    of_point centre;
    float cosine, sine;   /* of its orientation */
    float half_x, half_y; /* of an ellipse, or a rectangle with rounded corners */
    float roundness;      /* 0 rectangle .. 1 ellipse */
    of_colour colour;
    float texture;          /* weight of the noise field */
    float shade_x, shade_y; /* change of brightness along the axes */
} leaf;

static leaf random_leaf(const palette *hues, float reach, of_random *random) {
    /* Sizes with density s^-3 between 0.2 and 1.4 by inversion of their distribution. */
    float low = 1.0f / (0.2f * 0.2f), high = 1.0f / (1.4f * 1.4f);
    float size = 1.0f / sqrtf(low + of_random_uniform(random) * (high - low));
    float angle = of_random_between(random, 0.0f, TWO_PI);
    float aspect = of_random_between(random, 0.35f, 1.0f);
    return (leaf){
        .centre = {of_random_between(random, -reach, reach),
                   of_random_between(random, -reach, reach)},
        .cosine = cosf(angle),
        .sine = sinf(angle),
        .half_x = size,
        .half_y = size * aspect,
        .roundness = of_random_uniform(random) < 0.5f ? 1.0f : 0.2f,
        .colour = palette_colour(hues, 0.7f, 0.1f, random),
        .texture = of_random_between(random, 0.05f, 0.5f),
        .shade_x = of_random_between(random, -0.15f, 0.15f),
        .shade_y = of_random_between(random, -0.15f, 0.15f),
    };
}

/* Distance to a rectangle whose corners are rounded by `roundness` of the shorter half side, for
 * `roundness` 1 an ellipse (to first order: value over gradient of the implicit equation). */
static float leaf_distance(const leaf *shape, float x, float y) {
    float u = x * shape->cosine + y * shape->sine, v = y * shape->cosine - x * shape->sine;
    if (shape->roundness == 1.0f) {
        float a = u / shape->half_x, b = v / shape->half_y;
        float value = sqrtf(a * a + b * b);
        float slope_x = a / shape->half_x, slope_y = b / shape->half_y;
        float slope = sqrtf(slope_x * slope_x + slope_y * slope_y);
        return slope > 0.0f ? value * (value - 1.0f) / slope : -shape->half_y;
    }
    float corner = shape->roundness * fminf(shape->half_x, shape->half_y);
    float qx = fabsf(u) - shape->half_x + corner, qy = fabsf(v) - shape->half_y + corner;
    float ox = fmaxf(qx, 0.0f), oy = fmaxf(qy, 0.0f);
    return sqrtf(ox * ox + oy * oy) + fminf(fmaxf(qx, qy), 0.0f) - corner;
}

static void paint_leaf(of_canvas *canvas, const leaf *shape) {
    float reach = fmaxf(shape->half_x, shape->half_y) * 1.42f + canvas->pixel;
    for (uint32_t row = 0; row < canvas->height; row++) {
        float y = of_canvas_point(canvas, row, 0).y - shape->centre.y;
        if (fabsf(y) > reach)
            continue;
        for (uint32_t column = 0; column < canvas->width; column++) {
            float x = of_canvas_point(canvas, row, column).x - shape->centre.x;
            if (fabsf(x) > reach)
                continue;
            float share = of_canvas_coverage(canvas, leaf_distance(shape, x, y));
            if (share == 0.0f)
                continue;
            size_t i = (size_t)row * canvas->width + column;
            float light = shape->texture * canvas->field[i] + shape->shade_x * x / shape->half_x +
                          shape->shade_y * y / shape->half_y;
            canvas->pixels[i] = of_mix(canvas->pixels[i], of_brighten(shape->colour, light), share);
        }
    }
}

static void paint_ground(of_canvas *canvas, const palette *hues, of_random *random) {
    of_colour from = palette_colour(hues, 0.6f, 0.2f, random);
    of_colour to = palette_colour(hues, 0.6f, 0.2f, random);
    of_canvas_gradient(canvas, from, to, 0.8f, random);
}

static void add_field(of_canvas *canvas, of_colour weight) {
    size_t count = (size_t)canvas->height * canvas->width;
    for (size_t i = 0; i < count; i++) {
        float value = canvas->field[i];
        canvas->pixels[i].red += weight.red * value;
        canvas->pixels[i].green += weight.green * value;
        canvas->pixels[i].blue += weight.blue * value;
    }
}

void of_paint_scene(of_canvas *canvas, of_random *random) {
    palette hues = {{of_random_uniform(random), of_random_uniform(random)}};
    paint_ground(canvas, &hues, random);
    of_canvas_noise(canvas, of_random_between(random, 2.0f, 7.0f), 8, random);
    float contrast = of_random_between(random, 0.15f, 0.9f);
    add_field(canvas, of_random_colour(random, 0.0f, 0.5f, contrast, contrast));

    float reach = 0.5f * canvas->pixel *
                  (float)(canvas->width > canvas->height ? canvas->width : canvas->height);
    uint32_t leaves = 1 + of_random_below(random, MAX_LEAVES);
    for (uint32_t i = 0; i < leaves; i++) {
        leaf shape = random_leaf(&hues, reach, random);
        paint_leaf(canvas, &shape);
    }
    of_canvas_grain(canvas, of_random_between(random, 0.008f, 0.03f), random);
}
