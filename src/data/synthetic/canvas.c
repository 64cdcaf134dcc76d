/* SPDX-License-Identifier: Apache-2.0 */
#include "data/synthetic/canvas.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>

#define TWO_PI 6.2831853f

of_status of_canvas_create(uint32_t height, uint32_t width, of_canvas *canvas, of_error *error) {
    size_t count;
    uint32_t side = height < width ? height : width;
    *canvas = (of_canvas){.height = height, .width = width, .pixel = 2.0f / (float)side};
    if (of_multiply(height, width, &count)) {
        canvas->pixels = of_allocate_zeroed(count, sizeof *canvas->pixels);
        canvas->field = of_allocate_zeroed(count, sizeof *canvas->field);
    }
    if (canvas->pixels != NULL && canvas->field != NULL)
        return OF_OK;
    of_canvas_free(canvas);
    return of_fail_memory(error, "a synthetic image");
}

void of_canvas_free(of_canvas *canvas) {
    of_free(canvas->pixels);
    of_free(canvas->field);
    *canvas = (of_canvas){0};
}

static uint8_t to_byte(float value) {
    float scaled = value * 255.0f + 0.5f;
    return scaled <= 0.0f ? 0 : scaled >= 255.0f ? 255 : (uint8_t)scaled;
}

float of_luma(of_colour colour) {
    return 0.299f * colour.red + 0.587f * colour.green + 0.114f * colour.blue;
}

void of_canvas_store(const of_canvas *canvas, uint32_t channels, uint8_t *pixels) {
    size_t count = (size_t)canvas->height * canvas->width;
    for (size_t i = 0; i < count; i++) {
        of_colour colour = canvas->pixels[i];
        if (channels == 1) {
            pixels[i] = to_byte(of_luma(colour));
        } else {
            pixels[3 * i] = to_byte(colour.red);
            pixels[3 * i + 1] = to_byte(colour.green);
            pixels[3 * i + 2] = to_byte(colour.blue);
        }
    }
}

/* ---- Colours ------------------------------------------------------------------------------- */

float of_random_between(of_random *random, float low, float high) {
    return low + of_random_uniform(random) * (high - low);
}

/* One of the three ramps of a hue in turns: 1 for a third of the circle, 0 for another. */
static float hue_ramp(float hue, float offset) {
    float turned = hue + offset;
    float away = fabsf((turned - floorf(turned)) * 6.0f - 3.0f) - 1.0f;
    return away < 0.0f ? 0.0f : away > 1.0f ? 1.0f : away;
}

of_colour of_colour_of_hue(float hue, float saturation, float value) {
    of_colour pure = {hue_ramp(hue, 0.0f), hue_ramp(hue, 2.0f / 3.0f), hue_ramp(hue, 1.0f / 3.0f)};
    of_colour tint = of_mix((of_colour){1.0f, 1.0f, 1.0f}, pure, saturation);
    return (of_colour){tint.red * value, tint.green * value, tint.blue * value};
}

of_colour of_random_colour(of_random *random, float low_saturation, float high_saturation,
                           float low_value, float high_value) {
    float hue = of_random_uniform(random);
    float saturation = of_random_between(random, low_saturation, high_saturation);
    return of_colour_of_hue(hue, saturation, of_random_between(random, low_value, high_value));
}

of_colour of_random_contrast(of_random *random, of_colour other, float contrast) {
    of_colour colour = other;
    for (int tries = 0; tries < 8 && fabsf(of_luma(colour) - of_luma(other)) < contrast; tries++)
        colour = of_random_colour(random, 0.2f, 1.0f, 0.1f, 1.0f);
    float difference = of_luma(colour) - of_luma(other);
    if (fabsf(difference) < contrast)
        colour = of_brighten(colour, of_luma(other) < 0.5f ? contrast : -contrast);
    return colour;
}

/* ---- Noise --------------------------------------------------------------------------------- */

enum { MAX_CELLS = 256 };

