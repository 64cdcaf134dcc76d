/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for training: memory of lanes and of the backward pass. */
#include "graph/training.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

/* Kept hidden activations of a thread: K 8, hidden 128 keeps three quarters of them in that. */
static const size_t KEPT_BYTES = (size_t)32 << 20;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t place(size_t *next, size_t floats) {
    size_t here = *next;
    *next += of_round_up(floats, OF_ALIGNMENT / sizeof(float));
    return here;
}

static void lay_out_step(const of_plan *plan, const of_scale_plan *scale,
                         of_gradient_layout *layout) {
    size_t n = scale->channels, hidden = plan->hidden;
    size_t *next = &layout->step_floats;
    layout->matrix = place(next, n * n);
    layout->bias = place(next, n);
    layout->layer_bias[OF_LAYER_FIRST] = place(next, hidden);
    layout->layer_bias[OF_LAYER_MIDDLE] = place(next, hidden);
    layout->layer_bias[OF_LAYER_LAST] = place(next, scale->outputs);
    layout->weights[OF_LAYER_FIRST] = place(next, hidden * scale->gather_stride);
    layout->weights[OF_LAYER_MIDDLE] = place(next, hidden * hidden);
    layout->weights[OF_LAYER_LAST] = place(next, scale->tap_stride * hidden);
}

static void lay_out_priors(const of_plan *plan, const of_scale_plan *scale,
                           of_gradient_layout *layout) {
    size_t latents = scale->shape.latents, classes = plan->architecture.classes;
    size_t *next = &layout->prior_floats;
    layout->prior_scale = place(next, latents);
    layout->prior_shift = place(next, latents);
    layout->class_scale = place(next, classes * latents);
    layout->class_shift = place(next, classes * latents);
}

/* Gradients of parameters from `*next` on; NULL `places` only counts them. */
static void place_parameters(const of_model *model, const int *numbers, size_t count, size_t *next,
                             size_t *places) {
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == OF_NO_PARAMETER ||
            model->parameters[numbers[i]].kind != OF_PARAMETER_TRAINED)
            continue;
        size_t here = place(next, model->parameters[numbers[i]].count);
        if (places != NULL)
            places[numbers[i]] = here;
    }
}

/* Places for a step's parameters from `start` on; returns the floats they take. */
static size_t place_step(const of_model *model, uint32_t s, uint32_t k, size_t start,
                         size_t *places) {
    const of_step_parameters *p = &model->scales[s].steps[k];
    const int numbers[] = {p->actnorm_loc,     p->actnorm_log_scale,
                           p->lower,           p->log_diag,
                           p->upper,           p->weight,
                           p->conv1_weight,    p->conv1_loc,
                           p->conv1_log_scale, p->conv2_weight,
                           p->conv2_loc,       p->conv2_log_scale,
                           p->conv3_weight,    p->conv3_bias,
                           p->conv3_log_scale, p->fc1_weight,
                           p->fc1_bias,        p->fc2_weight,
                           p->fc2_bias,        p->fc3_weight,
                           p->fc3_bias};
    size_t next = start;
    place_parameters(model, numbers, sizeof numbers / sizeof *numbers, &next, places);
    return next - start;
}

static size_t place_priors(const of_model *model, uint32_t s, size_t start, size_t *places) {
    const of_scale_parameters *scale = &model->scales[s];
    uint32_t scales = of_architecture_scale_count(&model->architecture);
    size_t next = start;
    const int prior[] = {scale->prior_loc, scale->prior_log_scale};
    place_parameters(model, prior, 2, &next, places);
    for (uint32_t c = 0; c < model->architecture.classes; c++) {
        const of_class_parameters *p = &model->classes[c * scales + s];
        const int numbers[] = {p->loc, p->log_scale, p->mean, p->log_std};
        place_parameters(model, numbers, 4, &next, places);
    }
    return next - start;
}

static void lay_out_block(const of_plan *plan, const of_model *model, of_training *training) {
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        of_gradient_layout *layout = &training->layouts[s];
        lay_out_step(plan, &plan->scales[s], layout);
        lay_out_priors(plan, &plan->scales[s], layout);
        layout->step_room = larger(layout->step_floats, place_step(model, s, 0, 0, NULL));
        layout->prior_room = larger(layout->prior_floats, place_priors(model, s, 0, NULL));
        layout->steps =
            place(&training->block_floats, plan->architecture.steps * layout->step_room);
        layout->priors = place(&training->block_floats, layout->prior_room);
    }
}

static of_status place_gradients(const of_plan *plan, const of_model *model, of_error *error) {
    of_training *training = plan->training;
    lay_out_block(plan, model, training);
    training->places =
        of_arena_take(&training->arena, model->parameter_count, sizeof *training->places);
    if (training->places == NULL)
        return of_fail_memory(error, "the places of gradients");
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_gradient_layout *layout = &training->layouts[s];
        for (uint32_t k = 0; k < plan->architecture.steps; k++)
            (void)place_step(model, s, k, layout->steps + k * layout->step_room, training->places);
        (void)place_priors(model, s, layout->priors, training->places);
    }
    return OF_OK;
}

