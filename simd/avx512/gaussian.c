/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx512.h"
#include "vector.h"

double of_avx512_scale_shift(const float *x, const float *scale, const float *shift, float *z,
                             size_t n) {
    double_sum sum = double_sum_zero();
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 value = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, scale + i),
                                       _mm512_maskz_loadu_ps(lanes, x + i),
                                       _mm512_maskz_loadu_ps(lanes, shift + i));
        if (z != NULL)
            _mm512_mask_storeu_ps(z + i, lanes, value);
        sum = double_sum_add_squares(sum, value);
    }
    return double_sum_total(sum);
}
