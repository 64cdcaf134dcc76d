/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the coupling, from what its forward kernel kept. */
#include "kernels_scalar.h"

void of_scalar_coupling_backward(const of_coupling_backward *task) {
    if (task->affine) {
        of_scalar_couple_backward(task);
        return;
    }
    for (size_t i = 0; i < task->positions * task->half; i++)
        task->g_coefficients[i] = task->g_rest[i];
}
