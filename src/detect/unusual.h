/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in outliers, to see whether scores still tell them from usual images: copies of usual
 * images that something was done to, which are hard to tell, and synthetic pictures, which are not.
 */
#ifndef OF_DETECT_UNUSUAL_H
#define OF_DETECT_UNUSUAL_H

#include <outflow/outflow.h>

typedef enum of_unusual {
    OF_UNUSUAL_BLURRED,
    OF_UNUSUAL_NOISY,
    OF_UNUSUAL_TURNED,
    OF_UNUSUAL_MIXED,  /* the average of two images */
    OF_UNUSUAL_JOINED, /* the upper half of one, the lower half of another */
    OF_UNUSUAL_FADED,
    OF_UNUSUAL_DARKENED,
    OF_UNUSUAL_ENLARGED, /* the middle of an image */
    OF_UNUSUAL_SHAPES,   /* synthetic: */
    OF_UNUSUAL_DIGITS,
    OF_UNUSUAL_KINDS
} of_unusual;

const char *of_unusual_name(of_unusual kind); /* "blurred images" */

/* `to` gets `count` images, each [height][width][channels], the i-th one made from usual[i]. */
of_status of_unusual_make(of_unusual kind, const of_architecture *shape, const uint8_t *usual,
                          size_t count, uint8_t *to, of_error *error);

#endif
