/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx2.h"
#include "vector.h"

/* As in ../scalar/bf16.c; each 32-bit lane holds the result. */
static inline __m256i rounded(__m256 values) {
    const __m256i quiet = _mm256_set1_epi32(0x40), half = _mm256_set1_epi32(0x7fff);
    __m256i bits = _mm256_castps_si256(values), upper = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    __m256i carried = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, half), odd), 16);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(carried, _mm256_or_si256(upper, quiet), nan);
}

/* Lanes below 2^16 in order, as 16-bit numbers. */
static inline __m128i narrowed(__m256i lanes) {
    return _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}

void of_avx2_round_to_bf16(const float *values, uint16_t *target, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm_storeu_si128((__m128i *)(void *)(target + i),
                         narrowed(rounded(_mm256_loadu_ps(values + i))));
    if (i == n)
        return;
    uint16_t last[LANES];
    _mm_storeu_si128((__m128i *)(void *)last, narrowed(rounded(load_first(values + i, n - i))));
    for (size_t k = 0; i + k < n; k++)
        target[i + k] = last[k];
}
