/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of image files held in memory. */
#ifndef OF_DATA_PIXELS_IMAGE_H
#define OF_DATA_PIXELS_IMAGE_H

#include "data/pixels/convert.h"
#include "data/pixels/image_kind.h"
#include "data/probe.h"

/* A JPEG that is shrunk is decoded at 1/2, 1/4 or 1/8 where that leaves this many times the
 * target's height and width: the pixels differ by a level at most from those of the full size. */
enum { OF_SCALED_MARGIN = 8 };

/*
 * Decodes an image file and converts it to the target: laid over the target's background where it
 * is transparent, turned as EXIF says, resized. The header's size is checked before any memory for
 * pixels is taken, and the decoder's memory is capped by that size; data that is cut short, or a
 * PNG whose checksums do not hold, is an error and never a half-filled image. The content decides
 * the format, the name only whether a file without a signature may be TGA. The first frame of an
 * animation is taken; of 16 bits a channel the upper 8. On success *info says what was read.
 */
of_status of_image_decode(const uint8_t *bytes, size_t size, const char *name,
                          const of_target *target, uint8_t *pixels, of_image_info *info,
                          of_error *error);

/* About the memory that of_image_decode takes for this file while it runs; 0 if that is too little
 * to matter, or if the file will be refused by its header. */
size_t of_image_decoding_bytes(const uint8_t *bytes, size_t size, const of_target *target);

/* The shape that an image file's header announces, held against the target's limits. */
of_status of_image_shape_of(const uint8_t *bytes, size_t size, const of_target *target,
                            of_image_shape *shape, of_error *error);

#endif
