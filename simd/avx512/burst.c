/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx512.h"

#include <immintrin.h>

/* Twelve chains hide the latency of the multiply-add on every x86 core so far. */
enum { LANES = 16, CHAINS = 12 };

void of_avx512_multiply_add_burst(size_t rounds, float *result) {
    const __m512 factor = _mm512_set1_ps(0.999F), term = _mm512_set1_ps(0.001F);
    __m512 values[CHAINS];
    float lanes[LANES], sum = 0;
    for (int i = 0; i < CHAINS; i++)
        values[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds * OF_BURST_VALUES / (CHAINS * LANES); round++)
        for (int i = 0; i < CHAINS; i++)
            values[i] = _mm512_fmadd_ps(values[i], factor, term);
    for (int i = 0; i < CHAINS; i++) {
        _mm512_storeu_ps(lanes, values[i]);
        sum += lanes[i % LANES];
    }
    *result = sum;
}
