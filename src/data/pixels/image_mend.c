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
