/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the report: enlarged or reduced, with heat over them, as PNG. */
#ifndef OF_DETECT_PICTURE_H
#define OF_DETECT_PICTURE_H

#include <outflow/outflow.h>

/* Bytes, [height][width][3]. */
typedef struct of_picture {
    uint8_t *pixels; /* freed with of_picture_free */
    uint32_t height, width;
} of_picture;

/* An image with its heat. */
typedef struct of_heated_image {
    const uint8_t *pixels; /* [height][width][channels] */
    const double *heat;    /* [height][width], positive is more anomalous */
    double limit;          /* of |heat|: what is shown in the strongest colour */
    uint32_t channels, height, width;
} of_heated_image;

/* The factor that brings the longer side near `side` pixels from below, at least 1. */
uint32_t of_picture_factor(uint32_t height, uint32_t width, uint32_t side);

/* The image, and its grey form under the colours of its heat: blue is more normal, orange more
 * anomalous, at even steps of perceived colour. Each pixel becomes factor x factor; images whose
 * longer side is beyond `most` pixels are reduced by averaging. */
of_status of_picture_plain(const of_heated_image *image, uint32_t factor, uint32_t most,
                           of_picture *picture, of_error *error);
of_status of_picture_heat(const of_heated_image *image, uint32_t factor, uint32_t most,
                          of_picture *picture, of_error *error);

/* Two pictures of one height, side by side with a gap between them. */
of_status of_picture_join(const of_picture *left, const of_picture *right, of_picture *joined,
                          of_error *error);

void of_picture_free(of_picture *picture);

/* As PNG; `bytes` is freed with of_free. */
of_status of_picture_encode(const of_picture *picture, uint8_t **bytes, size_t *size,
                            of_error *error);

/* Colour of heat / limit in -1..1 at the strength at which it is laid over grey. */
void of_picture_colour(double relative, uint8_t colour[3]);

#endif
