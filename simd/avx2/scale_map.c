/* SPDX-License-Identifier: Apache-2.0 */
/* The coupling and its gradients on flat arrays [positions][half], where no lane is idle, and the
 * scale maps: what a further map needs stands in scale_of, slope_of and the two lists of cases. */
#include "kernels_avx2.h"
#include "vector.h"

/* s = numerator / denominator, l = log s without the limits of s, and tanh(raw), TANH only. */
typedef struct scaling {
    __m256 numerator, denominator, logarithm, tanh;
} scaling;

/* s = sigmoid(t), as in ../scalar/scale_map.c. min and max return their second operand when either
 * is NaN. */
ALWAYS_INLINE scaling sigmoid_of(__m256 t) {
    const __m256 zero = _mm256_setzero_ps(), one = _mm256_set1_ps(1.0f);
    __m256 distance = _mm256_or_ps(t, _mm256_set1_ps(-0.0f));
    __m256 e = exp_within_87(_mm256_max_ps(_mm256_set1_ps(-87.0f), distance));
    __m256 negative = _mm256_cmp_ps(t, zero, _CMP_LT_OQ);
    return (scaling){
        .numerator = _mm256_blendv_ps(one, e, negative),
        .denominator = _mm256_add_ps(one, e),
        .logarithm = _mm256_fnmadd_ps(e, log1p_ratio(e), _mm256_min_ps(zero, t)),
    };
}

ALWAYS_INLINE scaling sigmoid_inverse_of(__m256 t) {
    scaling s = sigmoid_of(t);
    return (scaling){
        .numerator = s.denominator,
        .denominator = s.numerator,
        .logarithm = _mm256_sub_ps(_mm256_setzero_ps(), s.logarithm),
    };
}

ALWAYS_INLINE scaling exp_of(__m256 l) {
    __m256 above = _mm256_max_ps(_mm256_set1_ps(-87.0f), l);
    return (scaling){
        .numerator = exp_within_87(_mm256_min_ps(_mm256_set1_ps(87.0f), above)),
        .denominator = _mm256_set1_ps(1.0f),
        .logarithm = l,
    };
}

/* q = exp(-2 |x|), tanh |x| = (1 - q) / (1 + q). */
ALWAYS_INLINE __m256 tanh_of(__m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f), minus = _mm256_set1_ps(-0.0f);
    __m256 negative = _mm256_or_ps(x, minus);
    __m256 twice = _mm256_add_ps(negative, negative);
    __m256 q = exp_within_87(_mm256_max_ps(_mm256_set1_ps(-87.0f), twice));
    __m256 size = _mm256_div_ps(_mm256_sub_ps(one, q), _mm256_add_ps(one, q));
    return _mm256_or_ps(size, _mm256_and_ps(x, minus));
}

ALWAYS_INLINE scaling scale_of(of_scale_map map, __m256 raw, __m256 gain) {
    const __m256 two = _mm256_set1_ps(2.0f);
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return exp_of(raw);
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return sigmoid_inverse_of(_mm256_add_ps(raw, two));
    case OF_SCALE_MAP_TANH: {
        __m256 tanh = tanh_of(raw);
        scaling s = exp_of(_mm256_mul_ps(gain, tanh));
        s.tanh = tanh;
        return s;
    }
    default:
        return sigmoid_of(_mm256_add_ps(raw, two));
    }
}

/* dl / d raw */
ALWAYS_INLINE __m256 slope_of(of_scale_map map, __m256 s, __m256 tanh, __m256 gain) {
    const __m256 one = _mm256_set1_ps(1.0f);
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return one;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return _mm256_sub_ps(_mm256_div_ps(one, s), one);
    case OF_SCALE_MAP_TANH:
        return _mm256_mul_ps(gain, _mm256_fnmadd_ps(tanh, tanh, one));
    default:
        return _mm256_sub_ps(one, s);
    }
}

/* Where the gain of the values after `channel` stands, see of_repeat. */
ALWAYS_INLINE size_t next_channel(size_t channel, size_t step, size_t period) {
    channel += step;
    return channel < period ? channel : channel - period;
}

/* ---- Forward ---- */

/* rest -> rest'; `scaled` is rest*s when the shift comes after. The flags are constants. */
ALWAYS_INLINE __m256 shifted(__m256 x, __m256 add, const scaling *s, bool after, bool inverse,
                             __m256 *scaled) {
    if (inverse) {
        __m256 factor = _mm256_div_ps(s->denominator, s->numerator);
        if (!after)
            return _mm256_sub_ps(_mm256_mul_ps(x, factor), add);
        *scaled = _mm256_sub_ps(x, add);
        return _mm256_mul_ps(*scaled, factor);
    }
    __m256 factor = _mm256_div_ps(s->numerator, s->denominator);
    if (!after)
        return _mm256_mul_ps(_mm256_add_ps(x, add), factor);
    *scaled = _mm256_mul_ps(x, factor);
    return _mm256_add_ps(*scaled, add);
}

/* The chunk's part of an array [height*width][half] of the image, or NULL. */
ALWAYS_INLINE float *part_of(const of_coupling_chunk *chunk, float *array) {
    return array != NULL ? array + chunk->start * chunk->row->half : NULL;
}

