/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_frames.h"

#include <string.h>

/* ---- GIF: a header, a palette, then blocks: 0x2c an image, 0x21 an extension, 0x3b the end.
 * Data come in pieces of up to 255 bytes after their length, up to a piece of none. ------------ */

enum { GIF_HEADER = 13, GIF_IMAGE = 10, IMAGE = 0x2c, EXTENSION = 0x21 };

/* Bytes of the palette that a packed field announces: 2 to 256 colours, or none. */
static size_t palette_bytes(uint8_t packed) {
    return (packed & 0x80) != 0 ? (size_t)3 << ((packed & 7) + 1) : 0;
}

/* The place after the pieces at `at`; `size` if they are cut short. */
static size_t skip_pieces(const uint8_t *bytes, size_t size, size_t at) {
    while (at < size && bytes[at] != 0)
        at += 1 + (size_t)bytes[at];
    return at < size ? at + 1 : size;
}

uint32_t of_gif_frames(const uint8_t *bytes, size_t size) {
    uint32_t frames = 0;
    if (size < GIF_HEADER)
        return 0;
    size_t at = GIF_HEADER + palette_bytes(bytes[10]);
    while (at < size && (bytes[at] == IMAGE || bytes[at] == EXTENSION)) {
        if (bytes[at] == EXTENSION) {
            at = skip_pieces(bytes, size, at + 2);
            continue;
        }
        if (size - at < GIF_IMAGE)
            break;
        frames++;
        at += GIF_IMAGE + palette_bytes(bytes[at + 9]) + 1; /* and the size of its codes */
        at = skip_pieces(bytes, size, at);
    }
    return frames;
}

/* ---- PNG: a signature and chunks of [length][type][data][crc] ---------------------------------
 */

uint32_t of_png_frames(const uint8_t *bytes, size_t size) {
    uint32_t frames = 1;
    bool after_first = false;
    for (size_t at = 8; at < size && size - at >= 12;) {
        const uint8_t *chunk = bytes + at;
        size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 |
                        (size_t)chunk[3];
        if (length > size - at - 12)
            break;
        after_first = after_first || memcmp(chunk + 4, "IDAT", 4) == 0;
        frames += after_first && memcmp(chunk + 4, "fcTL", 4) == 0;
        at += 12 + length;
    }
    return frames;
}
