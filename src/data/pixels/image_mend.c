/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_mend.h"

#include <string.h>

void of_mend_tga(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t height, size_t width,
                 size_t channels) {
    enum { DESCRIPTOR = 17, FROM_THE_RIGHT = 0x10 };
    if (size <= DESCRIPTOR || (bytes[DESCRIPTOR] & FROM_THE_RIGHT) == 0)
        return;
    for (size_t y = 0; y < height; y++) {
        uint8_t *left = pixels + y * width * channels, *right = left + (width - 1) * channels;
        for (; left < right; left += channels, right -= channels)
            for (size_t c = 0; c < channels; c++) {
                uint8_t value = left[c];
                left[c] = right[c];
                right[c] = value;
            }
    }
}

/* A BMP's header has room for a mask of opacity from 56 bytes on, and uses it with masks of
 * colours; a TGA's has a count of bits. */
static bool has_opacity(const uint8_t *bytes, size_t size) {
    enum { BMP_HEADER = 14, BMP_COMPRESSION = 30, BMP_MASK = 66, TGA_DESCRIPTOR = 17 };
    if (size < 2 || memcmp(bytes, "BM", 2) != 0)
        return size > TGA_DESCRIPTOR && (bytes[TGA_DESCRIPTOR] & 0xf) != 0;
    if (size < BMP_MASK + 4)
        return false;
    static const uint8_t none[4] = {0};
    bool masks = bytes[BMP_COMPRESSION] == 3 || bytes[BMP_COMPRESSION] == 6;
    return bytes[BMP_HEADER] >= 56 && masks && memcmp(bytes + BMP_MASK, none, 4) != 0;
}

void of_mend_opacity(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t count) {
    for (size_t i = 0; i < count && !has_opacity(bytes, size); i++)
        pixels[4 * i + 3] = 255;
}

void of_clear_gif_background(const uint8_t *bytes, size_t size, of_mended_file *file) {
    enum { HEADER = 13, BACKGROUND = 11 };
    size_t head = size < HEADER ? size : HEADER;
    memset(file->pieces, 0, sizeof file->pieces);
    memcpy(file->patch, bytes, head);
    file->patch[BACKGROUND] = 0;
    file->pieces[0].bytes = file->patch;
    file->pieces[0].size = head;
    file->pieces[1].bytes = bytes + head;
    file->pieces[1].size = size - head;
}
