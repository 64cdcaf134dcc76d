/* SPDX-License-Identifier: Apache-2.0 */
/* From pixels of any size and channel count to those a model takes. */
#ifndef OF_DATA_PIXELS_CONVERT_H
#define OF_DATA_PIXELS_CONVERT_H

#include <outflow/outflow.h>

/* The images that a source gives out, and what it refuses to touch. */
typedef struct of_target {
    uint32_t channels; /* 1 or 3 */
    uint32_t height, width;
    uint64_t max_pixels;            /* of an image before it is resized */
    size_t max_bytes;               /* of an encoded file */
    uint32_t min_height, min_width; /* of an image before it is resized; 0: any */
    uint64_t max_memory;            /* of the decoder; 0: what the image can need */
    uint64_t max_unpacked;          /* bytes of an archive; 0: any number */
    uint32_t background;            /* below what is transparent: of_colour_parse; 0: white */
    bool full_decoding;             /* never decode at less than full size */
    bool all_frames;                /* of animations, else the first */
} of_target;

/* Its red, green and blue. */
void of_target_background(const of_target *target, uint8_t rgb[3]);

/* A caller's limits, unless he sets them. */
#define OF_MAX_PIXELS ((uint64_t)1 << 26)
#define OF_MAX_FILE_BYTES ((size_t)256 << 20)
#define OF_MAX_DECODER_BYTES ((uint64_t)512 << 20) /* of a source's images */

/* Fails if no image can have this shape; `what` begins the message. */
of_status of_target_check(const of_target *target, const char *what, of_error *error);

/* Bytes of one target image. */
static inline size_t of_target_bytes(const of_target *target) {
    return (size_t)target->height * target->width * target->channels;
}

/* Pixels as a file or a decoder has them. The last of 2 or 4 channels is opacity. */
typedef struct of_raster {
    const uint8_t *pixels;
    uint32_t height, width, channels;
    bool planar; /* [channels][height][width] instead of [height][width][channels] */
} of_raster;

enum { OF_MAX_SIDE = 65535 };

/* Fails if an image of this size is empty or beyond the target's limits. */
of_status of_check_size(uint64_t height, uint64_t width, const of_target *target, of_error *error);

/* What it does to an image to become the target. */
of_image_info of_describe_image(const char *format, uint32_t channels, uint32_t height,
                                uint32_t width, const of_target *target);

/*
 * Writes `from` as a target image: opacity is dropped, colour becomes grey by Rec. 601 luma
 * (0.299 R + 0.587 G + 0.114 B), grey is repeated, and another size is resampled with a triangle
 * filter, edges clamped, on the byte values as they are: bilinear interpolation between pixel
 * centres where the image grows, the same triangle widened to the scale where it shrinks.
 * An image that fits already passes unchanged.
 */
of_status of_convert(const of_raster *from, const of_target *target, uint8_t *pixels,
                     of_error *error);

#endif
