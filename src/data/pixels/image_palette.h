/* SPDX-License-Identifier: Apache-2.0 */
/* Palettes of BMP files, of which the decoder (stb_image 2.27) keeps as many colours as it
 * finds, and reads on in its own stack for a pixel that names another. */
#ifndef OF_DATA_PIXELS_IMAGE_PALETTE_H
#define OF_DATA_PIXELS_IMAGE_PALETTE_H

#include <outflow/outflow.h>

/* A file in three pieces, any of which may be empty. */
typedef struct of_mended_file {
    struct {
        const uint8_t *bytes;
        size_t size;
    } pieces[3];
    uint8_t patch[14 + 124 + 256 * 4]; /* what a piece may be instead of bytes of the file: a BMP's
                                          headers and palette at most */
} of_mended_file;

/*
 * The file with a colour for every index that its pixels can name: black where it has none, as
 * other programs show it. Nothing is copied but the palette; `bytes` must outlive *file, which
 * holds pointers into itself. What is damaged otherwise stays as it is, for the decoder to refuse.
 */
void of_complete_palette(const uint8_t *bytes, size_t size, of_mended_file *file);

#endif
