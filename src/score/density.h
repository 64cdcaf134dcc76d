/* SPDX-License-Identifier: Apache-2.0 */
/* A Gaussian over vectors, fitted with shrinkage. */
#ifndef OF_SCORE_DENSITY_H
#define OF_SCORE_DENSITY_H

#include <outflow/outflow.h>

enum { OF_DENSITY_MOST = 64 };

typedef struct of_density {
    size_t count; /* values of a vector */
    double mean[OF_DENSITY_MOST], deviation[OF_DENSITY_MOST];
    /* Cholesky factor of the covariance of the standardised values: rows of the lower triangle,
     * one after the other, count (count + 1)/2 of them. */
    double factor[OF_DENSITY_MOST * (OF_DENSITY_MOST + 1) / 2];
} of_density;

/* From `vectors` [images][stride], of which the first `count` values are taken; vectors with a
 * value that is not finite are left out. At least two must be left. */
of_status of_density_fit(const double *vectors, size_t images, size_t stride, size_t count,
                         of_density *density, of_error *error);

/* Squared Mahalanobis distance; NaN if a value is not finite. For vectors like those of the fit
 * about `count`, or less if they depend on each other so closely that the shrinkage shows. */
double of_density_distance(const of_density *density, const double *values);

#endif
