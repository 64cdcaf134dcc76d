/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over whole gradients. */
#include "kernels_scalar.h"

void of_scalar_accumulate(const float *restrict values, float *restrict target, size_t n) {
    for (size_t i = 0; i < n; i++)
        target[i] += values[i];
}

double of_scalar_square_sum(const float *values, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)values[i] * (double)values[i];
    return sum;
}
