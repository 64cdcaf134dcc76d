/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a GIF file. */
#ifndef OF_DATA_PIXELS_IMAGE_FRAMES_H
#define OF_DATA_PIXELS_IMAGE_FRAMES_H

#include <outflow/outflow.h>

typedef struct of_gif_frame {
    size_t head;       /* bytes of the file's header with its palette */
    size_t place, end; /* of the image, with the extension that says how it is drawn */
    uint32_t x, y, width, height;
    uint32_t disposal; /* as the extension says it, else 0 */
} of_gif_frame;

/* The image at or after a place, which is 0 or the end of another. False if there is none. */
bool of_gif_frame_at(const uint8_t *bytes, size_t size, size_t at, of_gif_frame *frame);

/* Images of a GIF file, as far as it goes. */
uint32_t of_gif_frames(const uint8_t *bytes, size_t size);

#endif
