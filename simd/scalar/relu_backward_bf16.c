/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of y = relu(x + bias) in bfloat16, whose sums are floats; relu may leak. */
#include "kernels_scalar.h"

static uint16_t through(uint16_t activation, uint16_t gradient, float leak) {
    if (!(of_scalar_bf16_value(activation) <= 0.0f))
        return gradient;
    float leaked = leak > 0.0f ? leak * of_scalar_bf16_value(gradient) : 0.0f;
    of_scalar_round_to_bf16(&leaked, &gradient, 1);
    return gradient;
}

void of_scalar_relu_backward_bf16(const uint16_t *activation, uint16_t *gradient, size_t positions,
                                  size_t channels, float leak, float *bias_gradient) {
    for (size_t p = 0; p < positions; p++, activation += channels, gradient += channels)
        for (size_t c = 0; c < channels; c++) {
            gradient[c] = through(activation[c], gradient[c], leak);
            bias_gradient[c] += of_scalar_bf16_value(gradient[c]);
        }
}
