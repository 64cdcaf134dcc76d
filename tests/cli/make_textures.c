/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a woven texture, and such with defects, with the defects' masks:
 *
 *   make_textures FOLDER SIDE TRAIN GOOD BAD [SEED]
 *
 * writes TRAIN pictures to FOLDER/train, GOOD to FOLDER/test/good, and of each kind of defect BAD
 * pictures to FOLDER/test/KIND and their masks to FOLDER/masks/KIND. Kinds: patch (of another
 * texture), blur, scratch, stain. The same numbers give the same files. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <outflow/outflow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CHANNELS = 3 };

typedef struct picture {
    size_t side;
    uint8_t *pixels; /* [side][side][3] */
    uint8_t *mask;   /* [side][side], 255 where the defect is */
} picture;

static uint64_t state;

/* A number in [0, 1) (xorshift*). */
static double draw(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * 0x2545f4914f6cdd1du) >> 11) * 0x1p-53;
}

static uint8_t shade(double value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* Threads over and under each other, with grain. */
static void weave(picture *p) {
    double period = 7 + draw(), phase_x = 6.3 * draw(), phase_y = 6.3 * draw();
    double light = 0.9 + 0.2 * draw(), tilt = 0.1 * (draw() - 0.5);
    for (size_t y = 0; y < p->side; y++)
        for (size_t x = 0; x < p->side; x++) {
            double u = 6.2832 * ((double)x + tilt * (double)y) / period + phase_x;
            double v = 6.2832 * ((double)y - tilt * (double)x) / period + phase_y;
            double height = sin(u) * cos(v / 2) + cos(v) * sin(u / 2);
            double value = light * (120 + 32 * height) + 14 * (draw() - 0.5);
            uint8_t *to = p->pixels + (y * p->side + x) * CHANNELS;
            to[0] = shade(1.05 * value);
            to[1] = shade(0.95 * value + 6 * (draw() - 0.5));
            to[2] = shade(0.8 * value + 6 * (draw() - 0.5));
        }
}

/* Where a defect of about this size lies: an ellipse inside the picture. */
typedef struct place {
    double x, y, across, down;
} place;

static place draw_place(const picture *p) {
    double most = (double)p->side / 6, least = 10;
    place at = {.across = least + (most - least) * draw(), .down = least + (most - least) * draw()};
    at.x = at.across + ((double)p->side - 2 * at.across) * draw();
    at.y = at.down + ((double)p->side - 2 * at.down) * draw();
    return at;
}

static bool covers(const place *at, size_t x, size_t y) {
    double dx = ((double)x - at->x) / at->across, dy = ((double)y - at->y) / at->down;
    return dx * dx + dy * dy <= 1;
}

/* Changes one pixel of the defect; `before` is the picture without it. */
typedef void change(const uint8_t *before, const picture *p, size_t x, size_t y, uint8_t *to);

static void patch(const uint8_t *before, const picture *p, size_t x, size_t y, uint8_t *to) {
    (void)before, (void)p;
    double value = 120 + 34 * sin(0.55 * (double)(x + y)) + 14 * (draw() - 0.5);
    to[0] = shade(1.05 * value);
    to[1] = shade(0.95 * value);
    to[2] = shade(0.8 * value);
}

static void blur(const uint8_t *before, const picture *p, size_t x, size_t y, uint8_t *to) {
    for (size_t c = 0; c < CHANNELS; c++) {
        unsigned sum = 0, count = 0;
        for (size_t v = y >= 2 ? y - 2 : 0; v <= y + 2 && v < p->side; v++)
            for (size_t u = x >= 2 ? x - 2 : 0; u <= x + 2 && u < p->side; u++, count++)
                sum += before[(v * p->side + u) * CHANNELS + c];
        to[c] = (uint8_t)(sum / count);
    }
}

static void stain(const uint8_t *before, const picture *p, size_t x, size_t y, uint8_t *to) {
    (void)before, (void)p, (void)x, (void)y;
    to[0] = shade(0.75 * to[0]);
    to[1] = shade(0.6 * to[1]);
    to[2] = shade(0.5 * to[2] + 10);
}

static void spoil(picture *p, const place *at, change *how) {
    uint8_t *before = malloc(p->side * p->side * CHANNELS);
    if (before == NULL)
        exit(1);
    memcpy(before, p->pixels, p->side * p->side * CHANNELS);
    for (size_t y = 0; y < p->side; y++)
        for (size_t x = 0; x < p->side; x++)
            if (covers(at, x, y)) {
                how(before, p, x, y, p->pixels + (y * p->side + x) * CHANNELS);
                p->mask[y * p->side + x] = 255;
            }
    free(before);
}

/* A bright line, two pixels wide. */
static void scratch(picture *p) {
    double x = (double)p->side * (0.2 + 0.6 * draw()), y = (double)p->side * (0.2 + 0.6 * draw());
    double angle = 6.2832 * draw(), length = (double)p->side * (0.15 + 0.2 * draw());
    for (double along = 0; along < length; along += 0.5) {
        size_t u = (size_t)(x + along * cos(angle)), v = (size_t)(y + along * sin(angle));
        for (size_t k = 0; k < 4; k++) {
            size_t column = u + k % 2, row = v + k / 2;
            if (column >= p->side || row >= p->side)
                continue;
            memset(p->pixels + (row * p->side + column) * CHANNELS, 215, CHANNELS);
            p->mask[row * p->side + column] = 255;
        }
    }
}

static void make_defect(picture *p, int kind) {
    static change *const changes[] = {patch, blur, NULL, stain};
    place at = draw_place(p);
    if (changes[kind] != NULL)
        spoil(p, &at, changes[kind]);
    else
        scratch(p);
}

/* ---- Files --------------------------------------------------------------------------------- */

static void fail(const char *path) {
    (void)fprintf(stderr, "make_textures: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void make_folder(const char *path) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        fail(path);
}

static void write_png(const char *path, const uint8_t *pixels, uint32_t channels, size_t side) {
    uint8_t *png;
    size_t size;
    of_error error;
    if (of_png_encode(pixels, channels, (uint32_t)side, (uint32_t)side, &png, &size, &error) !=
        OF_OK) {
        (void)fprintf(stderr, "make_textures: %s\n", error.message);
        exit(1);
    }
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(png, 1, size, file) != size || fclose(file) != 0)
        fail(path);
    of_free(png);
}

/* Pictures of one folder; kind -1: without a defect. */
static void make_pictures(const char *folder, const char *masks, picture *p, long count, int kind) {
    char path[4096];
    make_folder(folder);
    if (masks != NULL)
        make_folder(masks);
    for (long i = 0; i < count; i++) {
        weave(p);
        memset(p->mask, 0, p->side * p->side);
        if (kind >= 0)
            make_defect(p, kind);
        (void)snprintf(path, sizeof path, "%s/%03ld.png", folder, i);
        write_png(path, p->pixels, CHANNELS, p->side);
        if (masks == NULL)
            continue;
        (void)snprintf(path, sizeof path, "%s/%03ld.png", masks, i);
        write_png(path, p->mask, 1, p->side);
    }
}

int main(int argc, char **argv) {
    static const char *const kinds[] = {"patch", "blur", "scratch", "stain"};
    char folder[2048], masks[2048];
    if (argc < 6) {
        (void)fputs("usage: make_textures FOLDER SIDE TRAIN GOOD BAD [SEED]\n", stderr);
        return 2;
    }
    picture p = {.side = strtoul(argv[2], NULL, 10)};
    state = 88172645463325252u + (argc > 6 ? strtoul(argv[6], NULL, 10) : 0) * 7919;
    p.pixels = malloc(p.side * p.side * CHANNELS);
    p.mask = malloc(p.side * p.side);
    if (p.side < 64 || p.side > 8192 || p.pixels == NULL || p.mask == NULL)
        return 1;
    make_folder(argv[1]);
    (void)snprintf(folder, sizeof folder, "%s/test", argv[1]);
    (void)snprintf(masks, sizeof masks, "%s/masks", argv[1]);
    make_folder(folder);
    make_folder(masks);
    (void)snprintf(folder, sizeof folder, "%s/train", argv[1]);
    make_pictures(folder, NULL, &p, strtol(argv[3], NULL, 10), -1);
    (void)snprintf(folder, sizeof folder, "%s/test/good", argv[1]);
    make_pictures(folder, NULL, &p, strtol(argv[4], NULL, 10), -1);
    for (int k = 0; k < 4; k++) {
        (void)snprintf(folder, sizeof folder, "%s/test/%s", argv[1], kinds[k]);
        (void)snprintf(masks, sizeof masks, "%s/masks/%s", argv[1], kinds[k]);
        make_pictures(folder, masks, &p, strtol(argv[5], NULL, 10), k);
    }
    free(p.pixels);
    free(p.mask);
    return 0;
}
