/* SPDX-License-Identifier: Apache-2.0 */
#include "fit/outliers.h"

#include "core/random.h"

#include <math.h>
#include <string.h>

enum { MOST_CHANNELS = 3 };

/* What the makers below share: the pool, an image to write, random numbers. */
typedef struct maker {
    const of_pictures *pool;
    uint8_t *to;
    uint32_t height, width, channels;
    of_random random;
} maker;

const char *of_outliers_name(of_outliers kind) {
    static const char *const names[] = {"degraded", "cut-outs", "mixtures", "stains"};
    return kind < OF_OUTLIERS_KINDS ? names[kind] : "";
}

/* ---- Helpers ------------------------------------------------------------------------------ */

static double between(maker *m, double low, double high) {
    return low + (high - low) * (double)of_random_uniform(&m->random);
}

/* low .. high */
static uint32_t whole(maker *m, uint32_t low, uint32_t high) {
    return high > low ? low + of_random_below(&m->random, high - low + 1) : low;
}

static const uint8_t *pick(maker *m) {
    return of_picture(m->pool, of_random_below(&m->random, (uint32_t)m->pool->count));
}

static uint8_t to_byte(double value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

static size_t at(const maker *m, uint32_t y, uint32_t x) {
    return ((size_t)y * m->width + x) * m->channels;
}

/* A length of a share of the shorter side. */
static uint32_t length_of(maker *m, double low, double high) {
    uint32_t side = m->height < m->width ? m->height : m->width;
    uint32_t length = (uint32_t)(between(m, low, high) * side);
    return length > 0 ? length : 1;
}

/* ---- Degraded ----------------------------------------------------------------------------- */

/* A box, twice: near a triangle. */
static void blur(maker *m, const uint8_t *from) {
    uint32_t radius = length_of(m, 0.04, 0.14);
    for (uint32_t y = 0; y < m->height; y++)
        for (uint32_t x = 0; x < m->width; x++)
            for (uint32_t c = 0; c < m->channels; c++) {
                double sum = 0, weights = 0;
                for (uint32_t v = y > radius ? y - radius : 0; v <= y + radius && v < m->height;
                     v++)
                    for (uint32_t u = x > radius ? x - radius : 0; u <= x + radius && u < m->width;
                         u++) {
                        double weight =
                            (radius + 1 - fabs((double)v - y)) * (radius + 1 - fabs((double)u - x));
                        sum += weight * from[at(m, v, u) + c];
                        weights += weight;
                    }
                m->to[at(m, y, x) + c] = to_byte(sum / weights);
            }
}

static void add_noise(maker *m, const uint8_t *from) {
    double deviation = between(m, 8, 50);
    for (size_t i = 0; i < m->pool->image_bytes; i++)
        m->to[i] = to_byte(from[i] + deviation * of_random_normal(&m->random));
}

/* Blocks of one colour each. */
static void make_coarse(maker *m, const uint8_t *from) {
    uint32_t block = length_of(m, 0.07, 0.2) + 1;
    for (uint32_t y = 0; y < m->height; y++)
        for (uint32_t x = 0; x < m->width; x++)
            memcpy(m->to + at(m, y, x), from + at(m, y / block * block, x / block * block),
                   m->channels);
}

static void change_light(maker *m, const uint8_t *from) {
    bool flat = whole(m, 0, 1) == 0;
    double contrast = flat ? between(m, 0.2, 0.6) : between(m, 1.5, 3), light = between(m, -60, 60);
    for (size_t i = 0; i < m->pool->image_bytes; i++)
        m->to[i] = to_byte((from[i] - 128.0) * contrast + 128 + light);
}

static void tint(maker *m, const uint8_t *from) {
    double factors[3];
    for (size_t c = 0; c < 3; c++)
        factors[c] = between(m, 0.4, 1.6);
    for (size_t i = 0; i < m->pool->image_bytes; i++)
        m->to[i] = to_byte(from[i] * factors[i % m->channels]);
}

static void degrade(maker *m) {
    static void (*const ways[])(maker *, const uint8_t *) = {blur, add_noise, make_coarse,
                                                             change_light, tint};
    ways[whole(m, 0, sizeof ways / sizeof *ways - 1)](m, pick(m));
}

/* ---- Cut-outs ----------------------------------------------------------------------------- */

typedef struct box {
    uint32_t top, left, side;
} box;

static box place(maker *m, uint32_t side) {
    return (box){whole(m, 0, m->height - side), whole(m, 0, m->width - side), side};
}

static void enlarge(maker *m, const uint8_t *from, box part) {
    double down = (double)part.side / m->height, across = (double)part.side / m->width;
    for (uint32_t y = 0; y < m->height; y++)
        for (uint32_t x = 0; x < m->width; x++)
            for (uint32_t c = 0; c < m->channels; c++) {
                double v = part.top + y * down, u = part.left + x * across;
                uint32_t v0 = (uint32_t)v, u0 = (uint32_t)u;
                uint32_t v1 = v0 + 1 < m->height ? v0 + 1 : v0,
                         u1 = u0 + 1 < m->width ? u0 + 1 : u0;
                double above =
                    from[at(m, v0, u0) + c] * (1 - (u - u0)) + from[at(m, v0, u1) + c] * (u - u0);
                double below =
                    from[at(m, v1, u0) + c] * (1 - (u - u0)) + from[at(m, v1, u1) + c] * (u - u0);
                m->to[at(m, y, x) + c] = to_byte(above * (1 - (v - v0)) + below * (v - v0));
            }
}

/* A square turned by a quarter, a half or three quarters, at another place. */
static void paste_turned(maker *m, const uint8_t *from, box part, box target) {
    uint32_t turns = whole(m, 1, 3), last = part.side - 1;
    for (uint32_t y = 0; y < part.side; y++)
        for (uint32_t x = 0; x < part.side; x++) {
            uint32_t v = turns == 1 ? x : turns == 2 ? last - y : last - x;
            uint32_t u = turns == 1 ? last - y : turns == 2 ? last - x : y;
            memcpy(m->to + at(m, target.top + v, target.left + u),
                   from + at(m, part.top + y, part.left + x), m->channels);
        }
}

static void cut_out(maker *m) {
    const uint8_t *from = pick(m);
    uint32_t way = whole(m, 0, 2);
    box part = place(m, length_of(m, 0.25, 0.65));
    memcpy(m->to, from, m->pool->image_bytes);
    if (way == 0)
        enlarge(m, from, part);
    else if (way == 1 || m->height != m->width)
        paste_turned(m, from, part, place(m, part.side));
    else
        paste_turned(m, from, (box){0, 0, m->height}, (box){0, 0, m->height});
}

/* ---- Mixtures ----------------------------------------------------------------------------- */

static void average(maker *m, const uint8_t *a, const uint8_t *b) {
    double share = between(m, 0.3, 0.7);
    for (size_t i = 0; i < m->pool->image_bytes; i++)
        m->to[i] = to_byte(share * a[i] + (1 - share) * b[i]);
}

static void join(maker *m, const uint8_t *a, const uint8_t *b) {
    bool upright = whole(m, 0, 1) == 0;
    uint32_t length = upright ? m->width : m->height,
             cut = whole(m, length / 3, length - length / 3);
    for (uint32_t y = 0; y < m->height; y++)
        for (uint32_t x = 0; x < m->width; x++)
            memcpy(m->to + at(m, y, x), ((upright ? x : y) < cut ? a : b) + at(m, y, x),
                   m->channels);
}

/* Pieces of both, each at the place of another. */
static void disorder(maker *m, const uint8_t *a, const uint8_t *b) {
    uint32_t sides = whole(m, 0, 1) == 0 ? 2 : 4, order[16];
    uint32_t rows = m->height / sides, columns = m->width / sides;
    memcpy(m->to, a, m->pool->image_bytes);
    for (uint32_t i = 0; i < sides * sides; i++)
        order[i] = i;
    for (uint32_t i = sides * sides - 1; i > 0; i--) {
        uint32_t other = whole(m, 0, i), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (uint32_t i = 0; i < sides * sides; i++) {
        const uint8_t *from = whole(m, 0, 1) == 0 ? a : b;
        for (uint32_t y = 0; y < rows; y++)
            memcpy(m->to + at(m, i / sides * rows + y, i % sides * columns),
                   from + at(m, order[i] / sides * rows + y, order[i] % sides * columns),
                   (size_t)columns * m->channels);
    }
}

static void mix(maker *m) {
    static void (*const ways[])(maker *, const uint8_t *, const uint8_t *) = {average, join,
                                                                              disorder};
    const uint8_t *a = pick(m), *b = pick(m);
    ways[whole(m, 0, sizeof ways / sizeof *ways - 1)](m, a, b);
}

/* ---- Stains ------------------------------------------------------------------------------- */

static void colour_pixel(maker *m, double y, double x, const uint8_t *colour, double strength) {
    if (y < 0 || x < 0 || y >= m->height || x >= m->width)
        return;
    uint8_t *p = m->to + at(m, (uint32_t)y, (uint32_t)x);
    for (uint32_t c = 0; c < m->channels && c < MOST_CHANNELS; c++)
        p[c] = to_byte(p[c] * (1 - strength) + colour[c] * strength);
}

static void spot(maker *m, const uint8_t *colour) {
    int radius = (int)length_of(m, 0.06, 0.2);
    double y = between(m, 0, m->height), x = between(m, 0, m->width), strength = between(m, 0.5, 1);
    for (int v = -radius; v <= radius; v++)
        for (int u = -radius; u <= radius; u++)
            if (v * v + u * u <= radius * radius)
                colour_pixel(m, y + v, x + u, colour, strength);
}

static void scratch(maker *m, const uint8_t *colour) {
    double angle = between(m, 0, 6.283185307179586);
    uint32_t halves = 2 * length_of(m, 0.4, 1.2); /* of a pixel */
    double y = between(m, 0, m->height), x = between(m, 0, m->width);
    for (uint32_t s = 0; s < halves; s++)
        colour_pixel(m, y + 0.5 * s * sin(angle), x + 0.5 * s * cos(angle), colour, 0.9);
}

static void stain(maker *m) {
    uint8_t colour[MOST_CHANNELS];
    memcpy(m->to, pick(m), m->pool->image_bytes);
    for (uint32_t i = whole(m, 1, 3); i > 0; i--) {
        for (size_t c = 0; c < MOST_CHANNELS; c++)
            colour[c] = (uint8_t)whole(m, 0, 255);
        (whole(m, 0, 1) == 0 ? spot : scratch)(m, colour);
    }
}

void of_outliers_make(const of_pictures *pool, of_outliers kind, uint64_t seed, uint64_t index,
                      uint8_t *pixels) {
    static void (*const makers[])(maker *) = {degrade, cut_out, mix, stain};
    maker m = {.pool = pool,
               .to = pixels,
               .height = pool->height,
               .width = pool->width,
               .channels = pool->channels,
               .random = of_random_stream(seed + 0x9e3779b97f4a7c15u * (kind + 1u), index)};
    makers[kind](&m);
}
