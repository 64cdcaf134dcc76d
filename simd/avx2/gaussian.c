/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx2.h"
#include "vector.h"

double of_avx2_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                           size_t n) {
    double_sum sum = double_sum_zero();
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 value = _mm256_fmadd_ps(load_first(scale + i, lanes), load_first(x + i, lanes),
                                       load_first(shift + i, lanes));
        if (z != NULL)
            store_first(z + i, value, lanes);
        sum = double_sum_add_squares(sum, value);
    }
    return double_sum_total(sum);
}

void of_avx2_scale_shift_backward(const float *x, const float *scale, const float *shift,
                                  float weight, float *g_x, float *g_scale, float *g_shift,
                                  size_t n) {
    const __m256 negative_weight = _mm256_set1_ps(-weight);
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 value = load_first(x + i, lanes), factor = load_first(scale + i, lanes);
        __m256 z = _mm256_fmadd_ps(factor, value, load_first(shift + i, lanes));
        __m256 g_z = _mm256_mul_ps(negative_weight, z);
        store_first(g_scale + i, _mm256_fmadd_ps(g_z, value, load_first(g_scale + i, lanes)),
                    lanes);
        store_first(g_shift + i, _mm256_add_ps(load_first(g_shift + i, lanes), g_z), lanes);
        if (g_x != NULL)
            store_first(g_x + i, _mm256_mul_ps(g_z, factor), lanes);
    }
}
