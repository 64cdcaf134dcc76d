/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the coupling, from what its forward kernel kept. With s = sigmoid(raw + 2) and
 * rest' = (rest + add) * s: d rest'/d raw = rest' (1 - s) and d log s / d raw = 1 - s. */
#include "kernels_scalar.h"

static void couple_affine(const of_coupling_backward *task, size_t position) {
    size_t half = task->half, start = position * half;
    float *g_add = task->g_coefficients + 2 * start, *g_raw = g_add + half;
    for (size_t i = 0; i < half; i++) {
        float s = task->scale[start + i], g = task->g_rest[start + i];
        g_raw[i] = (g * task->rest_after[start + i] + task->log_det_gradient) * (1.0f - s);
        task->g_rest[start + i] = g_add[i] = g * s;
    }
}

void of_scalar_coupling_backward(const of_coupling_backward *task) {
    if (task->affine) {
        for (size_t p = 0; p < task->positions; p++)
            couple_affine(task, p);
        return;
    }
    for (size_t i = 0; i < task->positions * task->half; i++)
        task->g_coefficients[i] = task->g_rest[i];
}
