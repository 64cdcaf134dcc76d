/* SPDX-License-Identifier: Apache-2.0 */
#include "data/augment.h"

#include "core/random.h"

typedef struct movement {
    int64_t down, right;
    bool mirrored;
} movement;

/* Epochs and images each fill half of the stream's number. */
static of_random stream_of(const of_augmentation *augmentation, uint64_t epoch, uint64_t image) {
    return of_random_stream(augmentation->key, epoch << 32 | (image & UINT32_MAX));
}

static int64_t draw_shift(of_random *random, double share, uint32_t size) {
    uint32_t most = (uint32_t)(share * size);
    return most == 0 ? 0 : (int64_t)of_random_below(random, 2 * most + 1) - (int64_t)most;
}

static movement draw_movement(const of_augmentation *augmentation, of_random *random) {
    movement move;
    move.down = draw_shift(random, augmentation->shift, augmentation->height);
    move.right = draw_shift(random, augmentation->shift, augmentation->width);
    move.mirrored = augmentation->flip && of_random_below(random, 2) == 1;
    return move;
}

/* Mirrors an index into 0..size-1: -1 -> 1, size -> size-2. Shifts are at most half the size. */
static uint32_t reflect(int64_t index, uint32_t size) {
    int64_t last = (int64_t)size - 1;
    if (index < 0)
        index = -index;
    if (index > last)
        index = 2 * last - index;
    return (uint32_t)(index < 0 ? 0 : index);
}

static void render(const of_augmentation *augmentation, movement move, of_random *random,
                   const uint8_t *pixels, float *target) {
    uint32_t height = augmentation->height, width = augmentation->width;
    uint32_t channels = augmentation->channels;
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row =
            pixels + (size_t)reflect((int64_t)y - move.down, height) * width * channels;
        for (uint32_t x = 0; x < width; x++) {
            uint32_t seen = move.mirrored ? width - 1 - x : x;
            const uint8_t *pixel =
                row + (size_t)reflect((int64_t)seen - move.right, width) * channels;
            for (uint32_t c = 0; c < channels; c++)
                *target++ =
                    ((float)pixel[c] + (of_random_uniform(random) - 0.5f)) * (1.0f / 255.0f);
        }
    }
}

void of_augment(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                const uint8_t *pixels, float *target) {
    of_random random = stream_of(augmentation, epoch, image);
    movement move = draw_movement(augmentation, &random);
    render(augmentation, move, &random, pixels, target);
}

void of_dequantise(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                   const uint8_t *pixels, float *target) {
    of_random random = stream_of(augmentation, epoch, image);
    render(augmentation, (movement){0}, &random, pixels, target);
}