/* map, after and inverse are constants at each call. Returns the sum of l. */
ALWAYS_INLINE double couple_values(const of_coupling_chunk *chunk, float *target, of_scale_map map,
                                   bool after, bool inverse) {
    const of_coupling_row *row = chunk->row;
    const float *gains = chunk->gain;
    float *kept_scale = part_of(chunk, row->kept_scale);
    float *kept_tanh = map == OF_SCALE_MAP_TANH ? part_of(chunk, row->kept_tanh) : NULL;
    float *kept_scaled = after ? part_of(chunk, row->kept_scaled) : NULL;
    const float *rest = part_of(chunk, row->rest);
    double_sum log_det = double_sum_zero();
    size_t half = row->half, n = chunk->positions * half, channel = 0, step = LANES % half;
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 add = load_first(chunk->add + i, lanes);
        __m256 raw = load_first(chunk->raw + i, lanes);
        __m256 x = load_first(rest + i, lanes);
        __m256 gain = _mm256_setzero_ps(), scaled = gain;
        if (map == OF_SCALE_MAP_TANH) {
            gain = load_first(gains + channel, lanes);
            channel = next_channel(channel, step, half);
        }
        scaling s = scale_of(map, raw, gain);
        store_first(target + i, shifted(x, add, &s, after, inverse, &scaled), lanes);
        if (kept_scale != NULL)
            store_first(kept_scale + i, _mm256_div_ps(s.numerator, s.denominator), lanes);
        if (kept_tanh != NULL)
            store_first(kept_tanh + i, s.tanh, lanes);
        if (kept_scaled != NULL)
            store_first(kept_scaled + i, scaled, lanes);
        log_det =
            double_sum_add(log_det, lanes == LANES ? s.logarithm : keep_first(s.logarithm, lanes));
    }
    return double_sum_total(log_det);
}

ALWAYS_INLINE double couple_map(const of_coupling_chunk *chunk, float *target, of_scale_map map) {
    if (chunk->row->shift_after)
        return chunk->row->inverse ? couple_values(chunk, target, map, true, true)
                                   : couple_values(chunk, target, map, true, false);
    return chunk->row->inverse ? couple_values(chunk, target, map, false, true)
                               : couple_values(chunk, target, map, false, false);
}

double of_avx2_couple(const of_coupling_chunk *chunk, float *target) {
    switch (chunk->row->scale_map) {
    case OF_SCALE_MAP_EXP:
        return couple_map(chunk, target, OF_SCALE_MAP_EXP);
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return couple_map(chunk, target, OF_SCALE_MAP_SIGMOID_INVERSE);
    case OF_SCALE_MAP_TANH:
        of_repeat(chunk->row->gain, chunk->row->half, chunk->gain);
        return couple_map(chunk, target, OF_SCALE_MAP_TANH);
    default:
        return couple_map(chunk, target, OF_SCALE_MAP_SIGMOID);
    }
}

/* ---- Backward ---- */

/* map and after are constants at each call. */
ALWAYS_INLINE void differentiate(const of_couple_gradients *out, of_scale_map map, bool after) {
    const of_coupling_backward *task = out->task;
    const float *scale = task->scale + out->start;
    const float *factor = (after ? task->scaled : task->rest_after) + out->start;
    const float *kept_tanh = map == OF_SCALE_MAP_TANH ? task->tanh_kept + out->start : NULL;
    float *g_rest = task->g_rest + out->start;
    const __m256 log_det = _mm256_set1_ps(task->log_det_gradient);
    const float *gains = out->gain;
    float *g_add = out->g_add, *g_raw = out->g_raw, *g_gain = out->g_gain;
    size_t n = out->n, period = out->period, channel = 0, step = LANES % period;
    for (size_t i = 0; i < n; i += LANES) {
        size_t lanes = at_most(n - i, LANES);
        __m256 g = load_first(g_rest + i, lanes);
        __m256 s = load_first(scale + i, lanes);
        __m256 g_l = _mm256_fmadd_ps(g, load_first(factor + i, lanes), log_det);
        __m256 tanh = _mm256_setzero_ps(), gain = tanh;
        if (map == OF_SCALE_MAP_TANH) {
            tanh = load_first(kept_tanh + i, lanes);
            gain = load_first(gains + channel, lanes);
            channel = next_channel(channel, step, period);
            store_first(g_gain + i, _mm256_mul_ps(g_l, tanh), lanes);
        }
        if (after)
            store_first(g_add + i, g, lanes);
        store_first(g_raw + i, _mm256_mul_ps(g_l, slope_of(map, s, tanh, gain)), lanes);
        store_first(g_rest + i, _mm256_mul_ps(g, s), lanes);
    }
}

ALWAYS_INLINE void differentiate_map(const of_couple_gradients *out, of_scale_map map) {
    if (out->task->shift_after)
        differentiate(out, map, true);
    else
        differentiate(out, map, false);
}

void of_avx2_couple_backward(const of_couple_gradients *out) {
    switch (out->task->scale_map) {
    case OF_SCALE_MAP_EXP:
        differentiate_map(out, OF_SCALE_MAP_EXP);
        break;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        differentiate_map(out, OF_SCALE_MAP_SIGMOID_INVERSE);
        break;
    case OF_SCALE_MAP_TANH:
        differentiate_map(out, OF_SCALE_MAP_TANH);
        break;
    default:
        differentiate_map(out, OF_SCALE_MAP_SIGMOID);
    }
}
