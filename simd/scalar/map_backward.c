/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the affine map y = A x + b: of A (outer products), of b (sums) and of x (A^T). */
#include "kernels_scalar.h"

#include <string.h>

/* Scratch holds the gradient of one position, and later that of its input. */
static void gradient_of_input(const of_map_backward *task, float *g_pass, float *g_rest) {
    size_t half = task->transposed->channels / 2;
    float *g_y = task->scratch, *g_x = task->scratch + 2 * half;
    memcpy(g_y, g_pass, half * sizeof *g_y);
    memcpy(g_y + half, g_rest, half * sizeof *g_y);
    of_scalar_apply_matrix(task->transposed, g_y, g_x);
    memcpy(g_pass, g_x, half * sizeof *g_x);
    memcpy(g_rest, g_x + half, half * sizeof *g_x);
}

/* Row r of the matrix gradient and element r of the bias gradient; g_y begins with that of
 * channel r, and both halves have `half` channels. */
static void gradient_of_row(const of_map_backward *task, const float *g_y, size_t half, size_t r) {
    float *row = task->matrix_gradient + r * 2 * half;
    for (size_t c = 0; c < 2 * half; c++) {
        const float *x = c < half ? task->pass + c : task->rest + c - half;
        float sum = 0.0f;
        for (size_t p = 0; p < task->positions; p++)
            sum += g_y[p * half] * x[p * half];
        row[c] += sum;
    }
    float sum = 0.0f;
    for (size_t p = 0; p < task->positions; p++)
        sum += g_y[p * half];
    task->bias_gradient[r] += sum;
}

void of_scalar_map_backward(const of_map_backward *task) {
    size_t half = task->transposed->channels / 2;
    for (size_t r = 0; r < half; r++) {
        gradient_of_row(task, task->g_pass + r, half, r);
        gradient_of_row(task, task->g_rest + r, half, half + r);
    }
    for (size_t p = 0; p < task->positions; p++)
        gradient_of_input(task, task->g_pass + p * half, task->g_rest + p * half);
}
