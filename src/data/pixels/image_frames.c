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

/* The place of the next image after extensions; 0 if there is none. *control is the place of the
 * last extension that says how it is drawn, or stays. */
static size_t find_image(const uint8_t *bytes, size_t size, size_t at, size_t *control) {
    enum { CONTROL = 0xf9, CONTROL_SIZE = 8 };
    while (at < size && bytes[at] == EXTENSION) {
        if (size - at >= CONTROL_SIZE && bytes[at + 1] == CONTROL && bytes[at + 2] == 4)
            *control = at;
        at = skip_pieces(bytes, size, at + 2);
    }
    return at < size && bytes[at] == IMAGE && size - at >= GIF_IMAGE ? at : 0;
}

static uint32_t read_16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

bool of_gif_frame_at(const uint8_t *bytes, size_t size, size_t at, of_gif_frame *frame) {
    size_t control = 0;
    if (size < GIF_HEADER)
        return false;
    frame->head = GIF_HEADER + palette_bytes(bytes[10]);
    size_t image = find_image(bytes, size, at > 0 ? at : frame->head, &control);
    if (image == 0)
        return false;
    frame->place = control > 0 ? control : image;
    frame->disposal = control > 0 ? bytes[control + 3] >> 2 & 7u : 0;
    frame->x = read_16(bytes + image + 1);
    frame->y = read_16(bytes + image + 3);
    frame->width = read_16(bytes + image + 5);
    frame->height = read_16(bytes + image + 7);
    /* a palette of its own, and the size of its codes */
    size_t data = image + GIF_IMAGE + palette_bytes(bytes[image + 9]) + 1;
    frame->end = data < size ? skip_pieces(bytes, size, data) : size;
    return true;
}

uint32_t of_gif_frames(const uint8_t *bytes, size_t size) {
    of_gif_frame frame = {.end = 0};
    uint32_t frames = 0;
    while (of_gif_frame_at(bytes, size, frame.end, &frame))
        frames++;
    return frames;
}
