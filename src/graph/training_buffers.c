/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one thread for the backward pass; hidden activations are kept where that saves most. */
#include "core/memory.h"
#include "graph/training.h"

#include <stdlib.h>

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
    const of_architecture *a = &plan->architecture;
    size_t steps = (size_t)a->steps + (a->split_prior != OF_SPLIT_PRIOR_NONE);
    take(from, state, &b->g_pass[s]);
    take(from, state, &b->g_rest[s]);
    take(from, state, &b->kept.squeezed_pass[s]);
    take(from, state, &b->kept.squeezed_rest[s]);
    take(from, steps * state, &b->kept.pass[s]);
    take(from, steps * state, &b->kept.rest[s]);
    take(from, steps * state, &b->kept.scale[s]);
    take(from, a->scale_map == OF_SCALE_MAP_TANH ? steps * state : 0, &b->kept.tanh[s]);
    take(from, a->shift == OF_SHIFT_AFTER ? steps * state : 0, &b->kept.scaled[s]);
}

/* ---- Hidden activations: kept where that saves most ---------------------------------------- */

/* A layer's, and what computing one of them again costs. */
typedef struct kept_candidate {
    size_t op;
    size_t bytes;
    size_t cost; /* multiplications a number */
} kept_candidate;

static int by_cost(const void *a, const void *b) {
    const kept_candidate *first = a, *second = b;
    if (first->cost != second->cost)
        return first->cost < second->cost ? 1 : -1;
    return first->op > second->op ? 1 : -1;
}

static size_t list_candidates(const of_plan *plan, kept_candidate *list) {
    size_t count = 0;
    for (size_t i = 0; i < plan->op_count; i++) {
        const of_convolution_shape *shape = &plan->ops[i].shape;
        if (plan->ops[i].kind != OF_OP_CONVOLUTION || plan->ops[i].writes == OF_BUFFER_TAPS)
            continue;
        list[count++] = (kept_candidate){i,
                                         group_units(plan) * shape->height * shape->width *
                                             shape->outputs * of_precision_bytes(shape->target),
                                         (size_t)shape->kernel * shape->kernel * shape->inputs};
    }
    qsort(list, count, sizeof *list, by_cost);
    return count;
}

/* Takes memory for hidden activations, dearest first, up to `bytes`; returns the share of all. */
static double take_hidden(const of_plan *plan, size_t bytes, buffer_taker *from,
                          of_backward_buffers *b) {
    kept_candidate *list = of_allocate(plan->op_count, sizeof *list);
    b->kept.hidden = of_arena_take(from->arena, plan->op_count, sizeof *b->kept.hidden);
    from->failed = from->failed || list == NULL || b->kept.hidden == NULL;
    size_t count = from->failed ? 0 : list_candidates(plan, list), left = bytes, kept = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = list[i].bytes;
        all += size;
        if (size > left || from->failed)
            continue;
        b->kept.hidden[list[i].op] = of_arena_take(from->arena, size, 1);
        from->failed = b->kept.hidden[list[i].op] == NULL;
        left -= size;
        kept += size;
    }
    of_free(list);
    return (double)kept / (double)all;
}

/* The squeezed state itself, for scale 0 from OF_PIXEL_F32. */
static of_status make_identity(const of_plan *plan, uint32_t s, of_arena *arena,
                               of_channel_map *map, of_error *error) {
    uint32_t n = plan->scales[s].channels;
    if (plan->architecture.block == OF_BLOCK_DENSE)
        return OF_OK;
    of_status status = of_channel_map_allocate(arena, n, map, error);
    if (status != OF_OK)
        return status;
    size_t row = (size_t)2 * map->half_padded;
    const of_input_map *input = &plan->architecture.input;
    bool linear = s == 0 && of_scale_enter(&plan->scales[0])->table == NULL;
    for (uint32_t c = 0; c < n; c++) {
        uint32_t to = c < n / 2 ? c : map->half_padded + c - n / 2;
        map->matrix[c * row + to] = linear ? (float)(input->scale * of_input_levels(input)) : 1.0F;
        map->bias[to] = linear ? (float)input->shift : 0.0F;
    }
    return OF_OK;
}

/* Sizes in floats that serve every scale. */
typedef struct buffer_sizes {
    size_t coefficients, buffers[OF_BUFFERS], latents, sums, biases, weights[OF_LAYERS], folded;
    size_t product_bytes;
} buffer_sizes;

static buffer_sizes measure(const of_plan *plan) {
    buffer_sizes need = {.biases = 0};
    for (const of_op *op = plan->ops; op < plan->ops + plan->op_count; op++) {
        const of_scale_plan *scale = &plan->scales[op->scale];
        size_t positions = (size_t)scale->chunk * scale->positions;
        of_raise_to(&need.sums, op->sums.floats);
        of_raise_to(&need.latents, scale->shape.latents);
        of_raise_to(&need.coefficients, positions * op->outputs);
        if (op->kind == OF_OP_MAP) {
            of_raise_to(&need.buffers[OF_BUFFER_TAPS], positions * scale->channels);
            of_raise_to(&need.buffers[OF_BUFFER_STATE], positions * scale->channels);
        } else if (op->kind == OF_OP_CONVOLUTION) {
            size_t inputs = of_product_inputs(op), outputs = op->shape.outputs;
            of_raise_to(&need.buffers[op->writes], positions * outputs);
            of_raise_to(&need.buffers[op->reads], positions * inputs);
            if (of_goes_back_in_bf16(op))
                of_raise_to(&need.product_bytes, OF_PRODUCT_SCRATCH_BYTES(outputs));
            else
                of_raise_to(&need.weights[op->writes], inputs * outputs);
            of_raise_to(&need.biases, outputs);
            if (of_reads_state(op)) {
                of_raise_to(&need.folded, of_goes_back_in_bf16(op) ? 0 : inputs * outputs);
                of_raise_to(&need.coefficients, positions * op->shape.inputs);
                of_raise_to(&need.latents, op->shape.inputs);
            }
        }
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
    buffer_sizes need = measure(plan);
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        take_states(plan, s, &from, b);
        of_status status = make_identity(plan, s, &b->arena, &b->kept.identity[s], error);
        if (status != OF_OK)
            return status;
    }
    take(&from, need.coefficients, &b->g_coefficients);
    for (int i = 0; i < OF_BUFFERS; i++)
        take(&from, need.buffers[i], &b->g_buffer[i]);
    take(&from, need.latents, &b->g_latents);
    take(&from, need.latents, &b->latents);
    take(&from, need.sums, &b->sums);
    for (int layer = 0; layer < OF_LAYERS; layer++)
        take(&from, need.weights[layer], &b->weights[layer]);
    take(&from, need.folded, &b->folded.weights);
    take(&from, need.biases, &b->folded.bias);
    b->product_scratch = of_arena_take(&b->arena, need.product_bytes, 1);
    from.failed = from.failed || b->product_scratch == NULL;
    training->kept_share =
        take_hidden(plan, training->memory_bytes / training->buffer_count, &from, b);
    if (from.failed || !take_sums(plan, b))
        return of_fail_setting(error, OF_ERROR_MEMORY, "memory",
                               "out of memory while allocating activations; with a smaller budget "
                               "fewer are kept");
    return OF_OK;
}
