/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters into a plan's memory: allocated once, filled at compile time and again after every
 * optimizer step. */
#include "core/memory.h"
#include "graph/plan.h"

#include <omp.h>
#include <string.h>

static bool is_dense(const of_plan *plan) {
    return plan->architecture.block == OF_BLOCK_DENSE;
}

/* ---- Memory ------------------------------------------------------------------------------ */

static of_status allocate_layer(of_plan *plan, const of_convolution *layer, size_t bias_count,
                                of_packed_layer *packed, of_error *error) {
    packed->weights = of_arena_take(&plan->arena, of_convolution_weight_bytes(layer), 1);
    packed->bias = of_arena_take(&plan->arena, bias_count, sizeof(float));
    if (packed->weights == NULL || packed->bias == NULL)
        return of_fail_memory(error, "packed weights");
    return OF_OK;
}

static of_status allocate_network(of_plan *plan, of_scale_plan *scale, of_step_plan *step,
                                  of_error *error) {
    of_status status = OF_OK;
    for (int layer = 0; status == OF_OK && layer < OF_LAYERS; layer++) {
        if (scale->layers[layer] == NULL)
            continue;
        size_t bias_count = of_convolution_shape_of(scale->layers[layer])->outputs;
        status =
            allocate_layer(plan, scale->layers[layer], bias_count, &step->layers[layer], error);
    }
    if (status == OF_OK && scale->backward_mix != NULL)
        status = allocate_layer(plan, scale->backward_mix, 0, &step->backward_mix, error);
    /* the coupling kernel adds the last layer's bias */
    step->coefficient_bias = step->layers[OF_LAYER_LAST].bias;
    step->layers[OF_LAYER_LAST].bias = NULL;
    return status;
}

static of_status allocate_maps(of_plan *plan, of_scale_plan *scale, of_step_plan *step,
                               of_error *error) {
    of_arena *arena = &plan->arena;
    of_status status = of_channel_map_allocate(arena, scale->channels, &step->map, error);
    if (status == OF_OK && plan->for_training)
        status = of_channel_map_allocate(arena, scale->channels, &step->transposed_map, error);
    return status;
}

of_status of_pack_allocate(of_plan *plan, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_arena *arena = &plan->arena;
    of_status status = of_prior_allocate(plan, s, error);
    if (status == OF_OK && s == 0 && !is_dense(plan))
        status = of_channel_map_allocate(arena, scale->channels, &scale->entry_u8, error);
    if (status == OF_OK && s == 0 && !is_dense(plan))
        status = of_channel_map_allocate(arena, scale->channels, &scale->entry_f32, error);
    for (uint32_t k = 0; status == OF_OK && k < plan->architecture.steps; k++) {
        status = allocate_network(plan, scale, &scale->steps[k], error);
        if (status == OF_OK && !is_dense(plan))
            status = allocate_maps(plan, scale, &scale->steps[k], error);
    }
    return status;
}

/* ---- Values ------------------------------------------------------------------------------ */

/* Plain arrays for one thread. */
typedef struct buffers {
    of_folded_layer folded;
    double *matrix, *bias; /* [channels][channels], [channels] */
} buffers;

static void free_buffers(buffers *b) {
    of_free(b->folded.weights);
    of_free(b->folded.bias);
    of_free(b->matrix);
    of_free(b->bias);
}

static size_t weight_count(const of_convolution *layer) {
    const of_convolution_shape *shape = of_convolution_shape_of(layer);
    return (size_t)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
}

static of_status make_buffers(const of_scale_plan *scale, buffers *b, of_error *error) {
    size_t weights = 0, outputs = scale->outputs, n = scale->channels;
    for (int layer = 0; layer < OF_LAYERS; layer++) {
        const of_convolution *forward = scale->layers[layer];
        if (forward == NULL)
            continue;
        weights = weight_count(forward) > weights ? weight_count(forward) : weights;
        if (of_convolution_shape_of(forward)->outputs > outputs)
            outputs = of_convolution_shape_of(forward)->outputs;
    }
    b->folded.weights = of_allocate(weights, sizeof(float));
    b->folded.bias = of_allocate(outputs, sizeof(float));
    b->matrix = of_allocate(n * n, sizeof(double));
    b->bias = of_allocate(n, sizeof(double));
    if (b->folded.weights && b->folded.bias && b->matrix && b->bias)
        return OF_OK;
    return of_fail_memory(error, "folded weights");
}

