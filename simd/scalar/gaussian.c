/* SPDX-License-Identifier: Apache-2.0 */
/* z = scale*x + shift, the sum of z^2, and its gradients. */
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

void of_scalar_scale_shift_backward(const float *x, const float *scale, const float *shift,
                                    float weight, float *g_x, float *g_scale, float *g_shift,
                                    size_t n) {
    for (size_t i = 0; i < n; i++) {
        float value = x[i], g_z = -weight * (scale[i] * value + shift[i]);
        g_scale[i] += g_z * value;
        g_shift[i] += g_z;
        if (g_x != NULL)
            g_x[i] = g_z * scale[i];
    }
}