/* Interpolates a row of lattice values with the smooth weight 3t^2 - 2t^3. */
static void add_octave(of_canvas *canvas, float cells, float amplitude, of_random *random) {
    float lattice[2][MAX_CELLS + 3];
    float step = cells * 0.5f * canvas->pixel; /* lattice cells a pixel */
    size_t columns = (size_t)((float)canvas->width * step) + 2;
    long held = -1; /* lattice row in lattice[0] */
    for (size_t i = 0; i < columns; i++)
        lattice[1][i] = of_random_between(random, -amplitude, amplitude);
    for (uint32_t y = 0; y < canvas->height; y++) {
        float v = (float)y * step;
        for (long row = (long)v; held < row; held++)
            for (size_t i = 0; i < columns; i++) {
                lattice[0][i] = lattice[1][i];
                lattice[1][i] = of_random_between(random, -amplitude, amplitude);
            }
        float fy = v - (float)(long)v, wy = fy * fy * (3.0f - 2.0f * fy);
        float *field = canvas->field + (size_t)y * canvas->width;
        for (uint32_t x = 0; x < canvas->width; x++) {
            float u = (float)x * step;
            size_t i = (size_t)u;
            float fx = u - (float)i, wx = fx * fx * (3.0f - 2.0f * fx);
            float above = lattice[0][i] + (lattice[0][i + 1] - lattice[0][i]) * wx;
            float below = lattice[1][i] + (lattice[1][i + 1] - lattice[1][i]) * wx;
            field[x] += above + (below - above) * wy;
        }
    }
}

void of_canvas_noise(of_canvas *canvas, float cells, unsigned octaves, of_random *random) {
    size_t count = (size_t)canvas->height * canvas->width;
    for (size_t i = 0; i < count; i++)
        canvas->field[i] = 0.0f;
    /* Amplitudes 1/2, 1/4, ... sum to less than 1. A cell keeps at least two pixels, and a row
     * of them, which is longest along a wide image, fits the lattice. */
    float finest = 1.0f / canvas->pixel;
    float widest = (float)MAX_CELLS * 2.0f / ((float)canvas->width * canvas->pixel);
    float most = finest < widest ? finest : widest;
    float amplitude = 0.5f;
    for (unsigned i = 0; i < octaves && (i == 0 || cells <= most); i++) {
        add_octave(canvas, cells < most ? cells : most, amplitude, random);
        cells *= 2.0f;
        amplitude *= 0.5f;
    }
}

void of_canvas_grain(of_canvas *canvas, float deviation, of_random *random) {
    size_t count = (size_t)canvas->height * canvas->width;
    /* The sum of two bytes is near enough to a normal variable; its variance is 2 * 65535/12. */
    float scale = deviation / sqrtf(2.0f * 65535.0f / 12.0f);
    for (size_t i = 0; i < count; i++) {
        uint32_t a = of_random_u32(random), b = of_random_u32(random);
        of_colour *pixel = &canvas->pixels[i];
        pixel->red += scale * ((float)(a & 255) + (float)(a >> 8 & 255) - 255.0f);
        pixel->green += scale * ((float)(a >> 16 & 255) + (float)(a >> 24) - 255.0f);
        pixel->blue += scale * ((float)(b & 255) + (float)(b >> 8 & 255) - 255.0f);
    }
}

/* ---- Gradients ----------------------------------------------------------------------------- */

void of_canvas_gradient(of_canvas *canvas, of_colour from, of_colour to, float waves,
                        of_random *random) {
    float angle = of_random_between(random, 0.0f, TWO_PI);
    float dx = cosf(angle), dy = sinf(angle);
    of_canvas_noise(canvas, 2.0f, 1, random);
    for (uint32_t row = 0; row < canvas->height; row++)
        for (uint32_t column = 0; column < canvas->width; column++) {
            size_t i = (size_t)row * canvas->width + column;
            of_point point = of_canvas_point(canvas, row, column);
            float share = 0.5f + 0.35f * (point.x * dx + point.y * dy) + waves * canvas->field[i];
            canvas->pixels[i] = of_mix(from, to, share);
        }
}
