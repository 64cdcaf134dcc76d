/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step in three passes over a chunk of positions that stays in L1: coefficients
 * into scratch, the coupling on the flat [positions][half] array, then the map. */
#include "kernels_avx2.h"
#include "vector.h"

ALWAYS_INLINE __m256 add_taps(const float *taps, const of_tap_window *window, uint32_t count,
                              __m256 sum) {
    for (uint32_t i = 0; i < count; i++)
        sum = _mm256_add_ps(sum, _mm256_loadu_ps(taps + window->offset[i]));
    return sum;
}

ALWAYS_INLINE __m256 add_partial_taps(const float *taps, const of_tap_window *window,
                                      uint32_t count, __m256 sum, __m256i lanes) {
    for (uint32_t i = 0; i < count; i++)
        sum = _mm256_add_ps(sum, _mm256_maskload_ps(taps + window->offset[i], lanes));
    return sum;
}

/* Sums the taps of 8 coefficients of one position. The inner window gets a loop of a constant
 * length, which the compiler unrolls. */
static inline __m256 tap_sum(const float *taps, const of_tap_window *window, const float *bias) {
    __m256 sum = _mm256_loadu_ps(bias);
    if (window->count == 9)
        return add_taps(taps, window, 9, sum);
    return add_taps(taps, window, window->count, sum);
}

/* The same for the first 1..7 coefficients. */
static inline __m256 partial_tap_sum(const float *taps, const of_tap_window *window,
                                     const float *bias, size_t lanes) {
    __m256i mask = first_lanes(lanes);
    __m256 sum = _mm256_maskload_ps(bias, mask);
    if (window->count == 9)
        return add_partial_taps(taps, window, 9, sum, mask);
    return add_partial_taps(taps, window, window->count, sum, mask);
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

void of_avx2_tap_sum_row(const of_tap_row *row, float *coefficients) {
    of_tap_window windows[OF_WINDOWS];
    of_tap_windows(row, windows);
    for (size_t column = 0; column < row->width; column++, coefficients += row->outputs) {
        const of_tap_window *window = window_at(windows, column, row->width);
        const float *taps = taps_at(row, column);
        size_t o = 0, left = row->outputs % LANES;
        for (; o + LANES <= row->outputs; o += LANES)
            _mm256_storeu_ps(coefficients + o, tap_sum(taps + o, window, row->bias + o));
        if (left > 0)
            store_first(coefficients + o, partial_tap_sum(taps + o, window, row->bias + o, left),
                        left);
    }
}

/* Coefficients first.. first+half-1 of one position. Stores whole vectors: what they spill into
 * the next position is overwritten when its turn comes. */
static inline void sum_half(const of_coupling_row *row, const float *taps,
                            const of_tap_window *window, size_t first, float *target) {
    const float *bias = row->taps.bias + first;
    size_t i = 0, left = row->half % LANES;
    taps += first;
    for (; i + LANES <= row->half; i += LANES)
        _mm256_storeu_ps(target + i, tap_sum(taps + i, window, bias + i));
    if (left > 0)
        _mm256_storeu_ps(target + i, partial_tap_sum(taps + i, window, bias + i, left));
}

static void sum_chunk(const of_coupling_chunk *chunk, const of_tap_window windows[OF_WINDOWS]) {
    const of_coupling_row *row = chunk->row;
    float *add = chunk->add, *raw = chunk->raw;
    for (size_t p = 0; p < chunk->positions; p++, add += row->half, raw += row->half) {
        const of_tap_window *window = window_at(windows, chunk->column + p, row->taps.width);
        const float *taps = taps_at(&row->taps, chunk->column + p);
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
        size_t lanes = at_most(n - i, LANES);
        __m256 add = load_first(chunk->add + i, lanes);
        __m256 raw = load_first(chunk->raw + i, lanes);
        __m256 x = load_first(rest + i, lanes);
        sigmoid s = sigmoid_of(_mm256_add_ps(raw, _mm256_set1_ps(2.0f)));
        if (inverse)
            x = _mm256_sub_ps(_mm256_mul_ps(x, _mm256_div_ps(s.denominator, s.numerator)), add);
        else
            x = _mm256_mul_ps(_mm256_add_ps(x, add), _mm256_div_ps(s.numerator, s.denominator));
        store_first(target + i, x, lanes);
        log_det =
            double_sum_add(log_det, lanes == LANES ? s.logarithm : keep_first(s.logarithm, lanes));
    }
    return double_sum_total(log_det);
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
        size_t lanes = at_most(n - i, LANES);
        store_first(target + i, load_first(source + i, lanes), lanes);
    }
}

double of_avx2_coupling_row(const of_coupling_row *row) {
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
            of_avx2_map_positions(&task);
        }
        column += chunk.positions;
    }
    return log_det;
}
