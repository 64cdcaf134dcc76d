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

void of_avx512_scale_shift_backward(const float *x, const float *scale, const float *shift,
                                    float weight, float *g_x, float *g_scale, float *g_shift,
                                    size_t n) {
    const __m512 negative_weight = _mm512_set1_ps(-weight);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 value = _mm512_maskz_loadu_ps(lanes, x + i);
        __m512 factor = _mm512_maskz_loadu_ps(lanes, scale + i);
        __m512 z = _mm512_fmadd_ps(factor, value, _mm512_maskz_loadu_ps(lanes, shift + i));
        __m512 g_z = _mm512_mul_ps(negative_weight, z);
        __m512 scale_sum = _mm512_maskz_loadu_ps(lanes, g_scale + i);
        __m512 shift_sum = _mm512_maskz_loadu_ps(lanes, g_shift + i);
        _mm512_mask_storeu_ps(g_scale + i, lanes, _mm512_fmadd_ps(g_z, value, scale_sum));
        _mm512_mask_storeu_ps(g_shift + i, lanes, _mm512_add_ps(shift_sum, g_z));
        if (g_x != NULL)
            _mm512_mask_storeu_ps(g_x + i, lanes, _mm512_mul_ps(g_z, factor));
    }
}