static of_status allocate_lanes(of_plan *plan, of_error *error) {
    of_training *training = plan->training;
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

typedef struct taker {
    of_arena *arena;
    bool failed;
} taker;

static void take(taker *from, size_t count, float **floats) {
    *floats = from->failed ? NULL : of_arena_take(from->arena, count, sizeof(float));
    if (*floats == NULL)
        from->failed = true;
}

static void take_states(const of_plan *plan, uint32_t s, taker *from, of_backward_buffers *b) {
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
typedef struct candidate {
    uint32_t scale;
    int layer;
    size_t floats; /* of a step */
    size_t cost;   /* multiplications a float */
} candidate;

static int by_cost(const void *a, const void *b) {
    const candidate *first = a, *second = b;
    return first->cost < second->cost ? 1 : first->cost > second->cost ? -1 : 0;
}

static size_t list_candidates(const of_plan *plan, candidate *list) {
    size_t count = 0;
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        size_t floats = group_units(plan) * scale->positions * plan->hidden;
        size_t inputs = (size_t)(dense ? 1 : 9) * scale->half;
        list[count++] = (candidate){s, OF_LAYER_FIRST, floats, inputs};
        list[count++] = (candidate){s, OF_LAYER_MIDDLE, floats, plan->hidden};
    }
    qsort(list, count, sizeof *list, by_cost);
    return count;
}

/* Takes memory for hidden activations, dearest first, up to `bytes`; returns the share of all. */
static double take_hidden(const of_plan *plan, size_t bytes, taker *from, of_backward_buffers *b) {
    candidate list[2 * OF_MAX_SCALES];
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

/* Sizes in floats that serve every scale. */
typedef struct sizes {
    size_t coefficients, taps, hidden, gathered, latents, sums, biases, weights[OF_LAYER_MIX];
} sizes;

static void raise_to(size_t *value, size_t least) {
    *value = larger(*value, least);
}

static sizes measure(const of_plan *plan) {
    sizes need = {.biases = plan->hidden};
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        const of_gradient_layout *layout = &plan->training->layouts[s];
        size_t positions = (size_t)scale->chunk * scale->positions, hidden = plan->hidden;
        raise_to(&need.coefficients, positions * scale->outputs);
        raise_to(&need.taps, positions * larger(scale->tap_stride, scale->channels));
        raise_to(&need.hidden, positions * hidden);
        raise_to(&need.gathered, positions * larger(scale->gather_stride, scale->channels));
        raise_to(&need.latents, scale->shape.latents);
        raise_to(&need.sums, larger(layout->step_floats, layout->prior_floats));
        raise_to(&need.biases, scale->outputs);
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

static of_status allocate_buffers(of_plan *plan, of_backward_buffers *b, of_error *error) {
    taker from = {&b->arena, false};
    of_training *training = plan->training;
    sizes need = measure(plan);
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
    for (int layer = 0; layer < OF_LAYER_MIX; layer++)
        take(&from, need.weights[layer], &b->weights[layer]);
    take(&from, need.weights[OF_LAYER_FIRST], &b->folded.weights);
    take(&from, need.biases, &b->folded.bias);
    training->kept_share =
        take_hidden(plan, training->memory_bytes / training->buffer_count, &from, b);
    if (from.failed || !take_sums(plan, b))
        return of_fail_memory(error, "activations; a smaller --memory keeps fewer");
    return OF_OK;
}

static of_status allocate_training(of_plan *plan, const of_model *model, of_error *error) {
    of_training *training = plan->training;
    /* what is computed again has the same bits, so the choice may depend on threads */
    if (training->memory_bytes == 0)
        training->memory_bytes = training->buffer_count * KEPT_BYTES;
    training->buffers = of_allocate_zeroed(training->buffer_count, sizeof *training->buffers);
    if (training->buffers == NULL)
        return of_fail_memory(error, "training buffers");
    of_status status = place_gradients(plan, model, error);
    if (status == OF_OK)
        status = allocate_lanes(plan, error);
    for (unsigned t = 0; status == OF_OK && t < training->buffer_count; t++)
        status = allocate_buffers(plan, &training->buffers[t], error);
    return status;
}

/* Groups of a call, as many threads can work. */
static size_t most_groups(const of_training_options *options, unsigned group) {
    size_t lanes = options->lanes;
    if (options->batch == 0)
        return SIZE_MAX;
    if (options->batch < lanes)
        return options->batch;
    return lanes * ((options->batch / lanes + group - 1) / group);
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
    training->memory_bytes = options->memory_bytes;
    uint32_t units = of_architecture_units(&model->architecture);
    unsigned group = options->micro_batch;
    if (group == 0)
        group = units < OF_TRAINING_GROUP ? OF_TRAINING_GROUP / units : 1;
    const of_plan_options plan_options = {
        .threads = options->threads, .isa = options->isa, .micro_batch = group};
    of_plan *plan = NULL;
    of_status status = of_plan_build(model, &plan_options, training, &plan, error);
    if (status == OF_OK) {
        size_t groups = most_groups(options, group);
        training->buffer_count = groups < plan->threads ? (unsigned)groups : plan->threads;
        status = allocate_training(plan, model, error);
    }
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
    memory.kept_share = training->kept_share;
    for (unsigned t = 0; t < training->buffer_count; t++)
        memory.activations += training->buffers[t].arena.bytes;
    return memory;
}
