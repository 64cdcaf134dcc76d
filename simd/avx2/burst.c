/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx2.h"

#include <immintrin.h>

/* Twelve chains hide the latency of the multiply-add on every x86 core so far. */
enum { LANES = 8, CHAINS = 12 };

void of_avx2_multiply_add_burst(size_t rounds, float *result) {
    const __m256 factor = _mm256_set1_ps(0.999F), term = _mm256_set1_ps(0.001F);
    __m256 values[CHAINS];
    float lanes[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        values[i] = _mm256_set1_ps((float)i);
    for (size_t round = 0; round < rounds * OF_BURST_VALUES / (CHAINS * LANES); round++)
        for (int i = 0; i < CHAINS; i++)
            values[i] = _mm256_fmadd_ps(values[i], factor, term);
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_ps(lanes, values[i]);
        sum += lanes[i % LANES];
    }
    *result = sum;
}
