/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of ten classes, textured and shaded, before a scene. */
#include "data/synthetic/synthetic_paint.h"

#include <math.h>

#define TWO_PI 6.2831853f

enum { MAX_CORNERS = 24 };

typedef enum shape_class {
    DISC,
    ELLIPSE,
    RING,
    CRESCENT,
    SQUARE,
    TRIANGLE,
    CROSS,
    STAR,
    HEART,
    ARROW
} shape_class;

static const char *const shape_names[OF_SHAPE_CLASSES] = {
    "disc", "ellipse", "ring", "crescent", "square", "triangle", "cross", "star", "heart", "arrow"};

const char *of_shape_name(uint32_t shape) {
    return shape_names[shape];
}

/* ---- Outlines: the classes from SQUARE on are polygons of about unit radius ------------------ */

static const of_point square[] = {{-.75f, -.75f}, {.75f, -.75f}, {.75f, .75f}, {-.75f, .75f}};
static const of_point triangle[] = {{0, -.95f}, {.9f, .65f}, {-.9f, .65f}};
static const of_point cross[] = {{-.3f, -.95f}, {.3f, -.95f}, {.3f, -.3f},   {.95f, -.3f},
                                 {.95f, .3f},   {.3f, .3f},   {.3f, .95f},   {-.3f, .95f},
                                 {-.3f, .3f},   {-.95f, .3f}, {-.95f, -.3f}, {-.3f, -.3f}};
static const of_point arrow[] = {{0, -1},       {.8f, -.1f},   {.32f, -.1f}, {.32f, .95f},
                                 {-.32f, .95f}, {-.32f, -.1f}, {-.8f, -.1f}};

static unsigned copy_corners(const of_point *from, size_t bytes, of_point *corners) {
    unsigned count = (unsigned)(bytes / sizeof *from);
    for (unsigned i = 0; i < count; i++)
        corners[i] = from[i];
    return count;
}

static unsigned star_corners(of_point *corners) {
    for (unsigned i = 0; i < 10; i++) {
        float radius = i % 2 == 0 ? 1.05f : 0.45f, angle = TWO_PI * (float)i / 10.0f;
        corners[i] = (of_point){radius * sinf(angle), -radius * cosf(angle)};
    }
    return 10;
}

/* x = sin^3 t, y = -(13 cos t - 5 cos 2t - 2 cos 3t - cos 4t)/16 */
static unsigned heart_corners(of_point *corners) {
    for (unsigned i = 0; i < MAX_CORNERS; i++) {
        float t = TWO_PI * (float)i / (float)MAX_CORNERS, s = sinf(t);
        float y = 13.0f * cosf(t) - 5.0f * cosf(2.0f * t) - 2.0f * cosf(3.0f * t) - cosf(4.0f * t);
        corners[i] = (of_point){s * s * s, -y / 16.0f - 0.1f};
    }
    return MAX_CORNERS;
}

static unsigned class_corners(uint32_t shape, of_point *corners) {
    switch ((shape_class)shape) {
    case SQUARE:
        return copy_corners(square, sizeof square, corners);
    case TRIANGLE:
        return copy_corners(triangle, sizeof triangle, corners);
    case CROSS:
        return copy_corners(cross, sizeof cross, corners);
    case STAR:
        return star_corners(corners);
    case HEART:
        return heart_corners(corners);
    case ARROW:
        return copy_corners(arrow, sizeof arrow, corners);
    case DISC:
    case ELLIPSE:
    case RING:
    case CRESCENT:
        break;
    }
    return 0;
}

/* ---- Distances, in units of the object ------------------------------------------------------ */

static float length(float x, float y) {
    return sqrtf(x * x + y * y);
}

/* Distance to the nearest edge, negative where a ray to the right crosses an odd number. */
static float polygon_distance(const of_point *corners, unsigned count, float x, float y) {
    float nearest = 1e9f;
    bool inside = false;
    for (unsigned i = 0, j = count - 1; i < count; j = i++) {
        of_point a = corners[j], b = corners[i];
        float ex = b.x - a.x, ey = b.y - a.y, px = x - a.x, py = y - a.y;
        float along = (px * ex + py * ey) / (ex * ex + ey * ey);
        along = along < 0.0f ? 0.0f : along > 1.0f ? 1.0f : along;
        float dx = px - along * ex, dy = py - along * ey;
        nearest = fminf(nearest, dx * dx + dy * dy);
        if ((a.y > y) != (b.y > y) && px < py * ex / ey)
            inside = !inside;
    }
    nearest = sqrtf(nearest);
    return inside ? -nearest : nearest;
}

