/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step in three passes over a chunk of positions that stays in L1: coefficients
 * into scratch, the coupling on the flat [positions][half] array, then the map. */
#include "kernels_avx512.h"
#include "vector.h"

/* Taps are summed 8 at a time: they stand anywhere, most 64-byte loads would cross a cache line. */
enum { TAP_LANES = 8 };

/* The same coefficients of a run of columns: `o` and up to 7 more, of which `bias` is the start.
 * Results go to `target`, `step` floats apart. */
typedef struct tap_block {
    const of_tap_rows *rows;
    size_t o, lanes, step;
    const float *bias;
    float *target; /* of the first column */
    bool spill;    /* whole vectors may be stored; a later store repairs what follows */
} tap_block;

ALWAYS_INLINE __m256 load_tap(const float *tap, bool whole, __mmask8 mask) {
    return whole ? _mm256_loadu_ps(tap) : _mm256_maskz_loadu_ps(mask, tap);
}

/* One column; count, left, right and whole are constants at each call. */
ALWAYS_INLINE void sum_column(const tap_block *block, const of_tap_rows *rows, size_t column,
                              float *target, uint32_t count, bool left, bool right, bool whole,
                              __mmask8 mask) {
    __m256 sum = load_tap(block->bias, whole, mask);
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
        _mm256_mask_storeu_ps(target, mask, sum);
}

/* Columns begin..end-1: the first and the last of the image row lack a neighbour. */
ALWAYS_INLINE void sum_columns(const tap_block *shared, size_t begin, size_t end, uint32_t count,
                               bool whole) {
    __mmask8 mask = (__mmask8)first_lanes(shared->lanes);
    const tap_block block = *shared; /* copies that no store can alias */
    const of_tap_rows rows = *shared->rows;
    size_t column = begin, width = rows.width;
    float *target = block.target;
    if (!rows.neighbours) {
        for (; column < end; column++, target += block.step)
            sum_column(&block, &rows, column, target, count, false, false, whole, mask);
        return;
    }
    if (column == 0 && width > 1) {
        sum_column(&block, &rows, column, target, count, false, true, whole, mask);
        column++;
        target += block.step;
    }
    for (; column < end && column + 1 < width; column++, target += block.step)
        sum_column(&block, &rows, column, target, count, true, true, whole, mask);
    if (column < end && column > 0)
        sum_column(&block, &rows, column, target, count, true, false, whole, mask);
    else if (column < end)
        sum_column(&block, &rows, column, target, count, false, false, whole, mask);
}

static void sum_block(const tap_block *block, size_t begin, size_t end) {
    bool whole = block->lanes == TAP_LANES;
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

void of_avx512_tap_sum_row(const of_tap_row *row, float *coefficients) {
    of_tap_rows rows = of_tap_rows_of(row);
    for (size_t o = 0; o < row->outputs; o += TAP_LANES) {
        tap_block block = {&rows,
                           .o = o,
                           .lanes = at_most(row->outputs - o, TAP_LANES),
                           .step = row->outputs,
                           .bias = row->bias + o,
                           .target = coefficients + o};
        sum_block(&block, 0, row->width);
    }
}

/* Coefficients first.. first+half-1 of the chunk's positions, [positions][half]. A vector's tail
 * spills into the next position, so the last block, which has a tail, must come first. */
static void sum_half(const of_coupling_chunk *chunk, const of_tap_rows *rows, size_t first,
                     float *target) {
    size_t half = chunk->row->half;
    for (size_t block_end = (half + TAP_LANES - 1) / TAP_LANES; block_end > 0; block_end--) {
        size_t i = (block_end - 1) * TAP_LANES;
        tap_block block = {rows,
                           .o = first + i,
                           .lanes = at_most(half - i, TAP_LANES),
                           .step = half,
                           .bias = chunk->row->taps.bias + first + i,
                           .target = target + i,
                           .spill = true};
        sum_block(&block, chunk->column, chunk->column + chunk->positions);
    }
}

/* sum_half for kernel 1, where dense networks have thousands of coefficients in one position. */
static void sum_half_alone(const of_coupling_chunk *chunk, const of_tap_rows *rows, size_t first,
                           float *target) {
    size_t half = chunk->row->half;
    const float *taps = rows->center[0] + chunk->column * rows->stride + first;
    const float *bias = chunk->row->taps.bias + first;
    for (size_t p = 0; p < chunk->positions; p++, taps += rows->stride, target += half)
        for (size_t i = 0; i < half; i += LANES) {
            __mmask16 lanes = first_lanes(at_most(half - i, LANES));
            __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, bias + i),
                                       _mm512_maskz_loadu_ps(lanes, taps + i));
            _mm512_storeu_ps(target + i, sum);
        }
}

