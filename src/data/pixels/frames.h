/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of a file that holds several: frames of GIF, PNG and WebP animations as they are
 * seen one after the other, pages of a TIFF. */
#ifndef OF_DATA_PIXELS_FRAMES_H
#define OF_DATA_PIXELS_FRAMES_H

#include "data/pixels/convert.h"

typedef struct of_frames of_frames;

/* *frames is NULL, with OF_OK, where the file holds one picture or is for of_image_decode to
 * refuse. `bytes` and *target must outlive it. */
of_status of_frames_open(const uint8_t *bytes, size_t size, const of_target *target,
                         of_frames **frames, of_error *error);

/* The next picture as it is to be seen, valid until the next call; *end after the last. */
of_status of_frames_next(of_frames *frames, of_raster *raster, of_image_info *info, bool *end,
                         of_error *error);

/* Accepts NULL. */
void of_frames_close(of_frames *frames);

#endif
