/* SPDX-License-Identifier: Apache-2.0 */
/* A sample of images, each of a stream with the same probability; the same for the same stream. */
#ifndef OF_EVALUATE_IMAGE_SAMPLE_H
#define OF_EVALUATE_IMAGE_SAMPLE_H

#include <outflow/outflow.h>

enum { OF_SAMPLE_MOST = 64 };

typedef struct of_image_sample {
    uint8_t *pixels; /* [OF_SAMPLE_MOST][height][width][channels] */
    size_t count;
    uint64_t offered;
} of_image_sample;

of_status of_image_sample_offer(of_image_sample *sample, const uint8_t *pixels, size_t image_bytes,
                                of_error *error);

/* Accepts a zeroed one. */
void of_image_sample_close(of_image_sample *sample);

#endif
