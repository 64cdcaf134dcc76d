/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step in three passes over a chunk of positions that stays in L1: coefficients
 * into scratch, the coupling on the flat [positions][half] array, then the map. */
#include "kernels_avx2.h"
#include "vector.h"

/* The same coefficients of a run of columns: `o` and up to 7 more. Results go to `target`, `step`
 * floats apart. */
typedef struct tap_block {
    const of_tap_rows *rows;
    size_t o, lanes, step;
    float *target; /* of the first column */
    bool spill;    /* whole vectors may be stored; a later store repairs what follows */
} tap_block;

ALWAYS_INLINE __m256 load_tap(const float *tap, bool whole, __m256i mask) {
    return whole ? _mm256_loadu_ps(tap) : _mm256_maskload_ps(tap, mask);
}

/* The biases of a column, those of coefficient 0. */
static inline const float *bias_of(const of_tap_rows *rows, size_t column) {
    if (column == 0)
        return rows->first_bias;
    return column + 1 < rows->width ? rows->bias : rows->last_bias;
}

/* One column; count, left, right and whole are constants at each call. */
ALWAYS_INLINE void sum_column(const tap_block *block, const of_tap_rows *rows, const float *bias,
                              size_t column, float *target, uint32_t count, bool left, bool right,
                              bool whole, __m256i mask) {
    __m256 sum = load_tap(bias + block->o, whole, mask);
    UNROLL
    for (uint32_t k = 0; k < count; k++) {
        const float *tap = rows->center[k] + column * rows->stride + block->o;
        if (left)
            sum = _mm256_add_ps(sum, load_tap(tap - rows->reach, whole, mask));
        sum = _mm256_add_ps(sum, load_tap(tap, whole, mask));
        if (right)
            sum = _mm256_add_ps(sum, load_tap(tap + rows->reach, whole, mask));
    }
    if (whole || block->spill)
        _mm256_storeu_ps(target, sum);
    else
        store_first(target, sum, block->lanes);
}

/* Columns begin..end-1: the first and the last of the image row lack a neighbour. */
ALWAYS_INLINE void sum_columns(const tap_block *shared, size_t begin, size_t end, uint32_t count,
                               bool whole) {
    __m256i mask = first_lanes(shared->lanes);
    const tap_block block = *shared; /* copies that no store can alias */
    const of_tap_rows rows = *shared->rows;
    size_t column = begin, width = rows.width;
    float *target = block.target;
    if (!rows.neighbours) {
        for (; column < end; column++, target += block.step)
            sum_column(&block, &rows, bias_of(&rows, column), column, target, count, false, false,
                       whole, mask);
        return;
    }
    if (column == 0 && width > 1) {
        sum_column(&block, &rows, rows.first_bias, column, target, count, false, true, whole, mask);
        column++;
        target += block.step;
    }
    for (; column < end && column + 1 < width; column++, target += block.step)
        sum_column(&block, &rows, rows.bias, column, target, count, true, true, whole, mask);
    if (column < end && column > 0)
        sum_column(&block, &rows, rows.last_bias, column, target, count, true, false, whole, mask);
    else if (column < end)
        sum_column(&block, &rows, rows.first_bias, column, target, count, false, false, whole,
                   mask);
}

static void sum_block(const tap_block *block, size_t begin, size_t end) {
    bool whole = block->lanes == LANES;
    switch (block->rows->count) {
    case 3:
        if (whole)
            sum_columns(block, begin, end, 3, true);
        else
            sum_columns(block, begin, end, 3, false);
        break;
    case 2:
        if (whole)
            sum_columns(block, begin, end, 2, true);
        else
            sum_columns(block, begin, end, 2, false);
        break;
    default:
        if (whole)
            sum_columns(block, begin, end, 1, true);
        else
            sum_columns(block, begin, end, 1, false);
    }
}

void of_avx2_tap_sum_row(const of_tap_row *row, float *coefficients) {
    of_tap_rows rows = of_tap_rows_of(row);
    for (size_t o = 0; o < row->outputs; o += LANES) {
        tap_block block = {
            &rows,
            .o = o,
            .lanes = at_most(row->outputs - o, LANES),
            .step = row->outputs,
            .target = coefficients + o,
        };
        sum_block(&block, 0, row->width);
    }
}

