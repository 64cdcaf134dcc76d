/* SPDX-License-Identifier: Apache-2.0 */
/* The coupling and its gradients, and the scale maps: what a further map needs
 * stands in scale_of, slope_of and the two lists of cases. */
#include "kernels_scalar.h"

#include <math.h>

/* For functions whose arguments are constants at each call. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* s = exp(l) with the limits of kernels.h, l without them, and tanh(raw), TANH only. */
typedef struct scaling {
    float s, l, tanh;
} scaling;

/* s = sigmoid(t) and its logarithm, without overflow or cancellation for any t:
 *     e = exp(-min(|t|, 87))    s = (t >= 0 ? 1 : e) / (1 + e)    log s = min(t, 0) - log1p(e)
 * The limit keeps s at or above exp(-87), a normal number, so that the inverse stays finite;
 * log s is exact beyond it. Each comparison lets NaN through. */
static float sigmoid(float t, float *log_s) {
    float distance = fabsf(t);
    float e = expf(-(distance > 87.0f ? 87.0f : distance));
    *log_s = (t > 0.0f ? 0.0f : t) - log1pf(e);
    return (t < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The same for 1 / s. */
static float sigmoid_inverse(float t, float *log_s) {
    float distance = fabsf(t);
    float e = expf(-(distance > 87.0f ? 87.0f : distance));
    *log_s = log1pf(e) - (t > 0.0f ? 0.0f : t);
    return (1.0f + e) / (t < 0.0f ? e : 1.0f);
}

static float limited_exp(float l) {
    return expf(l < -87.0f ? -87.0f : l > 87.0f ? 87.0f : l);
}

static inline scaling scale_of(of_scale_map map, float raw, float gain) {
    scaling scale = {0};
    switch (map) {
    case OF_SCALE_MAP_SIGMOID:
        scale.s = sigmoid(raw + 2.0f, &scale.l);
        break;
    case OF_SCALE_MAP_EXP:
        scale.l = raw;
        scale.s = limited_exp(scale.l);
        break;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        scale.s = sigmoid_inverse(raw + 2.0f, &scale.l);
        break;
    case OF_SCALE_MAP_TANH:
        scale.tanh = tanhf(raw);
        scale.l = gain * scale.tanh;
        scale.s = limited_exp(scale.l);
        break;
    }
    return scale;
}

/* rest -> rest'; `scaled` gets rest*s when the shift comes after. */
static float shifted(const of_coupling_row *row, float rest, float add, float s, float *scaled) {
    if (!row->shift_after)
        return row->inverse ? rest / s - add : (rest + add) * s;
    *scaled = row->inverse ? rest - add : rest * s;
    return row->inverse ? *scaled / s : *scaled + add;
}

/* `map` is a constant at each call. */
ALWAYS_INLINE double couple_values(const of_coupling_row *row, const float *add, const float *raw,
                                   size_t start, of_scale_map map) {
    float *rest = row->rest + start;
    double log_det = 0.0;
    for (uint32_t i = 0; i < row->half; i++) {
        scaling scale = scale_of(map, raw[i], map == OF_SCALE_MAP_TANH ? row->gain[i] : 0.0f);
        float scaled = 0.0f;
        rest[i] = shifted(row, rest[i], add[i], scale.s, &scaled);
        if (row->kept_scale != NULL)
            row->kept_scale[start + i] = scale.s;
        if (row->kept_tanh != NULL)
            row->kept_tanh[start + i] = scale.tanh;
        if (row->kept_scaled != NULL)
            row->kept_scaled[start + i] = scaled;
        log_det += (double)scale.l;
    }
    return log_det;
}

static double couple_affine(const of_coupling_row *row, const float *add, const float *raw,
                            size_t start) {
    switch (row->scale_map) {
    case OF_SCALE_MAP_EXP:
        return couple_values(row, add, raw, start, OF_SCALE_MAP_EXP);
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return couple_values(row, add, raw, start, OF_SCALE_MAP_SIGMOID_INVERSE);
    case OF_SCALE_MAP_TANH:
        return couple_values(row, add, raw, start, OF_SCALE_MAP_TANH);
    default:
        return couple_values(row, add, raw, start, OF_SCALE_MAP_SIGMOID);
    }
}

double of_scalar_couple(const of_coupling_row *row, const float *coefficients, size_t start) {
    if (row->affine)
        return couple_affine(row, coefficients, coefficients + row->half, start);
    float *rest = row->rest + start;
    for (uint32_t i = 0; i < row->half; i++)
        rest[i] = row->inverse ? rest[i] - coefficients[i] : rest[i] + coefficients[i];
    return 0.0;
}

/* dl / d raw */
static inline float slope_of(of_scale_map map, float s, float tanh, float gain) {
    switch (map) {
    case OF_SCALE_MAP_EXP:
        return 1.0f;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return 1.0f / s - 1.0f;
    case OF_SCALE_MAP_TANH:
        return gain * (1.0f - tanh) * (1.0f + tanh);
    default:
        return 1.0f - s;
    }
}

/* One position; map and after are constants at each call. */
ALWAYS_INLINE void differentiate(const of_coupling_backward *task, size_t position,
                                 of_scale_map map, bool after) {
    size_t half = task->half, start = position * half;
    const float *factor = after ? task->scaled : task->rest_after;
    float *g_add = task->g_coefficients + 2 * start, *g_raw = g_add + half;
    for (size_t i = 0; i < half; i++) {
        float s = task->scale[start + i], g = task->g_rest[start + i];
        float g_l = g * factor[start + i] + task->log_det_gradient, tanh = 0.0f, gain = 0.0f;
        if (map == OF_SCALE_MAP_TANH) {
            tanh = task->tanh_kept[start + i];
            gain = task->gain[i];
            task->gain_gradient[i] += g_l * tanh;
        }
        g_raw[i] = g_l * slope_of(map, s, tanh, gain);
        task->g_rest[start + i] = g * s;
        g_add[i] = after ? g : g * s;
    }
}

ALWAYS_INLINE void differentiate_map(const of_coupling_backward *task, of_scale_map map) {
    for (size_t p = 0; p < task->positions; p++)
        if (task->shift_after)
            differentiate(task, p, map, true);
        else
            differentiate(task, p, map, false);
}

void of_scalar_couple_backward(const of_coupling_backward *task) {
    switch (task->scale_map) {
    case OF_SCALE_MAP_EXP:
        differentiate_map(task, OF_SCALE_MAP_EXP);
        break;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        differentiate_map(task, OF_SCALE_MAP_SIGMOID_INVERSE);
        break;
    case OF_SCALE_MAP_TANH:
        differentiate_map(task, OF_SCALE_MAP_TANH);
        break;
    default:
        differentiate_map(task, OF_SCALE_MAP_SIGMOID);
    }
}
