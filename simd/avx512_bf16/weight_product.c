/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of weights, C = A^T B over positions, with VDPBF16PS: acc[j] += x[2j+1] y[2j+1], then
 * acc[j] += x[2j] y[2j], so what it multiplies are pairs of positions side by side. A block of
 * positions is laid out in pairs first, in panels that are read from one end to the other:
 *     A  [m/16][pairs][16]    the whole block, in L2
 *     B  [pairs][32]          of 32 columns, in L1
 * and 8 rows times 32 columns of C stay in registers over the block. */
#include "kernels_avx512_bf16.h"

#include <immintrin.h>

enum { LANES = 16, ROWS = 8, COLUMNS = 2 };

/* Sixteen numbers of two positions, paired; `second` NULL: zeros. */
static inline __m512i paired(const uint16_t *first, const uint16_t *second) {
    __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)first));
    if (second == NULL)
        return low;
    __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)second));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* `vectors` times 16 numbers from `source` on of so many positions, to panel[pairs][vectors]. */
static inline void pair_columns(const uint16_t *source, size_t stride, size_t positions,
                                size_t vectors, __m512i *panel) {
    for (size_t k = 0; k < positions; k += 2, source += 2 * stride, panel += vectors)
        for (size_t v = 0; v < vectors; v++) {
            const uint16_t *first = source + v * LANES;
            panel[v] = paired(first, k + 1 < positions ? first + stride : NULL);
        }
}

/* ROWS rows of A times `vectors` vectors of B, added to C. */
static inline __attribute__((always_inline)) void
tile(const uint32_t *a, const __m512i *b, size_t pairs, size_t vectors, float *c, size_t stride) {
    __m512 sum[ROWS][COLUMNS];
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = _mm512_loadu_ps(c + r * stride + v * LANES);
    for (size_t k = 0; k < pairs; k++, a += LANES, b += vectors)
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) {
            __m512bh row = (__m512bh)_mm512_set1_epi32((int)a[r]);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)b[v], row);
        }
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++)
            _mm512_storeu_ps(c + r * stride + v * LANES, sum[r][v]);
}

static void panel_product(const of_product_bf16 *task, const __m512i *a, const __m512i *b,
                          size_t pairs, size_t column, size_t vectors) {
    for (size_t row = 0; row < task->m; row += ROWS) {
        const uint32_t *rows =
            (const uint32_t *)(const void *)(a + row / LANES * pairs) + row % LANES;
        float *c = task->c + row * task->n + column;
        if (vectors == COLUMNS)
            tile(rows, b, pairs, COLUMNS, c, task->n);
        else
            tile(rows, b, pairs, 1, c, task->n);
    }
}

/* Positions first..first+positions. */
static void block_product(const of_product_bf16 *task, size_t first, size_t positions) {
    size_t pairs = (positions + 1) / 2;
    __m512i *a = task->scratch, *b = a + task->m / LANES * pairs;
    for (size_t row = 0; row < task->m; row += LANES)
        pair_columns(task->a + first * task->m + row, task->m, positions, 1,
                     a + row / LANES * pairs);
    for (size_t column = 0, vectors; column < task->n; column += vectors * LANES) {
        vectors = task->n - column >= COLUMNS * LANES ? COLUMNS : 1;
        pair_columns(task->b + first * task->n + column, task->n, positions, vectors, b);
        panel_product(task, a, b, pairs, column, vectors);
    }
}

void of_avx512_weight_product_bf16(const of_product_bf16 *task) {
    const size_t block = (size_t)2 * OF_PRODUCT_PAIRS;
    for (size_t i = 0; !task->add && i < task->m * task->n; i += LANES)
        _mm512_storeu_ps(task->c + i, _mm512_setzero_ps());
    for (size_t first = 0; first < task->k; first += block)
        block_product(task, first, task->k - first < block ? task->k - first : block);
}
