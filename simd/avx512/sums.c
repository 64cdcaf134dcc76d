/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over whole gradients. */
#include "kernels_avx512.h"
#include "vector.h"

void of_avx512_accumulate(const float *values, float *target, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, target + i),
                                   _mm512_maskz_loadu_ps(lanes, values + i));
        _mm512_mask_storeu_ps(target + i, lanes, sum);
    }
}

/* Two sums, so that additions need not wait for each other. */
double of_avx512_square_sum(const float *values, size_t n) {
    double_sum even = double_sum_zero(), odd = double_sum_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even = double_sum_add_squares(even, _mm512_loadu_ps(values + i));
        odd = double_sum_add_squares(odd, _mm512_loadu_ps(values + i + LANES));
    }
    for (; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        even = double_sum_add_squares(even, _mm512_maskz_loadu_ps(lanes, values + i));
    }
    return double_sum_total(even) + double_sum_total(odd);
}
