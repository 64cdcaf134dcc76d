/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoder (stb_image 2.27) does not do for TGA and GIF files. */
#ifndef OF_DATA_PIXELS_IMAGE_MEND_H
#define OF_DATA_PIXELS_IMAGE_MEND_H

#include "data/pixels/image_palette.h"

/* Turns the rows of a TGA file that begin on the right. */
void of_mend_tga(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t height, size_t width,
                 size_t channels);

/* Takes away the opacity, the last of 4 channels, of a BMP or TGA file whose header does not say
 * that it is one: what stands there then means nothing. */
void of_mend_opacity(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t count);

/* The GIF file without a background colour, which the decoder would give to pixels that no image
 * covers: they are transparent, as viewers show them. *file holds pointers into itself. */
void of_clear_gif_background(const uint8_t *bytes, size_t size, of_mended_file *file);

#endif
