/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one thread for the backward pass; hidden activations are kept where that saves most. */
#include "graph/training.h"

#include <stdlib.h>

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t group_units(const of_plan *plan) {
    return (size_t)plan->group_images * plan->units;
}

typedef struct buffer_taker {
    of_arena *arena;
    bool failed;
} buffer_taker;

static void take(buffer_taker *from, size_t count, float **floats) {
    *floats = from->failed ? NULL : of_arena_take(from->arena, count, sizeof(float));
    if (*floats == NULL)
        from->failed = true;
}

static void take_states(const of_plan *plan, uint32_t s, buffer_taker *from,
                        of_backward_buffers *b) {
    size_t state = group_units(plan) * of_state_floats(&plan->scales[s]);
    size_t steps = plan->architecture.steps;
    take(from, state, &b->g_pass[s]);
    take(from, state, &b->g_rest[s]);
    take(from, state, &b->kept.squeezed_pass[s]);
    take(from, state, &b->kept.squeezed_rest[s]);
    take(from, steps * state, &b->kept.pass[s]);
    take(from, steps * state, &b->kept.rest[s]);
    take(from, steps * state, &b->kept.scale[s]);
    for (int layer = 0; layer < 2; layer++) {
        b->kept.hidden[layer][s] =
            from->failed ? NULL : of_arena_take(from->arena, steps, sizeof(float *));
        from->failed = from->failed || b->kept.hidden[layer][s] == NULL;
    }
}

/* ---- Hidden activations: kept where that saves most ---------------------------------------- */

/* Those of one layer of a scale's steps, and what computing one of them again costs. */
typedef struct kept_candidate {
    uint32_t scale;
    int layer;
    size_t floats; /* of a step */
    size_t cost;   /* multiplications a float */
} kept_candidate;

static int by_cost(const void *a, const void *b) {
    const kept_candidate *first = a, *second = b;
    return first->cost < second->cost ? 1 : first->cost > second->cost ? -1 : 0;
}

static size_t list_candidates(const of_plan *plan, kept_candidate *list) {
    size_t count = 0;
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        size_t floats = group_units(plan) * scale->positions * plan->hidden;
        size_t inputs = (size_t)(dense ? 1 : 9) * scale->half;
        list[count++] = (kept_candidate){s, OF_LAYER_FIRST, floats, inputs};
        list[count++] = (kept_candidate){s, OF_LAYER_MIDDLE, floats, plan->hidden};
    }
    qsort(list, count, sizeof *list, by_cost);
    return count;
}

/* Takes memory for hidden activations, dearest first, up to `bytes`; returns the share of all. */
static double take_hidden(const of_plan *plan, size_t bytes, buffer_taker *from,
                          of_backward_buffers *b) {
    kept_candidate list[2 * OF_MAX_SCALES];
    size_t count = list_candidates(plan, list), left = bytes, kept = 0, all = 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < plan->architecture.steps; k++) {
            size_t size = list[i].floats * sizeof(float);
            all += size;
            if (size > left || from->failed)
                continue;
            take(from, list[i].floats, &b->kept.hidden[list[i].layer][list[i].scale][k]);
            left -= size;
            kept += size;
        }
    return (double)kept / (double)all;
}

/* The squeezed state itself, for scale 0 from OF_PIXEL_F32: x = v/256 + 0.5/256 - 0.5. */
static of_status make_identity(const of_plan *plan, uint32_t s, of_arena *arena,
                               of_channel_map *map, of_error *error) {
    uint32_t n = plan->scales[s].channels;
    if (plan->architecture.block == OF_BLOCK_DENSE)
        return OF_OK;
    of_status status = of_channel_map_allocate(arena, n, map, error);
    if (status != OF_OK)
        return status;
    size_t row = (size_t)2 * map->half_padded;
    for (uint32_t c = 0; c < n; c++) {
        uint32_t to = c < n / 2 ? c : map->half_padded + c - n / 2;
        map->matrix[c * row + to] = s == 0 ? (float)(255.0 / 256) : 1.0F;
        map->bias[to] = s == 0 ? (float)(0.5 / 256 - 0.5) : 0.0F;
    }
    return OF_OK;
}

/* Sizes in floats that serve every scale. */
typedef struct buffer_sizes {
    size_t coefficients, taps, hidden, gathered, latents, sums, biases, weights[OF_LAYERS];
} buffer_sizes;

static void raise_to(size_t *value, size_t least) {
    *value = larger(*value, least);
}

static buffer_sizes measure(const of_training_plan *training) {
    const of_plan *plan = training->plan;
    buffer_sizes need = {.biases = plan->hidden};
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        const of_gradient_layout *layout = &training->layouts[s];
        size_t positions = (size_t)scale->chunk * scale->positions, hidden = plan->hidden;
        raise_to(&need.coefficients, positions * scale->outputs);
        raise_to(&need.taps, positions * larger(scale->tap_stride, scale->channels));
        raise_to(&need.hidden, positions * hidden);
        raise_to(&need.gathered, positions * larger(scale->gather_stride, scale->channels));
        raise_to(&need.latents, scale->shape.latents);
        raise_to(&need.sums, larger(layout->step_floats, layout->prior_floats));
        raise_to(&need.biases, scale->tap_stride);
        raise_to(&need.weights[OF_LAYER_FIRST], hidden * scale->gather_stride);
        raise_to(&need.weights[OF_LAYER_MIDDLE], hidden * hidden);
        raise_to(&need.weights[OF_LAYER_LAST], scale->tap_stride * hidden);
    }
    return need;
}

static bool take_sums(const of_plan *plan, of_backward_buffers *b) {
    size_t classes = plan->architecture.classes;
    b->logp_gradients = of_arena_take(&b->arena, plan->group_images, sizeof(double));
    b->class_gradients = of_arena_take(&b->arena, plan->group_images * classes, sizeof(double));
    b->group.class_gradients = of_arena_take(&b->arena, classes, sizeof(double));
    return b->logp_gradients && b->class_gradients && b->group.class_gradients;
}

of_status of_backward_buffers_allocate(of_training_plan *training, of_backward_buffers *b,
                                       of_error *error) {
    const of_plan *plan = training->plan;
    buffer_taker from = {&b->arena, false};
    buffer_sizes need = measure(training);
    b->layouts = training->layouts;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        take_states(plan, s, &from, b);
        of_status status = make_identity(plan, s, &b->arena, &b->kept.identity[s], error);
        if (status != OF_OK)
            return status;
    }
    take(&from, need.coefficients, &b->g_coefficients);
    take(&from, need.taps, &b->g_taps);
    take(&from, need.hidden, &b->g_hidden[0]);
    take(&from, need.hidden, &b->g_hidden[1]);
    take(&from, need.gathered, &b->gathered);
    take(&from, need.latents, &b->g_latents);
    take(&from, need.latents, &b->latents);
    take(&from, need.sums, &b->sums);
    for (int layer = 0; layer < OF_LAYERS; layer++)
        take(&from, need.weights[layer], &b->weights[layer]);
    take(&from, need.weights[OF_LAYER_FIRST], &b->folded.weights);
    take(&from, need.biases, &b->folded.bias);
    training->kept_share =
        take_hidden(plan, training->memory_bytes / training->buffer_count, &from, b);
    if (from.failed || !take_sums(plan, b))
        return of_fail_setting(error, OF_ERROR_MEMORY, "memory",
                               "out of memory while allocating activations; with a smaller budget "
                               "fewer are kept");
    return OF_OK;
}
