/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_mend.h"

#include "data/pixels/image_frames.h"

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

void of_mend_gif(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t count) {
    uint8_t colour[3];
    if (!of_gif_clear_colour(bytes, size, colour))
        return;
    for (size_t i = 0; i < count; i++)
        if (pixels[4 * i + 3] == 0)
            memcpy(pixels + 4 * i, colour, sizeof colour);
}
