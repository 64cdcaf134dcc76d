/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for training: where gradients stand, and memory for them. */
#include "graph/training.h"

#include "core/memory.h"
#include "graph/lanes.h"

#include <string.h>

/* Kept hidden activations of a thread: K 8, hidden 128 keeps nine tenths of them in that. */
static const size_t KEPT_BYTES = (size_t)40 << 20;

static size_t place(size_t *next, size_t floats) {
    size_t here = *next;
    *next += of_round_up(floats, OF_ALIGNMENT / sizeof(float));
    return here;
}

/* What is added to comes first, then what products write. */
static void lay_out_map(of_op *op, size_t *next) {
    size_t n = op->map.channels;
    op->map.matrix_sums = place(next, n * n);
    op->map.bias_sums = place(next, n);
}

static void lay_out_layer(const of_plan *plan, of_op *op, size_t *next) {
    bool last = op->writes == OF_BUFFER_TAPS;
    size_t half = op->rectified ? plan->scales[op->scale].half : 0;
    op->bias_sums = place(next, last ? op->units : op->shape.outputs);
    op->edge_sums = place(next, op->packed.edge_bias != NULL ? (size_t)OF_EDGES * op->units : 0);
    op->input_scale_sums = place(next, half);
    op->input_shift_sums = place(next, half);
}

static void lay_out_step(const of_plan *plan, of_op *tail) {
    of_gradient_part *part = &tail->sums;
    lay_out_map(tail - tail->network - 1, &part->floats);
    for (of_op *op = tail - tail->network; op < tail; op++)
        lay_out_layer(plan, op, &part->floats);
    tail->gain_sums = place(&part->floats, tail->gain != NULL ? tail->outputs / 2 : 0);
    part->added = part->floats;
    for (of_op *op = tail - tail->network; op < tail; op++)
        op->weight_sums = place(&part->floats, op->shape.outputs * of_product_inputs(op));
}

static void lay_out_latents(const of_plan *plan, of_op *op) {
    size_t latents = plan->scales[op->scale].shape.latents, classes = plan->architecture.classes;
    size_t *next = &op->sums.floats;
    op->density.scale_sums = place(next, latents);
    op->density.shift_sums = place(next, latents);
    op->density.class_scale_sums = place(next, classes * latents);
    op->density.class_shift_sums = place(next, classes * latents);
    lay_out_map(op - 1, next);
    op->sums.added = *next;
}

/* Gradients of parameters from `*next` on. */
static void place_parameters(const of_model *model, const int *numbers, size_t count, size_t *next,
                             size_t *places) {
    for (size_t i = 0; i < count; i++)
        if (numbers[i] != OF_NO_PARAMETER &&
            model->parameters[numbers[i]].kind == OF_PARAMETER_TRAINED)
            places[numbers[i]] = place(next, model->parameters[numbers[i]].count);
}

static void place_list(const of_model *model, const of_parameter_list *list, size_t *next,
                       size_t *places) {
    place_parameters(model, list->numbers, list->count, next, places);
}

static size_t place_step(const of_model *model, const of_op *tail, size_t next, size_t *places) {
    const of_op *network = of_tail_network(tail);
    place_list(model, &network[-1].map.parameters, &next, places);
    for (const of_op *op = network; op <= tail; op++)
        place_list(model, &op->parameters, &next, places);
    return next;
}

static size_t place_latents(const of_model *model, const of_op *op, size_t next, size_t *places) {
    uint32_t scales = of_architecture_scale_count(&model->architecture);
    place_list(model, &op->parameters, &next, places);
    place_list(model, &op[-1].map.parameters, &next, places);
    for (uint32_t c = 0; c < model->architecture.classes; c++) {
        const of_class_parameters *p = &model->classes[c * scales + op->scale];
        const int numbers[] = {p->loc, p->log_scale, p->mean, p->log_std};
        place_parameters(model, numbers, sizeof numbers / sizeof *numbers, &next, places);
    }
    return next;
}

static of_status place_gradients(of_training_plan *training, const of_model *model,
                                 of_error *error) {
    of_plan *plan = training->plan;
    size_t *places = training->places =
        of_arena_take(&training->arena, model->parameter_count, sizeof *training->places);
    if (places == NULL)
        return of_fail_memory(error, "the places of gradients");
    for (size_t p = 0; p < model->parameter_count; p++)
        places[p] = OF_NO_PLACE;
    for (of_op *op = plan->ops; op < plan->ops + plan->op_count; op++) {
        size_t begin = training->block_floats, end = begin;
        if (op->kind == OF_OP_TAIL) {
            lay_out_step(plan, op);
            end = place_step(model, op, begin, places);
        } else if (op->kind == OF_OP_LATENTS) {
            lay_out_latents(plan, op);
            end = place_latents(model, op, begin, places);
        }
        op->sums.begin = begin;
        op->sums.room = of_larger(op->sums.floats, end - begin);
        training->block_floats = begin + op->sums.room;
    }
    return OF_OK;
}

