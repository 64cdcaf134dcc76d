/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder (stb_image 2.27) leaves out of TGA and GIF files, done to its pixels. */
#ifndef OF_DATA_PIXELS_IMAGE_MEND_H
#define OF_DATA_PIXELS_IMAGE_MEND_H

#include <outflow/outflow.h>

/* Turns the rows of a TGA file that begin on the right. */
void of_mend_tga(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t height, size_t width,
                 size_t channels);

/* Gives the transparent pixels of a GIF file, 4 bytes each, their colour in the palette, as those
 * of other formats have it, and where no image covers the picture, its background; the decoder
 * leaves them black. */
void of_mend_gif(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t count);

#endif
