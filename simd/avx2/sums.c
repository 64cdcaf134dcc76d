/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over whole gradients. */
#include "kernels_avx2.h"
#include "vector.h"

void of_avx2_accumulate(const float *values, float *target, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 sum = _mm256_add_ps(load_first(target + i, lanes), load_first(values + i, lanes));
        store_first(target + i, sum, lanes);
    }
}

/* Two sums, so that additions need not wait for each other. */
double of_avx2_square_sum(const float *values, size_t n) {
    double_sum even = double_sum_zero(), odd = double_sum_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even = double_sum_add_squares(even, _mm256_loadu_ps(values + i));
        odd = double_sum_add_squares(odd, _mm256_loadu_ps(values + i + LANES));
    }
    for (; i < n; i += LANES)
        even = double_sum_add_squares(even, load_first(values + i, at_most(n - i, LANES)));
    return double_sum_total(even) + double_sum_total(odd);
}
