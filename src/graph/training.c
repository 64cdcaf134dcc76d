/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for training: memory of lanes and of the backward pass. */
#include "graph/training.h"

#include "core/memory.h"

#include <string.h>

static size_t place(size_t *next, size_t floats) {
    size_t here = *next;
    *next += of_round_up(floats, OF_ALIGNMENT / sizeof(float));
    return here;
}

static void lay_out_scale(const of_plan *plan, const of_scale_plan *scale,
                          of_gradient_layout *layout, size_t *next) {
    size_t n = scale->channels, hidden = plan->hidden, start = *next;
    layout->matrix = place(next, n * n);
    layout->bias = place(next, n);
    layout->weights[OF_LAYER_FIRST] = place(next, hidden * scale->gather_stride);
    layout->weights[OF_LAYER_MIDDLE] = place(next, hidden * hidden);
    layout->weights[OF_LAYER_LAST] = place(next, scale->tap_stride * hidden);
    layout->layer_bias[OF_LAYER_FIRST] = place(next, hidden);
    layout->layer_bias[OF_LAYER_MIDDLE] = place(next, hidden);
    layout->layer_bias[OF_LAYER_LAST] = place(next, scale->outputs);
    layout->step_floats = *next - start;
    *next = start + plan->architecture.steps * layout->step_floats;
    size_t latents = scale->shape.latents, classes = plan->architecture.classes;
    layout->prior_scale = place(next, latents);
    layout->prior_shift = place(next, latents);
    layout->class_scale = place(next, classes * latents);
    layout->class_shift = place(next, classes * latents);
}

static of_status allocate_lanes(of_plan *plan, of_error *error) {
    of_training *training = plan->training;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        lay_out_scale(plan, &plan->scales[s], &training->layouts[s], &training->block_floats);
    for (unsigned l = 0; l < training->lanes; l++) {
        of_lane *lane = &training->lane[l];
        lane->block = of_arena_take(&training->arena, training->block_floats, sizeof(float));
        lane->class_gradients =
            of_arena_take(&training->arena, plan->architecture.classes, sizeof(double));
        if (lane->block == NULL || lane->class_gradients == NULL)
            return of_fail_memory(error, "gradients; fewer lanes need less");
    }
    return OF_OK;
}

static size_t group_units(const of_plan *plan) {
    return (size_t)plan->group_images * plan->units;
}

/* Hidden activations of a group, kept for the backward pass, in bytes. */
static size_t hidden_bytes(const of_plan *plan) {
    size_t positions = 0;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        positions += plan->scales[s].positions;
    return 2 * positions * plan->hidden * plan->architecture.steps * group_units(plan) *
           sizeof(float);
}

typedef struct taker {
    of_arena *arena;
    bool failed;
} taker;

static void take(taker *from, size_t count, float **floats) {
    *floats = from->failed ? NULL : of_arena_take(from->arena, count, sizeof(float));
    if (*floats == NULL)
        from->failed = true;
}

