/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx512.h"
#include "vector.h"

/* As in ../scalar/bf16.c, with integers: AVX512_BF16 has an instruction for it, but that takes
 * subnormal numbers for zero, and machines without it need the kernel's table as well. */
static inline __m256i rounded(__m512 values) {
    const __m512i quiet = _mm512_set1_epi32(0x40), half = _mm512_set1_epi32(0x7fff);
    __m512i bits = _mm512_castps_si512(values), upper = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    __m512i carried = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, half), odd), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(
        _mm512_mask_blend_epi32(nan, carried, _mm512_or_si512(upper, quiet)));
}

void of_avx512_round_to_bf16(const float *values, uint16_t *target, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_si256((__m256i *)(void *)(target + i), rounded(_mm512_loadu_ps(values + i)));
    if (i == n)
        return;
    uint16_t last[LANES];
    __m512 values_left = _mm512_maskz_loadu_ps(first_lanes(n - i), values + i);
    _mm256_storeu_si256((__m256i *)(void *)last, rounded(values_left));
    for (size_t k = 0; i + k < n; k++)
        target[i + k] = last[k];
}
