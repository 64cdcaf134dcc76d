/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of image file it is, by its first bytes or its name. */
#ifndef OF_DATA_PIXELS_IMAGE_KIND_H
#define OF_DATA_PIXELS_IMAGE_KIND_H

#include <outflow/outflow.h>

#ifdef OUTFLOW_WEBP
#define OF_WEBP_EXTENSIONS " .webp"
#else
#define OF_WEBP_EXTENSIONS ""
#endif
#ifdef OUTFLOW_TIFF
#define OF_TIFF_EXTENSIONS " .tif .tiff"
#else
#define OF_TIFF_EXTENSIONS ""
#endif
#ifdef OUTFLOW_JP2
#define OF_JP2_EXTENSIONS " .jp2 .j2k .jpf .jpx"
#else
#define OF_JP2_EXTENSIONS ""
#endif
#ifdef OUTFLOW_HEIF
#define OF_HEIF_EXTENSIONS " .avif .heic .heif"
#else
#define OF_HEIF_EXTENSIONS ""
#endif

/* What of_has_image_extension accepts, and for messages. */
#define OF_IMAGE_EXTENSIONS                                                                        \
    ".png .apng .jpg .jpeg .jfif .jpe .bmp .gif .tga .pbm .pgm .ppm .pnm" OF_WEBP_EXTENSIONS       \
        OF_TIFF_EXTENSIONS OF_JP2_EXTENSIONS OF_HEIF_EXTENSIONS

typedef enum of_image_kind {
    OF_KIND_PNG,
    OF_KIND_JPEG,
    OF_KIND_BMP,
    OF_KIND_GIF,
    OF_KIND_PNM,
    OF_KIND_WEBP,
    OF_KIND_TIFF,
    OF_KIND_JP2,
    OF_KIND_AVIF,
    OF_KIND_HEIC,
    OF_KIND_TGA /* or anything else: it has no signature; the last one */
} of_image_kind;

of_image_kind of_image_kind_of(const uint8_t *bytes, size_t size);

/* "PNG" and so on. */
const char *of_image_kind_name(of_image_kind kind);

/* True if the file name ends like an image's, in small or capital letters. */
bool of_has_image_extension(const char *name);

/* True if the content begins like an image file's of any kind but TGA. */
bool of_has_image_magic(const uint8_t *bytes, size_t size);

#endif
