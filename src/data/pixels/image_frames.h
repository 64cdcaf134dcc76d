/* SPDX-License-Identifier: Apache-2.0 */
/* What the structure of a file tells alone: how many images an animation holds, and which colour
 * lies under what is transparent. */
#ifndef OF_DATA_PIXELS_IMAGE_FRAMES_H
#define OF_DATA_PIXELS_IMAGE_FRAMES_H

#include <outflow/outflow.h>

/* Images of a GIF file, as far as it goes. */
uint32_t of_gif_frames(const uint8_t *bytes, size_t size);

/* The colour that the first image's palette has for its transparent pixels, or if it has none, for
 * the background; false without a palette or an image. */
bool of_gif_clear_colour(const uint8_t *bytes, size_t size, uint8_t colour[3]);

/* The default image of a PNG file, and the further frames of an animated one: each begins with a
 * chunk fcTL; one before the image data describes the default image itself. */
uint32_t of_png_frames(const uint8_t *bytes, size_t size);

#endif
