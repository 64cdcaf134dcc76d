/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of y = relu(x + bias), both [positions][channels]; relu may leak. */
#include "kernels_scalar.h"

static void mask(const float *restrict activation, float *restrict gradient, size_t channels) {
    for (size_t c = 0; c < channels; c++)
        gradient[c] = activation[c] <= 0.0f ? 0.0f : gradient[c];
}

static void leak_through(const float *restrict activation, float *restrict gradient,
                         size_t channels, float leak) {
    for (size_t c = 0; c < channels; c++)
        gradient[c] = activation[c] <= 0.0f ? leak * gradient[c] : gradient[c];
}

void of_scalar_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float leak, float *bias_gradient) {
    for (size_t p = 0; p < positions; p++) {
        if (activation != NULL && leak > 0.0f)
            leak_through(activation + p * channels, gradient + p * channels, channels, leak);
        else if (activation != NULL)
            mask(activation + p * channels, gradient + p * channels, channels);
        of_scalar_accumulate(gradient + p * channels, bias_gradient, channels);
    }
}
