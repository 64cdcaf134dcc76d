/* SPDX-License-Identifier: Apache-2.0 */
/* Images that do not belong, made from images that do. */
#ifndef OF_FIT_OUTLIERS_H
#define OF_FIT_OUTLIERS_H

#include "fit/pictures.h"

typedef enum of_outliers {
    OF_OUTLIERS_DEGRADED, /* blurred, noisy, coarse, too dark, too light, tinted */
    OF_OUTLIERS_CUTOUTS,  /* a part enlarged, or turned and put elsewhere; the whole turned */
    OF_OUTLIERS_MIXTURES, /* two images averaged, joined, or their pieces in disorder */
    OF_OUTLIERS_STAINS,   /* spots and scratches */
    OF_OUTLIERS_KINDS
} of_outliers;

const char *of_outliers_name(of_outliers kind);

/* Makes outlier number `index` from pictures of the pool, of their shape: it depends on the pool,
 * the kind, the seed and the index alone. */
void of_outliers_make(const of_pictures *pool, of_outliers kind, uint64_t seed, uint64_t index,
                      uint8_t *pixels);

#endif