static of_status allocate_training(of_training_plan *training, const of_model *model,
                                   const of_training_options *options, of_error *error) {
    /* what is computed again has the same bits, so the choice may depend on threads */
    if (training->memory_bytes == 0)
        training->memory_bytes = training->buffer_count * KEPT_BYTES;
    training->buffers = of_allocate_zeroed(training->buffer_count, sizeof *training->buffers);
    if (training->buffers == NULL)
        return of_fail_memory(error, "training buffers");
    of_status status = place_gradients(training, model, error);
    if (status == OF_OK)
        status = of_lanes_open(training, options, error);
    for (unsigned t = 0; status == OF_OK && t < training->buffer_count; t++)
        status = of_backward_buffers_allocate(training, &training->buffers[t], error);
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

static of_status compile_plan(of_training_plan *training, const of_model *model,
                              const of_training_options *options, of_error *error) {
    uint32_t units = of_architecture_units(&model->architecture);
    of_plan_options wish = of_plan_options_default();
    wish.threads = options->threads;
    wish.isa = options->isa;
    wish.precision = options->precision;
    wish.latency = false; /* bands may hold weights of their own, which would go stale */
    wish.micro_batch = options->micro_batch;
    if (wish.micro_batch == 0)
        wish.micro_batch = units < OF_TRAINING_GROUP ? OF_TRAINING_GROUP / units : 1;
    of_status status = of_plan_build(model, &wish, true, &training->plan, error);
    if (status == OF_OK)
        status = of_session_create(training->plan, 0, &training->session, error);
    if (status != OF_OK)
        return status;
    size_t groups = most_groups(options, wish.micro_batch);
    unsigned threads = training->plan->threads;
    training->buffer_count = groups < threads ? (unsigned)groups : threads;
    return OF_OK;
}

of_status of_training_compile(const of_model *model, const of_training_options *options,
                              of_training_plan **result, of_error *error) {
    if (model == NULL || options == NULL || result == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "training needs a model and options");
    if (options->lanes < 1 || options->lanes > OF_MOST_LANES)
        return of_fail(error, OF_ERROR_ARGUMENT, "lanes: %u is not from 1 to %d", options->lanes,
                       OF_MOST_LANES);
    of_training_plan *training = of_allocate_zeroed(1, sizeof *training);
    if (training == NULL)
        return of_fail_memory(error, "a plan for training");
    training->lanes = options->lanes;
    training->first_lane = options->first_lane;
    training->all_lanes = options->all_lanes > 0 ? options->all_lanes : options->lanes;
    training->rounds = options->sum_precision == OF_PRECISION_BF16;
    training->memory_bytes = options->memory_bytes;
    of_status status = compile_plan(training, model, options, error);
    if (status == OF_OK)
        status = allocate_training(training, model, options, error);
    if (status != OF_OK) {
        of_training_free(training);
        return status;
    }
    *result = training;
    return OF_OK;
}

void of_training_free(of_training_plan *training) {
    if (training == NULL)
        return;
    for (unsigned t = 0; training->buffers != NULL && t < training->buffer_count; t++)
        of_arena_release(&training->buffers[t].arena);
    of_free(training->buffers);
    of_arena_release(&training->arena);
    of_session_free(training->session);
    of_plan_free(training->plan);
    of_free(training);
}

of_session *of_training_session(const of_training_plan *training) {
    return training->session;
}

of_status of_training_refresh(of_training_plan *training, const of_model *model, of_error *error) {
    of_plan *plan = training->plan;
    of_status status = OF_OK;
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count; s++)
        status = of_pack_scale(plan, model, s, plan->threads, error);
    return status;
}

/* Scales lie in a block one after the other. */
size_t of_training_scale_part(const of_training_plan *training, uint32_t s, size_t *begin) {
    const of_scale_plan *scale = &training->plan->scales[s];
    const of_gradient_part *last = &of_scale_latents(scale)->sums;
    *begin = of_scale_enter(scale)->sums.begin;
    return last->begin + last->room - *begin;
}

of_training_memory of_training_memory_use(const of_training_plan *training) {
    of_training_memory memory = {.weights = training->plan->arena.bytes,
                                 .gradients = training->arena.bytes,
                                 .activations = of_session_bytes(training->session),
                                 .kept_share = training->kept_share};
    for (unsigned t = 0; t < training->buffer_count; t++)
        memory.activations += training->buffers[t].arena.bytes;
    return memory;
}
