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
