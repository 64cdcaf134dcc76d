/* SPDX-License-Identifier: Apache-2.0 */
/* z = scale*x + shift and the sum of z^2. */
#include "kernels_scalar.h"

double of_scalar_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        float value = scale[i] * x[i] + shift[i];
        if (z != NULL)
            z[i] = value;
        sum += (double)value * (double)value;
    }
    return sum;
}
