/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest image files of each format, and small animations. */
#ifndef OF_TESTS_IMAGE_FIXTURE_H
#define OF_TESTS_IMAGE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct encoded {
    uint8_t *bytes;
    size_t size;
} encoded;

/* The contents of all but the JPEG: 2 x 1 pixels, (1, 2, 3) and (4, 5, 6). */

static const uint8_t image_ppm[] = "P6\n# comment\n2 1\n255\n\1\2\3\4\5\6";

static const uint8_t image_tga[] = {0, 0, 2, 0, 0,  0, 0, 0, 0, 0, 0, 0,
                                    2, 0, 1, 0, 24, 0, 3, 2, 1, 6, 5, 4};

static const uint8_t image_bmp[] = {'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0,  0, 40, 0,
                                    0,   0,   2,  0, 0, 0, 1, 0, 0, 0, 1,  0, 24, 0, 0,  0,
                                    0,   0,   8,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0,  0, 0,  0,
                                    0,   0,   0,  0, 0, 0, 3, 2, 1, 6, 5,  4, 0,  0};

/* Two colours, the pixels 0 and 1: codes clear, 0, 1, end of 3 bits each. */
static const uint8_t image_gif[] = {'G', 'I', 'F', '8', '9', 'a', 2, 0,    1,    0, 0x80, 0,
                                    0,   1,   2,   3,   4,   5,   6, ',',  0,    0, 0,    0,
                                    2,   0,   1,   0,   0,   2,   2, 0x44, 0x0a, 0, ';'};

/* The smallest baseline JPEG of one grey block: all coefficients 0. */
static const uint8_t
    image_jpeg[] = {0xff, 0xd8, 0xff, 0xdb, 0,    67, 0, /* DQT */
                    1,    1,    1,    1,    1,    1,  1, 1, 1,  1, 1,    1,    1, 1, 1, 1,
                    1,    1,    1,    1,    1,    1,  1, 1, /* */
                    1,    1,    1,    1,    1,    1,  1, 1, 1,  1, 1,    1,    1, 1, 1, 1,
                    1,    1,    1,    1,    1,    1,  1, 1,                                /* */
                    1,    1,    1,    1,    1,    1,  1, 1, 1,  1, 1,    1,    1, 1, 1, 1, /* */
                    0xff, 0xc0, 0,    11,   8,    0,  8, 0, 8,  1, 1,    0x11, 0, /* SOF0 8 x 8 */
                    0xff, 0xc4, 0,    20,   0x00, 1,  0, 0, 0,  0, 0,    0,    0, 0, 0, 0,
                    0,    0,    0,    0,    0,    0, /* DC: 0 -> 0 */
                    0xff, 0xc4, 0,    20,   0x10, 1,  0, 0, 0,  0, 0,    0,    0, 0, 0, 0,
                    0,    0,    0,    0,    0,    0,                     /* AC: 0 -> EOB */
                    0xff, 0xda, 0,    8,    1,    1,  0, 0, 63, 0, 0x3f, /* SOS, one block */
                    0xff, 0xd9};

/* Only read. */
static inline encoded as_file(const uint8_t *bytes, size_t size) {
    return (encoded){(uint8_t *)(uintptr_t)bytes, size};
}

/* Appends a chunk of a PNG file, which has room for it. */
static inline void put_chunk(encoded *file, const char *type, const void *data, uint32_t length) {
    uint8_t *at = file->bytes + file->size;
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(at + 4, type, 4);
    if (length > 0)
        memcpy(at + 8, data, length);
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 4; i < length + 8; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    for (int i = 0; i < 4; i++)
        at[8 + length + (uint32_t)i] = (uint8_t)(~crc >> (24 - 8 * i));
    file->size += length + 12;
}

/* The default image of 2 x 1 grey pixels, and further frames; the first frame of the animation is
 * the default image or is not. Stored without compression. */
static inline encoded animated_png(unsigned further, bool default_is_frame) {
    static uint8_t bytes[2048];
    encoded file = {bytes, 8};
    const uint8_t header[] = {0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0};
    const uint8_t data[] = {0x78, 0x01, 1, 3, 0, 0xfc, 0xff, 0, 10, 20, 0, 43, 0, 31};
    const uint8_t control[26] = {0};
    uint8_t frame[4 + sizeof data] = {0};
    memcpy(bytes, "\x89PNG\r\n\x1a\n", 8);
    memcpy(frame + 4, data, sizeof data);
    put_chunk(&file, "IHDR", header, sizeof header);
    put_chunk(&file, "acTL", "\xff\xff\xff\xff\0\0\0\0", 8); /* not believed */
    if (default_is_frame)
        put_chunk(&file, "fcTL", control, sizeof control);
    put_chunk(&file, "IDAT", data, sizeof data);
    for (unsigned i = 0; i < further; i++) {
        put_chunk(&file, "fcTL", control, sizeof control);
        put_chunk(&file, "fdAT", frame, sizeof frame);
    }
    put_chunk(&file, "IEND", NULL, 0);
    return file;
}

/* The one image of the fixture, repeated, each after an extension. */
static inline encoded animated_gif(unsigned frames, bool transparent) {
    static uint8_t bytes[2048];
    enum { HEADER = 13 + 6, IMAGE = sizeof image_gif - HEADER - 1 };
    const uint8_t control[] = {0x21, 0xf9, 4, transparent ? 1 : 0, 0, 0, 1, 0};
    encoded file = {bytes, HEADER};
    memcpy(bytes, image_gif, HEADER);
    for (unsigned i = 0; i < frames; i++) {
        memcpy(bytes + file.size, control, sizeof control);
        memcpy(bytes + file.size + sizeof control, image_gif + HEADER, IMAGE);
        file.size += sizeof control + IMAGE;
    }
    bytes[file.size++] = ';';
    return file;
}

#endif
