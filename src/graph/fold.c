/* SPDX-License-Identifier: Apache-2.0 */
/* Folding: what is constant in the network goes into fewer numbers, computed in double. */
#include "core/memory.h"
#include "graph/plan.h"
#include "model/mixing.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const double LN_2PI = 1.8378770664093454836;

/* Number of the network's own output that holds coefficient `o` in the order add, raw: the
 * coefficients of an affine coupling are interleaved, add = out[0::2], raw = out[1::2]. */
uint32_t of_coefficient_source(const of_plan *plan, const of_scale_plan *scale, uint32_t o) {
    if (plan->architecture.coupling == OF_COUPLING_ADDITIVE)
        return o;
    return o < scale->half ? 2 * o : 2 * (o - scale->half) + 1;
}

typedef struct layer_source {
    const float *weights;
    const float *loc;       /* ActNorm after the layer: y = exp(log_scale) (Wx + loc) */
    const float *bias;      /* or y = exp(3 log_scale) (Wx + bias) */
    const float *log_scale; /* NULL: dense layers have none */
    double log_factor;      /* of log_scale */
    uint32_t inputs, outputs, taps;
} layer_source;

static layer_source find_layer(const of_plan *plan, const of_model *model, uint32_t scale,
                               uint32_t step, int layer) {
    const of_step_parameters *p = &model->scales[scale].steps[step];
    const of_scale_plan *geometry = &plan->scales[scale];
    uint32_t hidden = model->architecture.hidden;
    bool dense = model->architecture.block == OF_BLOCK_DENSE;
    const int weights[] = {dense ? p->fc1_weight : p->conv1_weight,
                           dense ? p->fc2_weight : p->conv2_weight,
                           dense ? p->fc3_weight : p->conv3_weight};
    const int biases[] = {p->fc1_bias, p->fc2_bias, dense ? p->fc3_bias : p->conv3_bias};
    const int locs[] = {p->conv1_loc, p->conv2_loc, OF_NO_PARAMETER};
    const int log_scales[] = {p->conv1_log_scale, p->conv2_log_scale, p->conv3_log_scale};
    return (layer_source){
        .weights = of_model_values(model, weights[layer]),
        .loc = of_model_values(model, locs[layer]),
        .bias = of_model_values(model, biases[layer]),
        .log_scale = of_model_values(model, log_scales[layer]),
        .log_factor = layer == OF_LAYER_LAST ? 3.0 : 1.0,
        .inputs = layer == OF_LAYER_FIRST ? geometry->half : hidden,
        .outputs = layer == OF_LAYER_LAST ? geometry->outputs : hidden,
        .taps = dense || layer == OF_LAYER_MIDDLE ? 1 : 9,
    };
}

static void fold_row(const float *weights, size_t stride, size_t count, double factor,
                     float *folded) {
    for (size_t i = 0; i < count; i++)
        folded[i] = (float)(factor * (double)weights[i * stride]);
}

void of_fold_layer(const of_plan *plan, const of_model *model, uint32_t scale, uint32_t step,
                   int layer, of_folded_layer *folded) {
    const of_scale_plan *geometry = &plan->scales[scale];
    layer_source from = find_layer(plan, model, scale, step, layer);
    assert(from.weights != NULL);
    bool last = layer == OF_LAYER_LAST, as_taps = last && geometry->kernel == 3;
    size_t inputs = layer == OF_LAYER_FIRST ? geometry->half : plan->hidden;
    size_t outputs = last ? geometry->tap_stride : plan->hidden;
    memset(folded->weights, 0, inputs * outputs * (as_taps ? 1 : from.taps) * sizeof(float));
    memset(folded->bias, 0, (last ? geometry->outputs : outputs) * sizeof(float));
    for (uint32_t o = 0; o < from.outputs; o++) {
        uint32_t source = last ? of_coefficient_source(plan, geometry, o) : o;
        double factor = from.log_scale ? exp(from.log_factor * (double)from.log_scale[source]) : 1;
        double shift = from.loc    ? (double)from.loc[source]
                       : from.bias ? (double)from.bias[source]
                                   : 0;
        folded->bias[o] = (float)(factor * shift);
        const float *weights = from.weights + (size_t)source * from.inputs * from.taps;
        if (as_taps) /* output t*N + o of a 1x1 product */
            for (size_t t = 0; t < from.taps; t++)
                fold_row(weights + t, from.taps, from.inputs, factor,
                         folded->weights + (t * from.outputs + o) * inputs);
        else
            fold_row(weights, 1, (size_t)from.inputs * from.taps, factor,
                     folded->weights + o * inputs * from.taps);
    }
}

of_status of_fold_mixing(const of_model *model, uint32_t scale, uint32_t step, double *matrix,
                         double *bias, double *log_det, of_error *error) {
    const of_step_parameters *p = &model->scales[scale].steps[step];
    const float *loc = of_model_values(model, p->actnorm_loc);
    const float *log_scale = of_model_values(model, p->actnorm_log_scale);
    size_t n = of_mixing_width(model, scale);
    double log_abs_det = 0;
    of_status status = of_mixing_matrix(model, scale, step, matrix, &log_abs_det, error);
    if (status != OF_OK)
        return status;
    /* W diag(e^s) (x + loc) = A x + A loc */
    *log_det = log_abs_det;
    for (size_t c = 0; c < n; c++)
        *log_det += (double)log_scale[c];
    for (size_t r = 0; r < n; r++) {
        bias[r] = 0;
        for (size_t c = 0; c < n; c++) {
            matrix[r * n + c] *= exp((double)log_scale[c]);
            bias[r] += matrix[r * n + c] * (double)loc[c];
        }
    }
    return OF_OK;
}

