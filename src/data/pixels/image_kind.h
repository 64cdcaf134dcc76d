/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of image file it is, by its first bytes or its name. */
#ifndef OF_DATA_PIXELS_IMAGE_KIND_H
#define OF_DATA_PIXELS_IMAGE_KIND_H

#include <outflow/outflow.h>

/* For messages: what of_has_image_extension accepts. */
#define OF_IMAGE_EXTENSIONS ".png .jpg .jpeg .bmp .gif .tga .pbm .pgm .ppm .pnm"

typedef enum of_image_kind {
    OF_KIND_PNG,
    OF_KIND_JPEG,
    OF_KIND_BMP,
    OF_KIND_GIF,
    OF_KIND_PNM,
    OF_KIND_TGA /* or anything else: it has no signature */
} of_image_kind;

of_image_kind of_image_kind_of(const uint8_t *bytes, size_t size);

/* "PNG" and so on. */
const char *of_image_kind_name(of_image_kind kind);

/* True if the file name ends like an image's, in small or capital letters. */
bool of_has_image_extension(const char *name);

/* True if the content begins like a PNG, JPEG, BMP, GIF or PNM file. */
bool of_has_image_magic(const uint8_t *bytes, size_t size);

#endif
