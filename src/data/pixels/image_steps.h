/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of of_image_decode, for those who decode the frames of a file one by one. */
#ifndef OF_DATA_PIXELS_IMAGE_STEPS_H
#define OF_DATA_PIXELS_IMAGE_STEPS_H

#include "data/pixels/decoder.h"
#include "data/pixels/image.h"

/* Reads a header and holds the size that will be seen against the target's limits. */
of_status of_image_read_header(const of_decoder *decoder, const uint8_t *bytes, size_t size,
                               const of_target *target, of_image_header *header, of_error *error);

/* Begins the memory of a decoder, with limits that follow from the header. */
of_status of_image_limit_memory(const of_image_header *header, size_t size, const of_target *target,
                                of_error *error);

/* What is known before pixels are decoded. */
of_image_info of_image_describe(const of_image_header *header, const char *format,
                                const of_target *target);

/* From what is stored to what is seen: opacity and orientation, and what they add to *info. */
of_status of_image_show(of_picture *picture, const of_image_header *header, const of_target *target,
                        of_image_info *info, of_error *error);

#endif