static void sum_chunk(const of_coupling_chunk *chunk, const of_tap_rows *rows) {
    void (*sum)(const of_coupling_chunk *, const of_tap_rows *, size_t, float *) =
        rows->neighbours ? sum_half : sum_half_alone;
    sum(chunk, rows, 0, chunk->add);
    if (chunk->row->affine)
        sum(chunk, rows, chunk->row->half, chunk->raw);
}

/* rest -> rest', which goes to `target`; s to `kept` unless that is NULL. Returns the sum of
 * log s. */
ALWAYS_INLINE double couple_affine(const of_coupling_chunk *chunk, const float *rest, float *target,
                                   float *kept, bool inverse) {
    double_sum log_det = double_sum_zero();
    size_t n = chunk->positions * chunk->row->half;
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 add = _mm512_maskz_loadu_ps(lanes, chunk->add + i);
        __m512 raw = _mm512_maskz_loadu_ps(lanes, chunk->raw + i);
        __m512 x = _mm512_maskz_loadu_ps(lanes, rest + i);
        sigmoid s = sigmoid_of(_mm512_add_ps(raw, _mm512_set1_ps(2.0f)));
        if (inverse)
            x = _mm512_sub_ps(_mm512_mul_ps(x, _mm512_div_ps(s.denominator, s.numerator)), add);
        else
            x = _mm512_mul_ps(_mm512_add_ps(x, add), _mm512_div_ps(s.numerator, s.denominator));
        _mm512_mask_storeu_ps(target + i, lanes, x);
        if (kept != NULL)
            _mm512_mask_storeu_ps(kept + i, lanes, _mm512_div_ps(s.numerator, s.denominator));
        log_det = double_sum_add(log_det, _mm512_maskz_mov_ps(lanes, s.logarithm));
    }
    return double_sum_total(log_det);
}

static inline void couple_additive(const of_coupling_chunk *chunk, const float *rest,
                                   float *target) {
    size_t n = chunk->positions * chunk->row->half;
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 add = _mm512_maskz_loadu_ps(lanes, chunk->add + i);
        __m512 x = _mm512_maskz_loadu_ps(lanes, rest + i);
        x = chunk->row->inverse ? _mm512_sub_ps(x, add) : _mm512_add_ps(x, add);
        _mm512_mask_storeu_ps(target + i, lanes, x);
    }
}

/* The chunk's part of an array [height*width][half] of the image, or NULL. */
static float *part_of(const of_coupling_chunk *chunk, float *array) {
    return array != NULL ? array + chunk->start * chunk->row->half : NULL;
}

static double couple_chunk(const of_coupling_chunk *chunk) {
    const of_coupling_row *row = chunk->row;
    float *rest = part_of(chunk, row->rest), *kept_scale = part_of(chunk, row->kept_scale);
    float *target = row->map != NULL ? chunk->add : rest;
    double log_det = 0.0;
    if (!row->affine)
        couple_additive(chunk, rest, target);
    else if (row->inverse)
        log_det = couple_affine(chunk, rest, target, kept_scale, true);
    else
        log_det = couple_affine(chunk, rest, target, kept_scale, false);
    if (row->kept_rest != NULL)
        copy_run(part_of(chunk, row->kept_rest), target, chunk->positions * row->half);
    if (row->kept_pass != NULL)
        copy_run(part_of(chunk, row->kept_pass), part_of(chunk, row->pass),
                 chunk->positions * row->half);
    return log_det;
}

double of_avx512_coupling_row(const of_coupling_row *row) {
    double log_det = 0.0;
    of_tap_rows rows = of_tap_rows_of(&row->taps);
    for (size_t column = 0; column < row->taps.width;) {
        of_coupling_chunk chunk = of_coupling_chunk_at(row, column);
        sum_chunk(&chunk, &rows);
        log_det += couple_chunk(&chunk);
        if (row->map != NULL) {
            copy_run(chunk.pass, part_of(&chunk, row->pass), chunk.positions * row->half);
            of_map_task task = of_coupling_task(&chunk);
            of_avx512_map_positions(&task);
        }
        column += chunk.positions;
    }
    return log_det;
}
