/* SPDX-License-Identifier: Apache-2.0 */
/* How many images an animation holds, told from the structure of its file alone. */
#ifndef OF_DATA_PIXELS_IMAGE_FRAMES_H
#define OF_DATA_PIXELS_IMAGE_FRAMES_H

#include <outflow/outflow.h>

/* Images of a GIF file, as far as it goes. */
uint32_t of_gif_frames(const uint8_t *bytes, size_t size);

/* The default image of a PNG file, and the further frames of an animated one: each begins with a
 * chunk fcTL; one before the image data describes the default image itself. */
uint32_t of_png_frames(const uint8_t *bytes, size_t size);

#endif