typedef struct object {
    uint32_t shape;
    of_point corners[MAX_CORNERS];
    unsigned corner_count;
    of_point centre;
    float size, cosine, sine;
    of_colour colour, edge, stripe;
    float edge_width, texture, stripe_frequency, shade;
} object;

static float object_distance(const object *thing, float x, float y) {
    switch ((shape_class)thing->shape) {
    case DISC:
        return length(x, y) - 0.9f;
    case ELLIPSE: {
        float value = length(x, y / 0.45f), slope = length(x, y / (0.45f * 0.45f));
        return slope > 0.0f ? value * (value - 1.0f) / slope : -0.45f;
    }
    case RING:
        return fabsf(length(x, y) - 0.72f) - 0.22f;
    case CRESCENT:
        return fmaxf(length(x, y) - 0.95f, 0.78f - length(x - 0.45f, y));
    default:
        return polygon_distance(thing->corners, thing->corner_count, x, y);
    }
}

/* ---- Painting ------------------------------------------------------------------------------- */

static of_colour colour_at(const of_canvas *canvas, of_point point) {
    float column = point.x / canvas->pixel + 0.5f * (float)canvas->width;
    float row = point.y / canvas->pixel + 0.5f * (float)canvas->height;
    return canvas->pixels[(size_t)row * canvas->width + (size_t)column];
}

static object random_object(const of_canvas *canvas, uint32_t shape, of_random *random) {
    object thing = {.shape = shape, .size = of_random_between(random, 0.5f, 0.85f)};
    thing.corner_count = class_corners(shape, thing.corners);
    float room = 0.95f - thing.size;
    float angle = of_random_between(random, -0.4f, 0.4f);
    thing.centre =
        (of_point){of_random_between(random, -room, room), of_random_between(random, -room, room)};
    thing.cosine = cosf(angle);
    thing.sine = sinf(angle);
    thing.colour = of_random_contrast(random, colour_at(canvas, thing.centre), 0.2f);
    thing.edge = of_brighten(thing.colour, of_luma(thing.colour) > 0.4f ? -0.3f : 0.3f);
    thing.edge_width = of_random_uniform(random) < 0.5f ? 0.1f : 0.0f;
    thing.texture = of_random_between(random, 0.0f, 0.35f);
    thing.stripe = of_random_contrast(random, thing.colour, 0.2f);
    thing.stripe_frequency =
        of_random_uniform(random) < 0.3f ? of_random_between(random, 5.0f, 11.0f) : 0.0f;
    thing.shade = of_random_between(random, -0.25f, 0.25f);
    return thing;
}

static of_colour object_colour(const object *thing, float x, float y, float distance, float noise) {
    of_colour colour = thing->colour;
    if (thing->stripe_frequency > 0.0f) {
        float wave = sinf(thing->stripe_frequency * x) * 2.0f;
        colour = of_mix(colour, thing->stripe, fminf(fmaxf(0.5f + wave, 0.0f), 1.0f));
    }
    if (distance > -thing->edge_width)
        colour = thing->edge;
    return of_brighten(colour, thing->texture * noise + thing->shade * (x + y));
}

void of_paint_shape(of_canvas *canvas, uint32_t shape, of_random *random) {
    of_paint_scene(canvas, random);
    object thing = random_object(canvas, shape, random);
    float reach = thing.size * 1.2f + canvas->pixel;
    for (uint32_t row = 0; row < canvas->height; row++)
        for (uint32_t column = 0; column < canvas->width; column++) {
            of_point point = of_canvas_point(canvas, row, column);
            float dx = point.x - thing.centre.x, dy = point.y - thing.centre.y;
            if (fabsf(dx) > reach || fabsf(dy) > reach)
                continue;
            float x = (dx * thing.cosine + dy * thing.sine) / thing.size;
            float y = (dy * thing.cosine - dx * thing.sine) / thing.size;
            float distance = object_distance(&thing, x, y);
            float share = of_canvas_coverage(canvas, distance * thing.size);
            size_t i = (size_t)row * canvas->width + column;
            if (share > 0.0f)
                canvas->pixels[i] =
                    of_mix(canvas->pixels[i],
                           object_colour(&thing, x, y, distance, canvas->field[i]), share);
        }
    of_canvas_grain(canvas, 0.01f, random);
}
