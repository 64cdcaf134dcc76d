/* SPDX-License-Identifier: Apache-2.0 */
/* What a coupling network reads of the state, its gradients, and tables of input values. */
#include "kernels_scalar.h"

#include <math.h>

/* Channel `channel` of a position; the comparison lets NaN through. */
static float value_of(const of_network_input *input, size_t position, size_t channel) {
    if (channel >= input->half)
        return input->ones && channel == input->half ? 1.0f : 0.0f;
    float x = input->pass[position * input->half + channel];
    if (input->scale == NULL)
        return x;
    float value = input->scale[channel] * x + input->shift[channel];
    return value <= 0.0f ? 0.0f : value;
}

void of_scalar_network_input(const of_network_input *input, float *target) {
    for (size_t p = 0; p < input->positions; p++)
        for (size_t c = 0; c < input->inputs; c++)
            target[p * input->inputs + c] = value_of(input, p, c);
}

void of_scalar_network_input_bf16(const of_network_input *input, uint16_t *target) {
    for (size_t p = 0; p < input->positions; p++)
        for (size_t c = 0; c < input->inputs; c++) {
            float value = value_of(input, p, c);
            of_scalar_round_to_bf16(&value, target + p * input->inputs + c, 1);
        }
}

void of_scalar_network_input_s16(const of_network_input *input, float factor, int16_t *target) {
    const float most = OF_INT16_MOST;
    for (size_t p = 0; p < input->positions; p++)
        for (size_t c = 0; c < input->inputs; c++) {
            float value = factor * value_of(input, p, c);
            value = value > -most ? value : -most; /* NaN, too */
            value = value < most ? value : most;
            target[p * input->inputs + c] = (int16_t)lrintf(value);
        }
}

static void affine_backward(const of_network_input_backward *task, size_t position) {
    const float *pass = task->pass + position * task->half;
    const float *g_inputs = task->g_inputs + position * task->inputs;
    float *g_pass = task->g_pass + position * task->half;
    for (size_t c = 0; c < task->half; c++) {
        float value = task->scale[c] * pass[c] + task->shift[c];
        float g = value <= 0.0f ? 0.0f : g_inputs[c];
        task->scale_gradient[c] += g * pass[c];
        task->shift_gradient[c] += g;
        g_pass[c] += g * task->scale[c];
    }
}

void of_scalar_network_input_backward(const of_network_input_backward *task) {
    for (size_t p = 0; p < task->positions; p++) {
        if (task->scale != NULL)
            affine_backward(task, p);
        else
            of_scalar_accumulate(task->g_inputs + p * task->inputs, task->g_pass + p * task->half,
                                 task->half);
    }
}

void of_scalar_look_up(const uint8_t *pixels, const float *table, float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = table[pixels[i]];
}