static void take_scale(const of_plan *plan, uint32_t s, bool recompute, taker *from,
                       of_backward_buffers *b) {
    const of_scale_plan *scale = &plan->scales[s];
    size_t units = group_units(plan), state = units * of_state_floats(scale);
    size_t steps = plan->architecture.steps;
    take(from, state, &b->g_pass[s]);
    take(from, state, &b->g_rest[s]);
    take(from, state, &b->kept.squeezed_pass[s]);
    take(from, state, &b->kept.squeezed_rest[s]);
    take(from, steps * state, &b->kept.pass[s]);
    take(from, steps * state, &b->kept.rest[s]);
    take(from, steps * state, &b->kept.scale[s]);
    for (int layer = 0; layer < 2 && !recompute; layer++)
        take(from, steps * units * scale->positions * plan->hidden, &b->kept.hidden[layer][s]);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The squeezed state itself, for scale 0 from OF_PIXEL_F32: x = v/256 + 0.5/256 - 0.5. */
static of_status make_identity(of_plan *plan, uint32_t s, of_arena *arena, of_channel_map *map,
                               of_error *error) {
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

static of_status allocate_buffers(of_plan *plan, of_backward_buffers *b, of_error *error) {
    taker from = {&b->arena, false};
    size_t coefficients = 0, taps = 0, hidden = 0, gathered = 0, latents = 0;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        size_t positions = (size_t)scale->chunk * scale->positions;
        take_scale(plan, s, plan->training->recompute, &from, b);
        coefficients = larger(coefficients, positions * scale->outputs);
        taps = larger(taps, positions * larger(scale->tap_stride, scale->channels));
        hidden = larger(hidden, positions * plan->hidden);
        gathered = larger(gathered, positions * larger(scale->gather_stride, scale->channels));
        latents = larger(latents, scale->shape.latents);
        of_status status = make_identity(plan, s, &b->arena, &b->kept.identity[s], error);
        if (status != OF_OK)
            return status;
    }
    take(&from, coefficients, &b->g_coefficients);
    take(&from, taps, &b->g_taps);
    take(&from, hidden, &b->g_hidden[0]);
    take(&from, hidden, &b->g_hidden[1]);
    take(&from, gathered, &b->gathered);
    take(&from, latents, &b->g_latents);
    take(&from, latents, &b->latents);
    size_t classes = plan->architecture.classes;
    b->logp_gradients = of_arena_take(&b->arena, plan->group_images, sizeof(double));
    b->class_gradients = of_arena_take(&b->arena, plan->group_images * classes, sizeof(double));
    if (from.failed || b->logp_gradients == NULL || b->class_gradients == NULL)
        return of_fail_memory(error, "activations; a smaller --memory keeps fewer");
    return OF_OK;
}

static of_status allocate_training(of_plan *plan, of_error *error) {
    of_training *training = plan->training;
    training->buffer_count = plan->threads < training->lanes ? plan->threads : training->lanes;
    /* what is computed again has the same bits, so the choice may depend on threads */
    training->recompute = hidden_bytes(plan) * training->buffer_count > training->memory_bytes;
    training->buffers = of_allocate_zeroed(training->buffer_count, sizeof *training->buffers);
    if (training->buffers == NULL)
        return of_fail_memory(error, "training buffers");
    of_status status = allocate_lanes(plan, error);
    for (unsigned t = 0; status == OF_OK && t < training->buffer_count; t++)
        status = allocate_buffers(plan, &training->buffers[t], error);
    return status;
}

of_status of_plan_compile_training(const of_model *model, const of_training_options *options,
                                   of_plan **result, of_error *error) {
    if (model == NULL || options == NULL || result == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "training needs a model and options");
    if (options->lanes < 1 || options->lanes > OF_MOST_LANES)
        return of_fail(error, OF_ERROR_ARGUMENT, "lanes: %u is not from 1 to %d", options->lanes,
                       OF_MOST_LANES);
    of_training *training = of_allocate_zeroed(1, sizeof *training);
    if (training == NULL)
        return of_fail_memory(error, "a plan for training");
    training->lanes = options->lanes;
    training->memory_bytes = options->memory_bytes > 0 ? options->memory_bytes : (size_t)128 << 20;
    uint32_t units = of_architecture_units(&model->architecture);
    const of_plan_options plan_options = {
        .threads = options->threads,
        .isa = options->isa,
        .micro_batch = units < OF_TRAINING_GROUP ? OF_TRAINING_GROUP / units : 1};
    of_plan *plan = NULL;
    of_status status = of_plan_build(model, &plan_options, training, &plan, error);
    if (status == OF_OK)
        status = allocate_training(plan, error);
    if (status != OF_OK) {
        of_plan_free(plan);
        return status;
    }
    /* latency mode would hold weights of its own that go stale */
    plan->has_latency = true;
    plan->latency_is_uniform = false;
    *result = plan;
    return OF_OK;
}

void of_training_free(of_training *training) {
    if (training == NULL)
        return;
    for (unsigned t = 0; training->buffers != NULL && t < training->buffer_count; t++)
        of_arena_release(&training->buffers[t].arena);
    of_free(training->buffers);
    of_arena_release(&training->arena);
    of_free(training);
}

of_training_memory of_plan_training_memory(const of_plan *plan) {
    const of_training *training = plan->training;
    of_training_memory memory = {.weights = plan->arena.bytes,
                                 .activations = of_workspace_bytes(plan)};
    if (training == NULL)
        return memory;
    memory.gradients = training->arena.bytes;
    memory.recompute = training->recompute;
    for (unsigned t = 0; t < training->buffer_count; t++)
        memory.activations += training->buffers[t].arena.bytes;
    return memory;
}
