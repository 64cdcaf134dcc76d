/* SPDX-License-Identifier: Apache-2.0 */
/* A part of an integer convolution, with AVX512_VNNI. Eight positions times two vectors of outputs
 * stay in registers; each group of a source is broadcast to all lanes. Wider tiles need more
 * pointers or more registers than there are, and are no faster. */
#include "kernels_avx512.h"
#include "vector.h"

#include <string.h>

typedef struct panel {
    const of_integer_tile *tile;
    const int32_t *weights; /* of all its taps */
    uint32_t output;        /* its first one */
} panel;

ALWAYS_INLINE __m512i add_products(__m512i sum, int32_t group, __m512i weights, bool wide) {
    __m512i x = _mm512_set1_epi32(group);
    return wide ? _mm512_dpwssd_epi32(sum, x, weights) : _mm512_dpbusd_epi32(sum, x, weights);
}

/* Sources may lie anywhere. */
ALWAYS_INLINE int32_t group_at(const unsigned char *source, size_t group) {
    int32_t value;
    memcpy(&value, source + group * sizeof value, sizeof value);
    return value;
}

/* A row of sums plus the products of one group with `vectors` vectors of weights. */
#define ADD_ROW(r)                                                                                 \
    for (int v = 0; v < vectors; v++)                                                              \
    sums[r][v] = add_products(sums[r][v], group_at(x##r, g), weights[v], wide)

/* `vectors` (1 or 2) and `wide` are constants at each call. The pointers have names, since an array
 * of them would be read again for every group. */
ALWAYS_INLINE void sum_products(const panel *p, int vectors, bool wide, __m512i sums[][2]) {
    const of_integer_tile *tile = p->tile;
    const int32_t *from = p->weights + tile->first_tap * tile->groups * LANES * (size_t)vectors;
    for (int r = 0; r < OF_TILE_ROWS; r++)
        sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (size_t t = 0; t < tile->taps; t++) {
        const unsigned char *const *rows =
            (const unsigned char *const *)tile->sources + t * OF_TILE_ROWS;
        const unsigned char *x0 = rows[0], *x1 = rows[1], *x2 = rows[2], *x3 = rows[3];
        const unsigned char *x4 = rows[4], *x5 = rows[5], *x6 = rows[6], *x7 = rows[7];
        for (size_t g = 0; g < tile->groups; g++, from += (size_t)LANES * (size_t)vectors) {
            __m512i weights[2];
            for (int v = 0; v < vectors; v++)
                weights[v] = _mm512_loadu_si512(from + v * LANES);
            ADD_ROW(0);
            ADD_ROW(1);
            ADD_ROW(2);
            ADD_ROW(3);
            ADD_ROW(4);
            ADD_ROW(5);
            ADD_ROW(6);
            ADD_ROW(7);
        }
    }
}

ALWAYS_INLINE __m512 finish(__m512i sum, __m512 scale, __m512 bias) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, bias);
}

/* A vector of outputs of one row. */
ALWAYS_INLINE void store(const panel *p, uint32_t output, uint32_t row, __m512 y) {
    const of_integer_tile *tile = p->tile;
    char *target = (char *)tile->target + row * tile->stride;
    if (tile->to == OF_TILE_F32) {
        _mm512_storeu_ps((float *)(void *)target + output, y);
        return;
    }
    const __m512 most = _mm512_set1_ps(tile->to == OF_TILE_U8 ? 255.0f : OF_INT16_MOST);
    __m512i rounded =
        _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, _mm512_setzero_ps()), most));
    if (tile->to == OF_TILE_U8)
        _mm_storeu_si128((__m128i *)(void *)(target + output), _mm512_cvtepi32_epi8(rounded));
    else
        _mm256_storeu_si256((__m256i *)(void *)((int16_t *)(void *)target + output),
                            _mm512_cvtepi32_epi16(rounded));
}

ALWAYS_INLINE void store_panel(const panel *p, int vectors, __m512i sums[][2]) {
    for (int v = 0; v < vectors; v++) {
        uint32_t output = p->output + (uint32_t)(v * LANES);
        __m512 scale = _mm512_loadu_ps(p->tile->scale + output);
        __m512 bias = _mm512_loadu_ps(p->tile->bias + output);
        UNROLL
        for (uint32_t r = 0; r < OF_TILE_ROWS; r++)
            if (r < p->tile->rows)
                store(p, output, r, finish(sums[r][v], scale, bias));
    }
}

/* Two vectors to u8. Packing works on parts of 4 lanes, which are put in order at the end. What is
 * too large for an integer would become the least of all, so that is limited before. */
ALWAYS_INLINE void store_pair_u8(const panel *p, __m512i sums[][2]) {
    const of_integer_tile *tile = p->tile;
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512 most = _mm512_set1_ps(255.0f);
    __m512 scale[2], bias[2];
    for (int v = 0; v < 2; v++) {
        scale[v] = _mm512_loadu_ps(tile->scale + p->output + v * LANES);
        bias[v] = _mm512_loadu_ps(tile->bias + p->output + v * LANES);
    }
    UNROLL
    for (uint32_t r = 0; r < OF_TILE_ROWS; r++) {
        if (r >= tile->rows)
            continue;
        __m512i y0 = _mm512_cvtps_epi32(_mm512_min_ps(finish(sums[r][0], scale[0], bias[0]), most));
        __m512i y1 = _mm512_cvtps_epi32(_mm512_min_ps(finish(sums[r][1], scale[1], bias[1]), most));
        __m512i both = _mm512_max_epi16(_mm512_packs_epi32(y0, y1), _mm512_setzero_si512());
        _mm256_storeu_si256(
            (__m256i *)(void *)((char *)tile->target + r * tile->stride + p->output),
            _mm256_permutevar8x32_epi32(_mm512_cvtepi16_epi8(both), order));
    }
}

ALWAYS_INLINE void run_panel(const panel *p, int vectors, bool wide) {
    __m512i sums[OF_TILE_ROWS][2];
    sum_products(p, vectors, wide, sums);
    if (vectors == 2 && p->tile->to == OF_TILE_U8)
        store_pair_u8(p, sums);
    else
        store_panel(p, vectors, sums);
}

ALWAYS_INLINE void run_panels(const of_integer_tile *tile, bool wide) {
    size_t depth = tile->all_taps * tile->groups;
    panel p = {.tile = tile, .weights = tile->weights};
    for (; p.output + OF_PANEL_OUTPUTS <= tile->outputs; p.output += OF_PANEL_OUTPUTS) {
        run_panel(&p, 2, wide);
        p.weights += depth * OF_PANEL_OUTPUTS;
    }
    if (p.output < tile->outputs)
        run_panel(&p, 1, wide);
}

void of_avx512_integer_tile(const of_integer_tile *tile) {
    if (tile->wide)
        run_panels(tile, true);
    else
        run_panels(tile, false);
}
