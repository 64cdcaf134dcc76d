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

/* The place of the next image after extensions; 0 if there is none. The last extension that
 * controls it says which index is transparent: *clear, or it stays. */
static size_t find_image(const uint8_t *bytes, size_t size, size_t at, uint8_t *clear) {
    enum { CONTROL = 0xf9, CONTROL_SIZE = 8, HAS_CLEAR = 1 };
    while (at < size && bytes[at] == EXTENSION) {
        if (size - at >= CONTROL_SIZE && bytes[at + 1] == CONTROL && bytes[at + 2] == 4)
            *clear = (bytes[at + 3] & HAS_CLEAR) != 0 ? bytes[at + 6] : 0;
        at = skip_pieces(bytes, size, at + 2);
    }
    return at < size && bytes[at] == IMAGE && size - at >= GIF_IMAGE ? at : 0;
}

uint32_t of_gif_frames(const uint8_t *bytes, size_t size) {
    uint32_t frames = 0;
    uint8_t clear = 0;
    if (size < GIF_HEADER)
        return 0;
    size_t at = GIF_HEADER + palette_bytes(bytes[10]);
    while ((at = find_image(bytes, size, at, &clear)) != 0) {
        frames++;
        at += GIF_IMAGE + palette_bytes(bytes[at + 9]) + 1; /* and the size of its codes */
        at = skip_pieces(bytes, size, at);
    }
    return frames;
}

bool of_gif_clear_colour(const uint8_t *bytes, size_t size, uint8_t colour[3]) {
    uint8_t clear = 0; /* the background is the first colour, or the decoder has filled it in */
    if (size < GIF_HEADER)
        return false;
    size_t palette = GIF_HEADER, length = palette_bytes(bytes[10]);
    size_t at = find_image(bytes, size, palette + length, &clear);
    if (at != 0 && palette_bytes(bytes[at + 9]) > 0) {
        palette = at + GIF_IMAGE;
        length = palette_bytes(bytes[at + 9]);
    }
    size_t place = palette + 3 * (size_t)clear;
    if (at == 0 || 3 * (size_t)clear >= length || place + 3 > size)
        return false;
    memcpy(colour, bytes + place, 3);
    return true;
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
