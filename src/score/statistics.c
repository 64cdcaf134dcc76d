/* SPDX-License-Identifier: Apache-2.0 */
#include "score/statistics.h"

#include <math.h>

of_statistics_layout of_statistics_of(const of_architecture *architecture,
                                      const of_architecture *general) {
    return (of_statistics_layout){
        .scales = of_architecture_scale_count(architecture),
        .general_scales = general != NULL ? of_architecture_scale_count(general) : 0,
        .with_classes = architecture->classes > 0,
    };
}

size_t of_statistics_count(const of_statistics_layout *layout) {
    return 2 * (size_t)layout->scales + 2 * (size_t)layout->general_scales +
           (layout->with_classes ? 1 : 0) + 1;
}

static double *fill_model(double *values, uint32_t scales, const double *contributions,
                          const double *squares) {
    for (uint32_t s = 0; s < scales; s++)
        *values++ = contributions[s];
    for (uint32_t s = 0; s < scales; s++)
        *values++ = log1p(squares[s]);
    return values;
}

bool of_statistics_fill(const of_statistics_layout *layout, const of_image_likelihood *image,
                        double *values) {
    if (image->contributions == NULL || image->latent_squares == NULL || !(image->png_bytes > 0))
        return false;
    if (layout->general_scales > 0 &&
        (image->general_contributions == NULL || image->general_latent_squares == NULL))
        return false;
    if (layout->general_scales > 0 && image->general_scales > 0 &&
        image->general_scales != layout->general_scales)
        return false; /* another general model than the one that was calibrated with */
    values = fill_model(values, layout->scales, image->contributions, image->latent_squares);
    values = fill_model(values, layout->general_scales, image->general_contributions,
                        image->general_latent_squares);
    if (layout->with_classes)
        *values++ = image->logp;
    *values = image->png_bytes;
    return true;
}
