/* SPDX-License-Identifier: Apache-2.0 */
/* The coupling and its gradients on flat arrays [positions][half], where no lane is idle, and the
 * scale maps: what a further map needs stands in scale_of, slope_of and the two lists of cases. */
#include "kernels_avx512.h"
#include "vector.h"

/* s = numerator / denominator, l = log s without the limits of s, and tanh(raw), TANH only. */
typedef struct scaling {
    __m512 numerator, denominator, logarithm, tanh;
} scaling;

/* s = sigmoid(t), as in ../scalar/scale_map.c. min and max return their second operand when either
 * is NaN. */
ALWAYS_INLINE scaling sigmoid_of(__m512 t) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    __m512 distance = _mm512_sub_ps(zero, _mm512_abs_ps(t));
    __m512 e = exp_within_87(_mm512_max_ps(_mm512_set1_ps(-87.0f), distance));
    __mmask16 negative = _mm512_cmp_ps_mask(t, zero, _CMP_LT_OQ);
    return (scaling){
        .numerator = _mm512_mask_blend_ps(negative, one, e),
        .denominator = _mm512_add_ps(one, e),
        .logarithm = _mm512_fnmadd_ps(e, log1p_ratio(e), _mm512_min_ps(zero, t)),
    };
}

ALWAYS_INLINE scaling sigmoid_inverse_of(__m512 t) {
    scaling s = sigmoid_of(t);
    return (scaling){
        .numerator = s.denominator,
        .denominator = s.numerator,
        .logarithm = _mm512_sub_ps(_mm512_setzero_ps(), s.logarithm),
    };
}

ALWAYS_INLINE scaling exp_of(__m512 l) {
    __m512 above = _mm512_max_ps(_mm512_set1_ps(-87.0f), l);
    return (scaling){
        .numerator = exp_within_87(_mm512_min_ps(_mm512_set1_ps(87.0f), above)),
        .denominator = _mm512_set1_ps(1.0f),
        .logarithm = l,
    };
}

/* q = exp(-2 |x|), tanh |x| = (1 - q) / (1 + q). */
ALWAYS_INLINE __m512 tanh_of(__m512 x) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    __m512 size = _mm512_abs_ps(x), twice = _mm512_add_ps(size, size);
    __m512 q = exp_within_87(_mm512_max_ps(_mm512_set1_ps(-87.0f), _mm512_sub_ps(zero, twice)));
    __m512 tanh = _mm512_div_ps(_mm512_sub_ps(one, q), _mm512_add_ps(one, q));
    return _mm512_mask_sub_ps(tanh, _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ), zero, tanh);
}

ALWAYS_INLINE scaling scale_of(of_scale_map map, __m512 raw, __m512 gain) {
    const __m512 two = _mm512_set1_ps(2.0f);
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return exp_of(raw);
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return sigmoid_inverse_of(_mm512_add_ps(raw, two));
    case OF_SCALE_MAP_TANH: {
        __m512 tanh = tanh_of(raw);
        scaling s = exp_of(_mm512_mul_ps(gain, tanh));
        s.tanh = tanh;
        return s;
    }
    default:
        return sigmoid_of(_mm512_add_ps(raw, two));
    }
}

/* dl / d raw */
ALWAYS_INLINE __m512 slope_of(of_scale_map map, __m512 s, __m512 tanh, __m512 gain) {
    const __m512 one = _mm512_set1_ps(1.0f);
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return one;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return _mm512_sub_ps(_mm512_div_ps(one, s), one);
    case OF_SCALE_MAP_TANH:
        return _mm512_mul_ps(gain, _mm512_fnmadd_ps(tanh, tanh, one));
    default:
        return _mm512_sub_ps(one, s);
    }
}

/* Where the gain of the values after `channel` stands, see of_repeat. */
ALWAYS_INLINE size_t next_channel(size_t channel, size_t step, size_t period) {
    channel += step;
    return channel < period ? channel : channel - period;
}

