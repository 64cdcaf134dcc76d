/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step in three passes over a chunk of positions that stays in L1: coefficients
 * into scratch, the coupling on the flat [positions][half] array, then the map. */
#include "kernels_avx512.h"
#include "vector.h"

ALWAYS_INLINE __m512 add_taps(const float *taps, const of_tap_window *window, uint32_t count,
                              __m512 sum, __mmask16 lanes) {
    for (uint32_t i = 0; i < count; i++)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, taps + window->offset[i]));
    return sum;
}

/* Sums the taps of up to 16 coefficients of one position. The usual windows get loops of a
 * constant length, which the compiler unrolls. */
static inline __m512 tap_sum(const float *taps, const of_tap_window *window, const float *bias,
                             __mmask16 lanes) {
    __m512 sum = _mm512_maskz_loadu_ps(lanes, bias);
    switch (window->count) {
    case 9:
        return add_taps(taps, window, 9, sum, lanes);
    case 6:
        return add_taps(taps, window, 6, sum, lanes);
    default:
        return add_taps(taps, window, window->count, sum, lanes);
    }
}

static const of_tap_window *window_at(const of_tap_window windows[OF_WINDOWS], size_t column,
                                      uint32_t width) {
    if (column == 0)
        return &windows[OF_WINDOW_FIRST];
    return &windows[column + 1 == width ? OF_WINDOW_LAST : OF_WINDOW_INNER];
}

static const float *taps_at(const of_tap_row *row, size_t column) {
    return row->taps + ((size_t)row->row * row->width + column) * row->stride;
}

void of_avx512_tap_sum_row(const of_tap_row *row, float *coefficients) {
    of_tap_window windows[OF_WINDOWS];
    of_tap_windows(row, windows);
    for (size_t column = 0; column < row->width; column++, coefficients += row->outputs) {
        const of_tap_window *window = window_at(windows, column, row->width);
        const float *taps = taps_at(row, column);
        for (size_t o = 0; o < row->outputs; o += LANES) {
            __mmask16 lanes = first_lanes(at_most(row->outputs - o, LANES));
            _mm512_mask_storeu_ps(coefficients + o, lanes,
                                  tap_sum(taps + o, window, row->bias + o, lanes));
        }
    }
}

/* Coefficients first.. first+half-1 of one position. Stores whole vectors: what they spill into
 * the next position is overwritten when its turn comes. */
static inline void sum_half(const of_coupling_row *row, const float *taps,
                            const of_tap_window *window, size_t first, float *target) {
    for (size_t i = 0; i < row->half; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(row->half - i, LANES));
        _mm512_storeu_ps(target + i,
                         tap_sum(taps + first + i, window, row->taps.bias + first + i, lanes));
    }
}

/* add and raw of one position in one vector, for half <= 8. */
static inline void sum_both(const of_coupling_row *row, const float *taps,
                            const of_tap_window *window, __m512i raw_lanes, float *add,
                            float *raw) {
    __m512 both = tap_sum(taps, window, row->taps.bias, first_lanes(2 * (size_t)row->half));
    _mm256_storeu_ps(add, _mm512_castps512_ps256(both));
    _mm256_storeu_ps(raw, _mm512_castps512_ps256(_mm512_permutexvar_ps(raw_lanes, both)));
}

static void sum_chunk(const of_coupling_chunk *chunk, const of_tap_window windows[OF_WINDOWS]) {
    const of_coupling_row *row = chunk->row;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i raw_lanes = _mm512_add_epi32(lane, _mm512_set1_epi32((int)row->half));
    float *add = chunk->add, *raw = chunk->raw;
    for (size_t p = 0; p < chunk->positions; p++, add += row->half, raw += row->half) {
        const of_tap_window *window = window_at(windows, chunk->column + p, row->taps.width);
        const float *taps = taps_at(&row->taps, chunk->column + p);
        if (row->affine && 2 * (size_t)row->half <= LANES) {
            sum_both(row, taps, window, raw_lanes, add, raw);
            continue;
        }
        sum_half(row, taps, window, 0, add);
        if (row->affine)
            sum_half(row, taps, window, row->half, raw);
    }
}

/* rest -> rest', which goes to `target`; returns the sum of log s. */
ALWAYS_INLINE double couple_affine(const of_coupling_chunk *chunk, const float *rest, float *target,
                                   bool inverse) {
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

static double couple_chunk(const of_coupling_chunk *chunk) {
    const of_coupling_row *row = chunk->row;
    float *rest = row->rest + chunk->start * row->half;
    float *target = row->map != NULL ? chunk->add : rest;
    if (!row->affine) {
        couple_additive(chunk, rest, target);
        return 0.0;
    }
    return row->inverse ? couple_affine(chunk, rest, target, true)
                        : couple_affine(chunk, rest, target, false);
}

static void copy(float *target, const float *source, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        _mm512_mask_storeu_ps(target + i, lanes, _mm512_maskz_loadu_ps(lanes, source + i));
    }
}

double of_avx512_coupling_row(const of_coupling_row *row) {
    double log_det = 0.0;
    of_tap_window windows[OF_WINDOWS];
    of_tap_windows(&row->taps, windows);
    for (size_t column = 0; column < row->taps.width;) {
        of_coupling_chunk chunk = of_coupling_chunk_at(row, column);
        sum_chunk(&chunk, windows);
        log_det += couple_chunk(&chunk);
        if (row->map != NULL) {
            copy(chunk.pass, row->pass + chunk.start * row->half, chunk.positions * row->half);
            of_map_task task = of_coupling_task(&chunk);
            of_avx512_map_positions(&task);
        }
        column += chunk.positions;
    }
    return log_det;
}
