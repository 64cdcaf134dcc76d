/* SPDX-License-Identifier: Apache-2.0 */
/* One score from several tests of an image: how far its statistics are from those of calibration
 * images, in any direction; and, in the direction in which outliers are expected, whether its
 * likelihood is too low beside the general model's or, without one, for its complexity. */
#ifndef OF_SCORE_COMBINE_H
#define OF_SCORE_COMBINE_H

#include <outflow/outflow.h>

/* Mean and standard deviation of a number over calibration images. */
typedef struct of_spread {
    double mean, deviation;
} of_spread;

/* Over the values that are finite; a deviation of 0 becomes a tiny one. */
of_spread of_spread_fit(const double *values, size_t count);

typedef struct of_combination {
    of_spread distance; /* of the cube root of the squared Mahalanobis distance */
    of_spread complexity;
    of_spread ratio;
    double complexity_weight, ratio_weight; /* of their tests beside the distance's; 0: not asked */
} of_combination;

/* What a new calibration joins. With a general model the ratio counts twice and the complexity, of
 * which the distance knows the bytes, not at all: chosen by tools/choose_combined among weights of
 * 0 to 4, on calibration images against training images and made-up outliers. */
void of_combination_choose_weights(of_combination *combination, bool with_general);

/* What calibrations of versions 1 to 3 join: every test once, in version 1 but for the ratio. */
void of_combination_old_weights(of_combination *combination, bool with_ratio);

typedef struct of_combined_tests {
    double squared_distance; /* Mahalanobis, of the statistics */
    double complexity;
    double ratio; /* not looked at where its weight is 0 */
} of_combined_tests;

/* The distance as a number that is nearly Gaussian, the cube root (Wilson and Hilferty 1931). */
double of_combine_distance(double squared_distance);

/* Fisher's method (1925): the weighted sum of -ln p, with p the upper tails of Gaussians. A test
 * that sees nothing, p near 1, takes nothing from the others. The tests are not independent, nor
 * are they Gaussian: what the sum means, its conformal p-value says. */
double of_combine(const of_combination *combination, const of_combined_tests *tests);

#endif