/* ---- Forward ---- */

/* rest -> rest'; `scaled` is rest*s when the shift comes after. The flags are constants. */
ALWAYS_INLINE __m512 shifted(__m512 x, __m512 add, const scaling *s, bool after, bool inverse,
                             __m512 *scaled) {
    if (inverse) {
        __m512 factor = _mm512_div_ps(s->denominator, s->numerator);
        if (!after)
            return _mm512_sub_ps(_mm512_mul_ps(x, factor), add);
        *scaled = _mm512_sub_ps(x, add);
        return _mm512_mul_ps(*scaled, factor);
    }
    __m512 factor = _mm512_div_ps(s->numerator, s->denominator);
    if (!after)
        return _mm512_mul_ps(_mm512_add_ps(x, add), factor);
    *scaled = _mm512_mul_ps(x, factor);
    return _mm512_add_ps(*scaled, add);
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
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 add = _mm512_maskz_loadu_ps(lanes, chunk->add + i);
        __m512 raw = _mm512_maskz_loadu_ps(lanes, chunk->raw + i);
        __m512 x = _mm512_maskz_loadu_ps(lanes, rest + i);
        __m512 gain = _mm512_setzero_ps(), scaled = gain;
        if (map == OF_SCALE_MAP_TANH) {
            gain = _mm512_maskz_loadu_ps(lanes, gains + channel);
            channel = next_channel(channel, step, half);
        }
        scaling s = scale_of(map, raw, gain);
        _mm512_mask_storeu_ps(target + i, lanes, shifted(x, add, &s, after, inverse, &scaled));
        if (kept_scale != NULL)
            _mm512_mask_storeu_ps(kept_scale + i, lanes, _mm512_div_ps(s.numerator, s.denominator));
        if (kept_tanh != NULL)
            _mm512_mask_storeu_ps(kept_tanh + i, lanes, s.tanh);
        if (kept_scaled != NULL)
            _mm512_mask_storeu_ps(kept_scaled + i, lanes, scaled);
        log_det = double_sum_add(log_det, _mm512_maskz_mov_ps(lanes, s.logarithm));
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

double of_avx512_couple(const of_coupling_chunk *chunk, float *target) {
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
    const __m512 log_det = _mm512_set1_ps(task->log_det_gradient);
    const float *gains = out->gain;
    float *g_add = out->g_add, *g_raw = out->g_raw, *g_gain = out->g_gain;
    size_t n = out->n, period = out->period, channel = 0, step = LANES % period;
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 g = _mm512_maskz_loadu_ps(lanes, g_rest + i);
        __m512 s = _mm512_maskz_loadu_ps(lanes, scale + i);
        __m512 g_l = _mm512_fmadd_ps(g, _mm512_maskz_loadu_ps(lanes, factor + i), log_det);
        __m512 tanh = _mm512_setzero_ps(), gain = tanh;
        if (map == OF_SCALE_MAP_TANH) {
            tanh = _mm512_maskz_loadu_ps(lanes, kept_tanh + i);
            gain = _mm512_maskz_loadu_ps(lanes, gains + channel);
            channel = next_channel(channel, step, period);
            _mm512_mask_storeu_ps(g_gain + i, lanes, _mm512_mul_ps(g_l, tanh));
        }
        if (after)
            _mm512_mask_storeu_ps(g_add + i, lanes, g);
        _mm512_mask_storeu_ps(g_raw + i, lanes, _mm512_mul_ps(g_l, slope_of(map, s, tanh, gain)));
        _mm512_mask_storeu_ps(g_rest + i, lanes, _mm512_mul_ps(g, s));
    }
}

ALWAYS_INLINE void differentiate_map(const of_couple_gradients *out, of_scale_map map) {
    if (out->task->shift_after)
        differentiate(out, map, true);
    else
        differentiate(out, map, false);
}

void of_avx512_couple_backward(const of_couple_gradients *out) {
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
