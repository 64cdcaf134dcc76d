/* SPDX-License-Identifier: Apache-2.0 */
/* An image's vector of statistics, what the density of `combined` is over:
 *
 *   contribution of each scale, log(latent squares + 1) of each scale,     (the model)
 *   the same of the general model, if there is one,
 *   the mixture's logp, with class-conditional densities,
 *   bytes as PNG.
 *
 * The log makes the squares' distribution, which is skewed, nearly Gaussian. The two models' ratios
 * are linear in the contributions, so a Gaussian over these covers them as well. */
#ifndef OF_SCORE_STATISTICS_H
#define OF_SCORE_STATISTICS_H

#include <outflow/outflow.h>

enum { OF_STATISTICS_MOST = 4 * 6 + 2 };

typedef struct of_statistics_layout {
    uint32_t scales, general_scales; /* general_scales 0: no general model */
    bool with_classes;
} of_statistics_layout;

/* `general` may be NULL. */
of_statistics_layout of_statistics_of(const of_architecture *architecture,
                                      const of_architecture *general);

size_t of_statistics_count(const of_statistics_layout *layout);

/* Fills values[count]; false if the image lacks something that the layout has. */
bool of_statistics_fill(const of_statistics_layout *layout, const of_image_likelihood *image,
                        double *values);

#endif