/* Place of output r in a packed row: halves are padded apart. */
static size_t padded_place(const of_channel_map *map, uint32_t r) {
    uint32_t half = map->channels / 2;
    return r < half ? r : map->half_padded + (r - half);
}

of_status of_channel_map_allocate(of_arena *arena, uint32_t channels, of_channel_map *map,
                                  of_error *error) {
    if (map->matrix != NULL)
        return OF_OK;
    map->channels = channels;
    map->half_padded = (uint32_t)of_round_up(channels / 2, OF_MAP_PADDING);
    size_t row = (size_t)2 * map->half_padded;
    map->matrix = of_arena_take(arena, channels * row, sizeof(float));
    map->bias = of_arena_take(arena, row, sizeof(float));
    return map->matrix && map->bias ? OF_OK : of_fail_memory(error, "a channel map");
}

void of_fold_channel_map(const double *matrix, const double *bias, double factor, double offset,
                         bool transposed, of_channel_map *map) {
    size_t row = (size_t)2 * map->half_padded, n = map->channels;
    for (uint32_t r = 0; r < n; r++) {
        double shift = bias[r];
        for (uint32_t c = 0; c < n; c++) {
            double value = transposed ? matrix[c * n + r] : matrix[r * n + c];
            map->matrix[c * row + padded_place(map, r)] = (float)(value * factor);
            shift += value * offset;
        }
        map->bias[padded_place(map, r)] = (float)shift;
    }
}

void of_unfold_channel_map(const of_channel_map *map, double *matrix, double *bias) {
    size_t row = (size_t)2 * map->half_padded;
    for (uint32_t r = 0; r < map->channels; r++) {
        bias[r] = (double)map->bias[padded_place(map, r)];
        for (uint32_t c = 0; c < map->channels; c++)
            matrix[(size_t)r * map->channels + c] =
                (double)map->matrix[c * row + padded_place(map, r)];
    }
}

/* Latent element (channel-major) `index` -> position-major place; positions 1 for dense blocks. */
size_t of_latent_place(const of_scale_plan *scale, size_t index) {
    size_t channel = index / scale->positions, position = index % scale->positions;
    size_t rest = (size_t)scale->positions * scale->half;
    return channel < scale->half ? position * scale->half + channel
                                 : rest + position * scale->half + (channel - scale->half);
}

static bool take(of_arena *arena, size_t count, float **floats) {
    *floats = of_arena_take(arena, count, sizeof(float));
    return *floats != NULL;
}

of_status of_prior_allocate(of_plan *plan, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_arena *arena = &plan->arena;
    size_t latents = scale->shape.latents, classes = plan->architecture.classes;
    scale->class_constant = of_arena_take(arena, classes, sizeof(double));
    if (take(arena, latents, &scale->prior_scale) && take(arena, latents, &scale->prior_shift) &&
        take(arena, latents, &scale->inverse_scale) &&
        take(arena, latents, &scale->inverse_shift) &&
        take(arena, classes * latents, &scale->class_scale) &&
        take(arena, classes * latents, &scale->class_shift) && scale->class_constant)
        return OF_OK;
    return of_fail_memory(error, "a prior");
}

static void fold_class(of_plan *plan, const of_model *model, uint32_t s, size_t c) {
    of_scale_plan *scale = &plan->scales[s];
    const of_class_parameters *p = &model->classes[c * plan->scale_count + s];
    const float *loc = of_model_values(model, p->loc);
    const float *log_scale = of_model_values(model, p->log_scale);
    const float *mean = of_model_values(model, p->mean);
    const float *log_std = of_model_values(model, p->log_std);
    scale->class_constant[c] = 0;
    for (size_t i = 0; i < scale->shape.latents; i++) {
        /* (e^ls (z + loc) - mean) / std = a z + b */
        size_t place = c * scale->shape.latents + of_latent_place(scale, i);
        double ls = (double)log_scale[i], inverse_std = exp(-(double)log_std[i]);
        double shift = (exp(ls) * (double)loc[i] - (double)mean[i]) * inverse_std;
        scale->class_scale[place] = (float)(exp(ls) * inverse_std);
        scale->class_shift[place] = (float)shift;
        scale->class_constant[c] += ls - (double)log_std[i];
    }
}

void of_fold_prior(of_plan *plan, const of_model *model, uint32_t s) {
    of_scale_plan *scale = &plan->scales[s];
    const float *loc = of_model_values(model, model->scales[s].prior_loc);
    const float *log_scale = of_model_values(model, model->scales[s].prior_log_scale);
    for (size_t i = 0; i < scale->shape.latents; i++) {
        /* z = e^s (x + loc), x = e^-s z - loc */
        size_t place = of_latent_place(scale, i);
        double log_factor = (double)log_scale[i], factor = exp(log_factor);
        scale->prior_scale[place] = (float)factor;
        scale->prior_shift[place] = (float)(factor * (double)loc[i]);
        scale->inverse_scale[place] = (float)exp(-log_factor);
        scale->inverse_shift[place] = -loc[i];
        scale->constant += log_factor - 0.5 * LN_2PI;
    }
    for (size_t c = 0; c < plan->architecture.classes; c++)
        fold_class(plan, model, s, c);
}
