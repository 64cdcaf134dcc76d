/* SPDX-License-Identifier: Apache-2.0 */
/* Measures what scores lose in another precision. */
#ifndef OF_DETECT_LOSSES_MEASURE_H
#define OF_DETECT_LOSSES_MEASURE_H

#include "detect/detector.h"

enum { OF_LOSSES_LEAST = 32 /* usual images: with fewer nothing is said */ };

/* Usual images, [count][height][width][channels]: those to compare with, and others to calibrate
 * with where the detector is not. */
typedef struct of_usual_images {
    const uint8_t *compared, *fitted;
    size_t compared_count, fitted_count;
} of_usual_images;

/* Of all scores that the models allow, but `ensemble` and `complexity-webp`. `exact` and `reduced`
 * are of the same models. */
of_status of_losses_measure(const of_detector *exact, const of_detector *reduced,
                            const of_usual_images *images, of_losses *losses, of_error *error);

#endif