/* Coefficients first.. first+half-1 of the chunk's positions, [positions][half]. A vector's tail
 * spills into the next position, so the last block, which has a tail, must come first. */
static void sum_half(const of_coupling_chunk *chunk, const of_tap_rows *rows, size_t first,
                     float *target) {
    size_t half = chunk->row->half;
    for (size_t block_end = (half + LANES - 1) / LANES; block_end > 0; block_end--) {
        size_t i = (block_end - 1) * LANES;
        tap_block block = {
            rows,         .o = first + i,       .lanes = at_most(half - i, LANES),
            .step = half, .target = target + i, .spill = true,
        };
        sum_block(&block, chunk->column, chunk->column + chunk->positions);
    }
}

/* `edges`, a constant at each call, tells whether there are biases for them. */
ALWAYS_INLINE void sum_alone(const of_coupling_chunk *chunk, const of_tap_rows *rows, size_t first,
                             float *target, bool edges) {
    size_t half = chunk->row->half;
    const float *taps = rows->center[0] + chunk->column * rows->stride + first;
    const float *bias = rows->bias + first;
    for (size_t p = 0; p < chunk->positions; p++, taps += rows->stride, target += half) {
        if (edges)
            bias = bias_of(rows, chunk->column + p) + first;
        for (size_t i = 0; i < half; i += LANES) {
            size_t lanes = at_most(half - i, LANES);
            __m256 sum = _mm256_add_ps(load_first(bias + i, lanes), load_first(taps + i, lanes));
            _mm256_storeu_ps(target + i, sum);
        }
    }
}

/* sum_half for kernel 1, where dense networks have thousands of coefficients in one position. */
static void sum_half_alone(const of_coupling_chunk *chunk, const of_tap_rows *rows, size_t first,
                           float *target) {
    if (chunk->row->taps.edge_bias != NULL)
        sum_alone(chunk, rows, first, target, true);
    else
        sum_alone(chunk, rows, first, target, false);
}

static void sum_chunk(const of_coupling_chunk *chunk, const of_tap_rows *rows) {
    void (*sum)(const of_coupling_chunk *, const of_tap_rows *, size_t, float *) =
        rows->neighbours ? sum_half : sum_half_alone;
    sum(chunk, rows, 0, chunk->add);
    if (chunk->row->affine)
        sum(chunk, rows, chunk->row->half, chunk->raw);
}

static inline void couple_additive(const of_coupling_chunk *chunk, const float *rest,
                                   float *target) {
    size_t n = chunk->positions * chunk->row->half;
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 add = load_first(chunk->add + i, lanes);
        __m256 x = load_first(rest + i, lanes);
        x = chunk->row->inverse ? _mm256_sub_ps(x, add) : _mm256_add_ps(x, add);
        store_first(target + i, x, lanes);
    }
}

static double couple_chunk(const of_coupling_chunk *chunk) {
    const of_coupling_row *row = chunk->row;
    size_t start = chunk->start * row->half, n = chunk->positions * row->half;
    float *rest = row->rest + start, *target = row->map != NULL ? chunk->add : rest;
    double log_det = 0.0;
    if (row->affine)
        log_det = of_avx2_couple(chunk, target);
    else
        couple_additive(chunk, rest, target);
    if (row->kept_rest != NULL)
        copy_run(row->kept_rest + start, target, n);
    if (row->kept_pass != NULL)
        copy_run(row->kept_pass + start, row->pass + start, n);
    return log_det;
}

double of_avx2_coupling_row(const of_coupling_row *row) {
    double log_det = 0.0;
    of_tap_rows rows = of_tap_rows_of(&row->taps);
    for (size_t column = 0; column < row->taps.width;) {
        of_coupling_chunk chunk = of_coupling_chunk_at(row, column);
        sum_chunk(&chunk, &rows);
        log_det += couple_chunk(&chunk);
        if (row->map != NULL) {
            copy_run(chunk.pass, row->pass + chunk.start * row->half, chunk.positions * row->half);
            of_map_task task = of_coupling_task(&chunk);
            of_avx2_map_positions(&task);
        }
        column += chunk.positions;
    }
    return log_det;
}
