/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the affine map y = A x + b, a chunk of positions at a time: of A as a product over
 * positions, of which blocks stay in registers, of b as sums, of x with the map A^T. */
#include "kernels_avx512.h"
#include "vector.h"

enum { MAX_ROWS = 6, MAX_VECTORS = 3 };

/* matrix_gradient += g_y x^T */
typedef struct outer_products {
    const float *x; /* [positions][channels]; a vector may begin anywhere in it */
    const float *g_pass, *g_rest;
    size_t positions, half;
    float *gradient;
} outer_products;

ALWAYS_INLINE void add_row(__m512 *sum, float g_y, const __m512 *column, size_t vectors) {
    __m512 g = _mm512_set1_ps(g_y);
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = _mm512_fmadd_ps(g, column[v], sum[v]);
}

/* Rows r.. of both halves, `rows` of each, and columns c.. in `vectors` vectors, of which the last
 * has `lanes` columns; beyond them it holds what is never stored. Constants: rows, vectors. */
ALWAYS_INLINE void add_tile(const outer_products *o, size_t r, size_t c, size_t rows,
                            size_t vectors, __mmask16 lanes) {
    __m512 sum[2 * MAX_ROWS][MAX_VECTORS];
    size_t half = o->half, channels = 2 * half;
    float *upper = o->gradient + r * channels + c, *lower = upper + half * channels;
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < vectors; v++) {
        sum[i][v] = _mm512_maskz_loadu_ps(v + 1 == vectors ? lanes : first_lanes(LANES),
                                          upper + i * channels + v * LANES);
        sum[rows + i][v] = _mm512_maskz_loadu_ps(v + 1 == vectors ? lanes : first_lanes(LANES),
                                                 lower + i * channels + v * LANES);
    }

    const float *x = o->x + c, *g_pass = o->g_pass + r, *g_rest = o->g_rest + r;
    for (size_t p = 0; p < o->positions; p++, x += channels, g_pass += half, g_rest += half) {
        __m512 column[MAX_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            column[v] = _mm512_loadu_ps(x + v * LANES);
        UNROLL
        for (size_t i = 0; i < rows; i++)
            add_row(sum[i], g_pass[i], column, vectors);
        UNROLL
        for (size_t i = 0; i < rows; i++)
            add_row(sum[rows + i], g_rest[i], column, vectors);
    }

    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < vectors; v++) {
        _mm512_mask_storeu_ps(upper + i * channels + v * LANES,
                              v + 1 == vectors ? lanes : first_lanes(LANES), sum[i][v]);
        _mm512_mask_storeu_ps(lower + i * channels + v * LANES,
                              v + 1 == vectors ? lanes : first_lanes(LANES), sum[rows + i][v]);
    }
}

/* Rows r.. of both halves, `rows` of each; all columns, when there are more than a tile takes. */
ALWAYS_INLINE void add_wide_rows(const outer_products *o, size_t r, size_t rows) {
    size_t channels = 2 * o->half, c = 0;
    for (; c + MAX_VECTORS * LANES <= channels; c += MAX_VECTORS * LANES)
        add_tile(o, r, c, rows, MAX_VECTORS, first_lanes(LANES));
    for (; c < channels; c += LANES)
        add_tile(o, r, c, rows, 1, first_lanes(at_most(channels - c, LANES)));
}

/* All columns in one tile of `vectors`, `rows` of each half at a time. */
ALWAYS_INLINE void add_narrow(const outer_products *o, size_t rows, size_t vectors) {
    __mmask16 lanes = first_lanes(2 * o->half - (vectors - 1) * LANES);
    size_t r = 0;
    for (; r + rows <= o->half; r += rows)
        add_tile(o, r, 0, rows, vectors, lanes);
    for (; r < o->half; r++)
        add_tile(o, r, 0, 1, vectors, lanes);
}

/* A tile has 8 sums at least where it can, to hide the latency of an addition, and fits into the
 * registers. */
static void add_outer_products(const outer_products *o) {
    size_t vectors = (2 * o->half + LANES - 1) / LANES;
    bool by_three = o->half % 3 == 0;
    if (vectors > 3) {
        size_t r = 0;
        for (; r + 4 <= o->half; r += 4)
            add_wide_rows(o, r, 4);
        for (; r < o->half; r++)
            add_wide_rows(o, r, 1);
    } else if (vectors == 3) {
        add_narrow(o, 4, 3);
    } else if (vectors == 2 && by_three) {
        add_narrow(o, 6, 2);
    } else if (vectors == 2) {
        add_narrow(o, 4, 2);
    } else if (by_three) {
        add_narrow(o, 6, 1);
    } else {
        add_narrow(o, 4, 1);
    }
}

/* g_pass and g_rest become A^T g_y; scratch holds a bias of zero and the inputs. */
static void map_gradients(const of_map_backward *task, float *g_pass, float *g_rest,
                          size_t positions) {
    of_channel_map map = *task->transposed;
    size_t half = map.channels / 2, padded = 2 * (size_t)map.half_padded;
    float *bias = task->scratch, *pass = bias + padded, *rest = pass + positions * half;
    for (size_t i = 0; i < padded; i += 8)
        _mm256_storeu_ps(bias + i, _mm256_setzero_ps());
    copy_run(pass, g_pass, positions * half);
    copy_run(rest, g_rest, positions * half);
    map.bias = bias;
    of_avx512_map_positions(&(of_map_task){
        .map = &map,
        .segment_count = 2,
        .segments = {{pass, .step = half, .channel_step = 1, .count = map.channels / 2},
                     {rest, .step = half, .channel = map.channels / 2, .channel_step = 1,
                      .count = map.channels / 2}},
        .pass = g_pass,
        .rest = g_rest,
        .positions = positions,
    });
}

void of_avx512_map_backward(const of_map_backward *task) {
    size_t half = task->transposed->channels / 2;
    size_t chunk = of_chunk_positions(2 * (size_t)task->transposed->half_padded);
    for (size_t p = 0, count; p < task->positions; p += count) {
        count = at_most(task->positions - p, chunk);
        float *g_pass = task->g_pass + p * half, *g_rest = task->g_rest + p * half;
        of_avx512_interleave(task->pass + p * half, task->rest + p * half, count, half,
                             task->scratch);
        add_outer_products(
            &(outer_products){task->scratch, g_pass, g_rest, count, half, task->matrix_gradient});
        of_avx512_relu_backward(NULL, g_pass, count, half, 0.0f, task->bias_gradient);
        of_avx512_relu_backward(NULL, g_rest, count, half, 0.0f, task->bias_gradient + half);
        map_gradients(task, g_pass, g_rest, count);
    }
}