/* y = A x, and for training the way of gradients, g_x = A^T g_y. */
static of_status pack_dense_map(const of_scale_plan *scale, of_step_plan *step, buffers *b,
                                of_error *error) {
    size_t n = scale->channels;
    for (size_t i = 0; i < n * n; i++)
        b->folded.weights[i] = (float)b->matrix[i];
    of_status status = of_convolution_pack(scale->layers[OF_LAYER_MIX], b->folded.weights,
                                           step->layers[OF_LAYER_MIX].weights, error);
    if (status != OF_OK || scale->backward_mix == NULL)
        return status;
    for (size_t row = 0; row < n; row++)
        for (size_t column = 0; column < n; column++)
            b->folded.weights[column * n + row] = (float)b->matrix[row * n + column];
    return of_convolution_pack(scale->backward_mix, b->folded.weights, step->backward_mix.weights,
                               error);
}

static of_status pack_network(const of_plan *plan, const of_model *model, uint32_t s, uint32_t k,
                              buffers *b, of_error *error) {
    const of_scale_plan *scale = &plan->scales[s];
    of_step_plan *step = &scale->steps[k];
    of_status status = OF_OK;
    for (int layer = OF_LAYER_FIRST; status == OF_OK && layer <= OF_LAYER_LAST; layer++) {
        bool last = layer == OF_LAYER_LAST;
        size_t count = last ? scale->outputs : plan->hidden;
        of_fold_layer(plan, model, s, k, layer, &b->folded);
        memcpy(last ? step->coefficient_bias : step->layers[layer].bias, b->folded.bias,
               count * sizeof(float));
        status = of_convolution_pack(scale->layers[layer], b->folded.weights,
                                     step->layers[layer].weights, error);
    }
    return status;
}

static of_status pack_map(of_plan *plan, uint32_t s, uint32_t k, buffers *b, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_step_plan *step = &scale->steps[k];
    size_t n = scale->channels;
    if (is_dense(plan)) {
        for (size_t i = 0; i < n; i++)
            step->layers[OF_LAYER_MIX].bias[i] = (float)b->bias[i];
        return pack_dense_map(scale, step, b, error);
    }
    of_fold_channel_map(b->matrix, b->bias, 1, 0, false, &step->map);
    if (plan->for_training)
        of_fold_channel_map(b->matrix, b->bias, 1, 0, true, &step->transposed_map);
    if (s == 0 && k == 0) {
        /* x = v/256 + 0.5/256 - 0.5 for bytes v, and floats hold v/255 */
        const double centre = 0.5 / 256 - 0.5;
        of_fold_channel_map(b->matrix, b->bias, 1.0 / 256, centre, false, &scale->entry_u8);
        of_fold_channel_map(b->matrix, b->bias, 255.0 / 256, centre, false, &scale->entry_f32);
    }
    return OF_OK;
}

static of_status pack_step(of_plan *plan, const of_model *model, uint32_t s, uint32_t k, buffers *b,
                           of_error *error) {
    of_error reason = {0};
    double *log_det = &plan->scales[s].steps[k].log_det;
    of_status status = of_fold_mixing(model, s, k, b->matrix, b->bias, log_det, &reason);
    if (status != OF_OK)
        return of_fail(error, status, "scales.%u.steps.%u: %s", (unsigned)s, (unsigned)k,
                       reason.message);
    status = pack_map(plan, s, k, b, error);
    return status == OF_OK ? pack_network(plan, model, s, k, b, error) : status;
}

of_status of_pack_step(of_plan *plan, const of_model *model, uint32_t s, uint32_t k,
                       of_error *error) {
    buffers own = {{0}, NULL, NULL};
    of_status status = make_buffers(&plan->scales[s], &own, error);
    if (status == OF_OK)
        status = pack_step(plan, model, s, k, &own, error);
    free_buffers(&own);
    return status;
}

of_status of_pack_scale(of_plan *plan, const of_model *model, uint32_t s, unsigned threads,
                        of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_error first_error = {0};
    omp_lock_t lock; /* a critical section would leave a symbol in the library */
    omp_init_lock(&lock);
#pragma omp parallel num_threads(threads)
    {
        buffers own = {{0}, NULL, NULL};
        of_error mine = {0};
        of_status status = make_buffers(scale, &own, &mine);
#pragma omp for schedule(dynamic, 1)
        for (uint32_t k = 0; k < plan->architecture.steps; k++)
            if (status == OF_OK)
                status = pack_step(plan, model, s, k, &own, &mine);
        free_buffers(&own);
        if (status != OF_OK) {
            omp_set_lock(&lock);
            first_error = mine;
            omp_unset_lock(&lock);
        }
    }
    omp_destroy_lock(&lock);
    if (first_error.status != OF_OK)
        return of_error_copy(error, &first_error);
    scale->constant = 0;
    for (uint32_t k = 0; k < plan->architecture.steps; k++)
        scale->constant += scale->steps[k].log_det * scale->positions;
    of_fold_prior(plan, model, s);
    return OF_OK;
}
