/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_frames.h"

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

/* The place of the next image after extensions; 0 if there is none. */
static size_t find_image(const uint8_t *bytes, size_t size, size_t at) {
    while (at < size && bytes[at] == EXTENSION)
        at = skip_pieces(bytes, size, at + 2);
    return at < size && bytes[at] == IMAGE && size - at >= GIF_IMAGE ? at : 0;
}

uint32_t of_gif_frames(const uint8_t *bytes, size_t size) {
    uint32_t frames = 0;
    if (size < GIF_HEADER)
        return 0;
    size_t at = GIF_HEADER + palette_bytes(bytes[10]);
    while ((at = find_image(bytes, size, at)) != 0) {
        frames++;
        at += GIF_IMAGE + palette_bytes(bytes[at + 9]) + 1; /* and the size of its codes */
        at = skip_pieces(bytes, size, at);
    }
    return frames;
}
