/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of y = relu(x + bias), both [positions][channels]. */
#include "kernels_scalar.h"

void of_scalar_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float *bias_gradient) {
    for (size_t p = 0; p < positions; p++)
        for (size_t c = 0; c < channels; c++) {
            size_t i = p * channels + c;
            if (activation != NULL && activation[i] <= 0.0f)
                gradient[i] = 0.0f;
            bias_gradient[c] += gradient[i];
        }
}
