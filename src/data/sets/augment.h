/* SPDX-License-Identifier: Apache-2.0 */
/* Training images: augmented and dequantised bytes. Everything random is a function of (key,
 * epoch, image), whatever the thread or the order. */
#ifndef OF_DATA_SETS_AUGMENT_H
#define OF_DATA_SETS_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct of_augmentation {
    uint64_t key; /* of the random numbers */
    uint32_t channels, height, width;
    double shift; /* largest shift, as a share of height and width, 0..0.5 */
    bool flip;    /* mirror every other image, left to right */
    double zoom;  /* magnify every other image by 1-zoom..1+zoom about its centre, 0..0.5 */
    double color; /* vary every other image's colours by up to this share, 0..1 */
    uint32_t dropped_bits; /* of each byte, 8 - of_input_map.bits */
    double noise; /* width of the dequantisation noise in levels of what is left: bin/scale */
} of_augmentation;

/* One image [height][width][channels] becomes `target`, in the same order, in four parts.
 *
 * Place: moved by whole pixels, uniformly up to floor(shift*height) down or up and
 * floor(shift*width) sideways, mirrored, magnified (bilinear). What comes into view is the image
 * mirrored at its edge (without repeating the edge): black bars or stretched edges would be the
 * smoothest content of all, and a density model would learn to expect them.
 *
 * Colours: v -> b (m + c (g + s (v - g) - m)), g the pixel's mean over its channels, m the image's
 * mean; brightness b, contrast c and saturation s each uniform in 1-color..1+color.
 *
 * Bytes: what either has changed is rounded to 0..255, as in the images that will be scored. Every
 * other image stays as it is, because resampled images are smoother, so more likely, than others.
 *
 * Dequantisation: v -> 2^dropped (floor(v / 2^dropped) + noise (u - 1/2))/255, u uniform in [0,1),
 * so that a plan, which takes OF_PIXEL_F32 p as 255 p / 2^dropped levels, sees
 * x = scale floor(v / 2^dropped) + shift + bin (u - 1/2): by default (v + u)/256 - 1/2. */
void of_augment(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                const uint8_t *pixels, float *target);

/* The last part alone. */
void of_dequantise(const of_augmentation *augmentation, uint64_t epoch, uint64_t image,
                   const uint8_t *pixels, float *target);

#endif
