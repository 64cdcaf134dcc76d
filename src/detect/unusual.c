/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/unusual.h"

#include "core/random.h"
#include "data/synthetic/synthetic.h"

#include <math.h>
#include <string.h>

enum { SEED = 8 };

static const double NOISE = 8 /* levels, deviation */, CONTRAST = 0.7, LIGHT = 0.5;

/* One image, and another one of the set. */
typedef struct subject {
    const uint8_t *image, *other;
    size_t height, width, channels;
    of_random random;
} subject;

const char *of_unusual_name(of_unusual kind) {
    static const char *const names[] = {
        "blurred images", "noisy images",    "turned images",   "mixed images", "joined images",
        "faded images",   "darkened images", "enlarged images", "shapes",       "digits"};
    return kind < OF_UNUSUAL_KINDS ? names[kind] : "";
}

static uint8_t to_byte(double value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

static size_t size_of(const subject *s) {
    return s->height * s->width * s->channels;
}

static size_t clamp(size_t place, size_t step, size_t count) { /* place + step - 1, inside */
    size_t moved = place + step;
    return moved == 0 ? 0 : moved > count ? count - 1 : moved - 1;
}

/* The mean of three by three pixels. */
static void blur(subject *s, uint8_t *to) {
    for (size_t y = 0; y < s->height; y++)
        for (size_t x = 0; x < s->width; x++)
            for (size_t c = 0; c < s->channels; c++) {
                unsigned sum = 0;
                for (size_t i = 0; i < 9; i++) {
                    size_t v = clamp(y, i / 3, s->height), u = clamp(x, i % 3, s->width);
                    sum += s->image[(v * s->width + u) * s->channels + c];
                }
                to[(y * s->width + x) * s->channels + c] = (uint8_t)((sum + 4) / 9);
            }
}

static void add_noise(subject *s, uint8_t *to) {
    for (size_t i = 0; i < size_of(s); i++)
        to[i] = to_byte(s->image[i] + NOISE * of_random_normal(&s->random));
}

/* By half a turn, which fits every shape. */
static void turn(subject *s, uint8_t *to) {
    size_t pixels = s->height * s->width;
    for (size_t p = 0; p < pixels; p++)
        memcpy(to + p * s->channels, s->image + (pixels - 1 - p) * s->channels, s->channels);
}

static void mix(subject *s, uint8_t *to) {
    for (size_t i = 0; i < size_of(s); i++)
        to[i] = (uint8_t)((s->image[i] + s->other[i] + 1) / 2);
}

static void join(subject *s, uint8_t *to) {
    size_t upper = s->height / 2 * s->width * s->channels;
    memcpy(to, s->image, upper);
    memcpy(to + upper, s->other + upper, size_of(s) - upper);
}

static void fade(subject *s, uint8_t *to) {
    for (size_t i = 0; i < size_of(s); i++)
        to[i] = to_byte(128 + CONTRAST * (s->image[i] - 128.0));
}

static void darken(subject *s, uint8_t *to) {
    for (size_t i = 0; i < size_of(s); i++)
        to[i] = to_byte(LIGHT * s->image[i]);
}

/* Of twice the size, each second pixel between its neighbours. */
static void enlarge(subject *s, uint8_t *to) {
    for (size_t y = 0; y < s->height; y++)
        for (size_t x = 0; x < s->width; x++)
            for (size_t c = 0; c < s->channels; c++) {
                size_t top = s->height / 4 + y / 2, left = s->width / 4 + x / 2;
                size_t bottom = clamp(top, 1 + y % 2, s->height);
                size_t right = clamp(left, 1 + x % 2, s->width);
                int sum = s->image[(top * s->width + left) * s->channels + c] +
                          s->image[(top * s->width + right) * s->channels + c] +
                          s->image[(bottom * s->width + left) * s->channels + c] +
                          s->image[(bottom * s->width + right) * s->channels + c];
                to[(y * s->width + x) * s->channels + c] = (uint8_t)((sum + 2) / 4);
            }
}

static void (*const ways[OF_UNUSUAL_SHAPES])(subject *, uint8_t *) = {
    blur, add_noise, turn, mix, join, fade, darken, enlarge};

static of_status render(of_unusual kind, const of_architecture *shape, size_t count, uint8_t *to,
                        of_error *error) {
    const of_synthetic synthetic = {
        kind == OF_UNUSUAL_SHAPES ? OF_SYNTHETIC_SHAPES : OF_SYNTHETIC_DIGITS, SEED};
    const of_target target = {
        .channels = shape->channels, .height = shape->height, .width = shape->width};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status =
            of_synthetic_render(&synthetic, i, &target, to + i * of_target_bytes(&target), error);
    return status;
}

of_status of_unusual_make(of_unusual kind, const of_architecture *shape, const uint8_t *usual,
                          size_t count, uint8_t *to, of_error *error) {
    subject s = {.height = shape->height, .width = shape->width, .channels = shape->channels};
    if (kind >= OF_UNUSUAL_SHAPES)
        return render(kind, shape, count, to, error);
    for (size_t i = 0; i < count; i++) {
        s.image = usual + i * size_of(&s);
        s.other = usual + (i + 1) % count * size_of(&s);
        s.random = of_random_stream(SEED, i);
        ways[kind](&s, to + i * size_of(&s));
    }
    return OF_OK;
}
