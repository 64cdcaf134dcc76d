/* SPDX-License-Identifier: Apache-2.0 */
#include "data/synthetic/synthetic.h"

#include "core/error.h"
#include "data/synthetic/synthetic_paint.h"

#include <math.h>
#include <string.h>

#define TWO_PI 6.2831853f

static const struct {
    const char *name;
    of_synthetic_kind kind;
} kinds[] = {{"shapes", OF_SYNTHETIC_SHAPES},     {"digits", OF_SYNTHETIC_DIGITS},
             {"textures", OF_SYNTHETIC_TEXTURES}, {"stripes", OF_SYNTHETIC_STRIPES},
             {"flat", OF_SYNTHETIC_FLAT},         {"noise", OF_SYNTHETIC_NOISE},
             {"general", OF_SYNTHETIC_GENERAL}};

of_status of_synthetic_parse(const char *name, of_synthetic_kind *kind, of_error *error) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(name, kinds[i].name) == 0) {
            *kind = kinds[i].kind;
            return OF_OK;
        }
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "synthetic: there are no '%s' images; expected shapes, digits, textures, "
                   "stripes, flat, noise or general",
                   name);
}

int32_t of_synthetic_class(const of_synthetic *synthetic, uint64_t index, const char **label) {
    static const char *const digits[OF_DIGIT_CLASSES] = {"0", "1", "2", "3", "4",
                                                         "5", "6", "7", "8", "9"};
    *label = "";
    if (synthetic->kind != OF_SYNTHETIC_SHAPES && synthetic->kind != OF_SYNTHETIC_DIGITS)
        return -1;
    /* In turn, so that any stretch of images is balanced. */
    uint32_t number = (uint32_t)(index % 10);
    *label = synthetic->kind == OF_SYNTHETIC_SHAPES ? of_shape_name(number) : digits[number];
    return (int32_t)number;
}

void of_paint_flat(of_canvas *canvas, of_random *random) {
    of_colour colour = of_random_colour(random, 0.0f, 1.0f, 0.0f, 1.0f);
    size_t count = (size_t)canvas->height * canvas->width;
    for (size_t i = 0; i < count; i++)
        canvas->pixels[i] = colour;
}

void of_paint_stripes(of_canvas *canvas, of_random *random) {
    of_colour first = of_random_colour(random, 0.0f, 1.0f, 0.0f, 1.0f);
    of_colour second = of_mix(first, of_random_contrast(random, first, 0.2f),
                              of_random_between(random, 0.3f, 0.9f));
    float angle = of_random_between(random, 0.0f, TWO_PI);
    float period = of_random_between(random, 0.4f, 1.6f), phase = of_random_uniform(random);
    float dx = cosf(angle) / period, dy = sinf(angle) / period;
    for (uint32_t row = 0; row < canvas->height; row++)
        for (uint32_t column = 0; column < canvas->width; column++) {
            of_point point = of_canvas_point(canvas, row, column);
            float turn = point.x * dx + point.y * dy + phase;
            /* Distance to the nearer edge of the current stripe. */
            float distance = (fabsf(turn - floorf(turn) - 0.5f) - 0.25f) * period;
            canvas->pixels[(size_t)row * canvas->width + column] =
                of_mix(first, second, of_canvas_coverage(canvas, distance));
        }
}

static void paint_general(of_canvas *canvas, of_random *random) {
    uint32_t percent = of_random_below(random, 100);
    if (percent < 35)
        of_paint_scene(canvas, random);
    else if (percent < 60)
        of_paint_shape(canvas, of_random_below(random, OF_SHAPE_CLASSES), random);
    else if (percent < 75)
        of_paint_digit(canvas, of_random_below(random, OF_DIGIT_CLASSES), random);
    else if (percent < 87)
        of_paint_gradient(canvas, random);
    else if (percent < 95)
        of_paint_stripes(canvas, random);
    else
        of_paint_flat(canvas, random);
}

static void paint(const of_synthetic *synthetic, uint64_t index, of_canvas *canvas,
                  of_random *random) {
    const char *label;
    uint32_t number = (uint32_t)of_synthetic_class(synthetic, index, &label);
    switch (synthetic->kind) {
    case OF_SYNTHETIC_SHAPES:
        of_paint_shape(canvas, number, random);
        break;
    case OF_SYNTHETIC_DIGITS:
        of_paint_digit(canvas, number, random);
        break;
    case OF_SYNTHETIC_TEXTURES:
        of_paint_scene(canvas, random);
        break;
    case OF_SYNTHETIC_STRIPES:
        of_paint_stripes(canvas, random);
        break;
    case OF_SYNTHETIC_FLAT:
        of_paint_flat(canvas, random);
        break;
    case OF_SYNTHETIC_GENERAL:
        paint_general(canvas, random);
        break;
    case OF_SYNTHETIC_NOISE:
        break;
    }
}

static void fill_with_noise(size_t size, uint8_t *pixels, of_random *random) {
    for (size_t i = 0; i < size; i += 4) {
        uint32_t word = of_random_u32(random);
        for (size_t j = 0; j < 4 && i + j < size; j++)
            pixels[i + j] = (uint8_t)(word >> 8 * j);
    }
}

of_status of_synthetic_render(const of_synthetic *synthetic, uint64_t index,
                              const of_target *target, uint8_t *pixels, of_error *error) {
    /* Kinds with the same seed do not share their random numbers. */
    of_random random = of_random_stream(
        synthetic->seed ^ ((uint64_t)synthetic->kind + 1) * 0x9E3779B97F4A7C15u, index);
    if (synthetic->kind == OF_SYNTHETIC_NOISE) {
        fill_with_noise(of_target_bytes(target), pixels, &random);
        return OF_OK;
    }
    of_canvas canvas;
    of_status status = of_canvas_create(target->height, target->width, &canvas, error);
    if (status != OF_OK)
        return status;
    paint(synthetic, index, &canvas, &random);
    of_canvas_store(&canvas, target->channels, pixels);
    of_canvas_free(&canvas);
    return OF_OK;
}
