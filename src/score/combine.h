/* SPDX-License-Identifier: Apache-2.0 */
/* One score from two tests of an image: how far its statistics are from those of calibration
 * images, in any direction, and whether its likelihood is too low for its complexity, the direction
 * in which outliers are expected. */
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
} of_combination;

/* The distance as a number that is nearly Gaussian, the cube root (Wilson and Hilferty 1931). */
double of_combine_distance(double squared_distance);

/* Fisher's method (1925): -ln p1 - ln p2, with p the upper tails of the two Gaussians. The tests
 * are not independent, nor are they Gaussian: what the sum means, its conformal p-value says. */
double of_combine(const of_combination *combination, double squared_distance, double complexity);

#endif
