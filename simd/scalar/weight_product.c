/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of weights from bfloat16 numbers: C = A^T B over positions. */
#include "kernels_scalar.h"

#include <string.h>

void of_scalar_weight_product_bf16(const of_product_bf16 *task) {
    if (!task->add)
        memset(task->c, 0, task->m * task->n * sizeof(float));
    for (size_t k = 0; k < task->k; k++)
        for (size_t row = 0; row < task->m; row++) {
            float a = of_scalar_bf16_value(task->a[k * task->m + row]);
            for (size_t column = 0; column < task->n; column++)
                task->c[row * task->n + column] +=
                    a * of_scalar_bf16_value(task->b[k * task->n + column]);
        }
}
