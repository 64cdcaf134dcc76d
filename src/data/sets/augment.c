/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sets/augment.h"

#include "core/random.h"

#include <math.h>

typedef struct movement {
    int64_t down, right;
    bool mirrored;
    double zoom; /* > 1 magnifies */
} movement;

typedef struct coloring {
    float brightness, contrast, saturation;
} coloring;

static const movement in_place = {.zoom = 1};
static const coloring unchanged = {1, 1, 1};

/* Epochs and images each fill half of the stream's number. */
static of_random stream_of(const of_augmentation *augmentation, uint64_t epoch, uint64_t image) {
    return of_random_stream(augmentation->key, epoch << 32 | (image & UINT32_MAX));
}

static int64_t draw_shift(of_random *random, double share, uint32_t size) {
    uint32_t most = (uint32_t)(share * size);
    return most == 0 ? 0 : (int64_t)of_random_below(random, 2 * most + 1) - (int64_t)most;
}

static double draw_factor(of_random *random, double share) {
    return 1 + share * (2 * (double)of_random_uniform(random) - 1);
}

static movement draw_movement(const of_augmentation *augmentation, of_random *random) {
    movement move = in_place;
    move.down = draw_shift(random, augmentation->shift, augmentation->height);
    move.right = draw_shift(random, augmentation->shift, augmentation->width);
    move.mirrored = augmentation->flip && of_random_below(random, 2) == 1;
    if (augmentation->zoom > 0 && of_random_below(random, 2) == 1)
        move.zoom = draw_factor(random, augmentation->zoom);
    return move;
}

static coloring draw_coloring(const of_augmentation *augmentation, of_random *random) {
    coloring colors = unchanged;
    if (augmentation->color <= 0 || of_random_below(random, 2) == 0)
        return colors;
    colors.brightness = (float)draw_factor(random, augmentation->color);
    colors.contrast = (float)draw_factor(random, augmentation->color);
    colors.saturation = (float)draw_factor(random, augmentation->color);
    return colors;
}

/* Mirrors an index into 0..size-1: -1 -> 1, size -> size-2. */
static size_t reflect(int64_t index, uint32_t size) {
    int64_t last = (int64_t)size - 1;
    index = index < 0 ? -index : index;
    if (index > last)
        index = last == 0 ? 0 : index % (2 * last);
    return (size_t)(index > last ? 2 * last - index : index);
}

static void move_pixels(const of_augmentation *augmentation, movement move, const uint8_t *pixels,
                        float *target) {
    uint32_t height = augmentation->height, width = augmentation->width;
    size_t channels = augmentation->channels;
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row = pixels + reflect((int64_t)y - move.down, height) * width * channels;
        for (uint32_t x = 0; x < width; x++) {
            uint32_t seen = move.mirrored ? width - 1 - x : x;
            const uint8_t *pixel = row + reflect((int64_t)seen - move.right, width) * channels;
            for (size_t c = 0; c < channels; c++)
                *target++ = pixel[c];
        }
    }
}

/* Between which two rows or columns a pixel of the magnified image lies, and how near to the
 * second. */
typedef struct origin {
    size_t first, second;
    float part;
} origin;

static origin find_origin(uint32_t place, int64_t moved, double zoom, uint32_t size) {
    double centre = ((double)size - 1) / 2;
    double at = ((double)place - (double)moved - centre) / zoom + centre;
    double before = floor(at);
    return (origin){.first = reflect((int64_t)before, size),
                    .second = reflect((int64_t)before + 1, size),
                    .part = (float)(at - before)};
}

static float mix(float first, float second, float part) {
    return first + part * (second - first);
}

static void magnify(const of_augmentation *augmentation, movement move, const uint8_t *pixels,
                    float *target) {
    uint32_t height = augmentation->height, width = augmentation->width;
    size_t channels = augmentation->channels;
    for (uint32_t y = 0; y < height; y++) {
        origin row = find_origin(y, move.down, move.zoom, height);
        const uint8_t *upper = pixels + row.first * width * channels;
        const uint8_t *lower = pixels + row.second * width * channels;
        for (uint32_t x = 0; x < width; x++) {
            uint32_t seen = move.mirrored ? width - 1 - x : x;
            origin column = find_origin(seen, move.right, move.zoom, width);
            size_t left = column.first * channels, right = column.second * channels;
            for (size_t c = 0; c < channels; c++)
                *target++ = mix(mix(upper[left + c], upper[right + c], column.part),
                                mix(lower[left + c], lower[right + c], column.part), row.part);
        }
    }
}

static float mean(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return (float)(sum / (double)count);
}

static void color(const of_augmentation *augmentation, coloring colors, float *target) {
    size_t channels = augmentation->channels;
    size_t count = (size_t)augmentation->height * augmentation->width * channels;
    float middle = mean(target, count);
    for (float *pixel = target; pixel < target + count; pixel += channels) {
        float grey = mean(pixel, channels);
        for (size_t c = 0; c < channels; c++) {
            float value = grey + colors.saturation * (pixel[c] - grey);
            pixel[c] = colors.brightness * (middle + colors.contrast * (value - middle));
        }
    }
}

static void round_to_bytes(float *target, size_t count) {
    for (size_t i = 0; i < count; i++)
        target[i] = rintf(fminf(fmaxf(target[i], 0), 255));
}

/* Of whole numbers. */
static void dequantise(const of_augmentation *augmentation, of_random *random, float *target,
                       size_t count) {
    float step = (float)(1u << augmentation->dropped_bits), noise = (float)augmentation->noise;
    for (size_t i = 0; i < count; i++) {
        float level = floorf(target[i] / step);
        target[i] = (level + noise * (of_random_uniform(random) - 0.5f)) * (step / 255.0f);
    }
}

static void render(const of_augmentation *augmentation, movement move, coloring colors,
                   of_random *random, const uint8_t *pixels, float *target) {
    size_t count =
        (size_t)augmentation->height * augmentation->width * (size_t)augmentation->channels;
    bool recolor = colors.brightness != 1 || colors.contrast != 1 || colors.saturation != 1;
    if (move.zoom == 1)
        move_pixels(augmentation, move, pixels, target);
    else
        magnify(augmentation, move, pixels, target);
    if (recolor)
        color(augmentation, colors, target);
    if (move.zoom != 1 || recolor)
        round_to_bytes(target, count);
    dequantise(augmentation, random, target, count);
}

void of_augment(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                const uint8_t *pixels, float *target) {
    of_random random = stream_of(augmentation, epoch, image);
    movement move = draw_movement(augmentation, &random);
    coloring colors = draw_coloring(augmentation, &random);
    render(augmentation, move, colors, &random, pixels, target);
}

void of_dequantise(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                   const uint8_t *pixels, float *target) {
    of_random random = stream_of(augmentation, epoch, image);
    render(augmentation, in_place, unchanged, &random, pixels, target);
}
