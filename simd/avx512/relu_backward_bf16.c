/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients through relu in bfloat16, and of the bias before it in floats. */
#include "../scalar/kernels_scalar.h"
#include "kernels_avx512.h"
#include "vector.h"

enum { MAX_VECTORS = 4, GROUP_NUMBERS = 4096, LEAST_GROUP = 4 };

static inline __m512 floats_of(__m256i numbers) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
}

static inline __m256i load(const uint16_t *numbers) {
    return _mm256_loadu_si256((const __m256i *)(const void *)numbers);
}

/* `vectors` whole vectors of channels of all positions: their sums stay in registers. */
ALWAYS_INLINE void relu_columns(const uint16_t *activation, uint16_t *gradient, size_t positions,
                                size_t channels, float *sums, size_t vectors) {
    __m512 sum[MAX_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = _mm512_loadu_ps(sums + v * LANES);
    for (size_t p = 0; p < positions; p++, gradient += channels, activation += channels) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            __m512 y = floats_of(load(activation + v * LANES));
            __mmask16 open = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_NLE_UQ);
            __m256i g = _mm256_maskz_mov_epi16(open, load(gradient + v * LANES));
            _mm256_storeu_si256((__m256i *)(void *)(gradient + v * LANES), g);
            sum[v] = _mm512_add_ps(sum[v], floats_of(g));
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        _mm512_storeu_ps(sums + v * LANES, sum[v]);
}

/* Positions go in groups, see relu_backward.c. What leaks, and channels that fill no vector, are
 * rare. */
void of_avx512_relu_backward_bf16(const uint16_t *activation, uint16_t *gradient, size_t positions,
                                  size_t channels, float leak, float *bias_gradient) {
    if (leak > 0.0f || channels % LANES != 0 || channels == 0) {
        of_scalar_relu_backward_bf16(activation, gradient, positions, channels, leak,
                                     bias_gradient);
        return;
    }
    size_t group = GROUP_NUMBERS / at_most(channels, GROUP_NUMBERS / LEAST_GROUP);
    for (size_t p = 0, count; p < positions; p += count) {
        count = at_most(positions - p, group);
        const uint16_t *y = activation + p * channels;
        uint16_t *g = gradient + p * channels;
        size_t c = 0;
        for (; c + MAX_VECTORS * LANES <= channels; c += MAX_VECTORS * LANES)
            relu_columns(y + c, g + c, count, channels, bias_gradient + c, MAX_VECTORS);
        for (; c < channels; c += LANES)
            relu_columns(y + c, g + c, count, channels, bias_gradient + c, 1);
    }
}
