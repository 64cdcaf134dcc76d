/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of y = relu(x + bias), both [positions][channels]. */
#include "kernels_scalar.h"

void of_scalar_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float *bias_gradient) {
    for (size_t c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (size_t i = c; i < positions * channels; i += channels) {
            if (activation != NULL && activation[i] <= 0.0f)
                gradient[i] = 0.0f;
            sum += gradient[i];
        }
        bias_gradient[c] += sum;
    }
}
