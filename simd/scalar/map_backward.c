/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the affine map y = A x + b: of A (outer products), of b (sums) and of x (A^T). */
#include "kernels_scalar.h"

#include <string.h>

/* Adds g * x to one row of the matrix gradient. */
static void add_row(float *restrict row, float g, const float *restrict pass,
                    const float *restrict rest, size_t half) {
    for (size_t c = 0; c < half; c++)
        row[c] += g * pass[c];
    for (size_t c = 0; c < half; c++)
        row[half + c] += g * rest[c];
}

static void gradient_of_parameters(const of_map_backward *task, size_t half, size_t start) {
    const float *pass = task->pass + start, *rest = task->rest + start;
    for (size_t r = 0; r < 2 * half; r++) {
        float g = r < half ? task->g_pass[start + r] : task->g_rest[start + r - half];
        add_row(task->matrix_gradient + r * 2 * half, g, pass, rest, half);
        task->bias_gradient[r] += g;
    }
}

/* Scratch holds the gradient of one position, and after it that of its input. */
static void gradient_of_input(const of_map_backward *task, size_t half, size_t start) {
    float *g_pass = task->g_pass + start, *g_rest = task->g_rest + start;
    float *g_y = task->scratch, *g_x = task->scratch + 2 * half;
    memcpy(g_y, g_pass, half * sizeof *g_y);
    memcpy(g_y + half, g_rest, half * sizeof *g_y);
    of_scalar_apply_matrix(task->transposed, g_y, g_x);
    memcpy(g_pass, g_x, half * sizeof *g_x);
    memcpy(g_rest, g_x + half, half * sizeof *g_x);
}

void of_scalar_map_backward(const of_map_backward *task) {
    size_t half = task->transposed->channels / 2;
    for (size_t p = 0; p < task->positions; p++) {
        gradient_of_parameters(task, half, p * half);
        gradient_of_input(task, half, p * half);
    }
}
