/* SPDX-License-Identifier: Apache-2.0 */
/* Data-dependent initialisation (Salimans and Kingma 2016, arXiv 1602.07868; Glow, section 3.1):
 * layer after layer, all images pass what has been set so far, and the next ActNorm is set so that
 * its output has mean 0 and variance 1. */
#include "core/memory.h"
#include "graph/training.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A variance below that of a byte's rounding noise, (1/256)^2/12, carries no information. */
static const double LEAST_VARIANCE = 1e-6;

typedef struct setup {
    of_training_plan *training;
    of_plan *plan;
    of_model *model;
    uint32_t units;
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES]; /* of all units */
    double *contributions;                            /* nobody wants them */
    of_arena arena;
    of_convolution *linear[2]; /* hidden layers of the current scale without ReLU */
    void *packed[2], *scratch[2];
    of_folded_layer folded[2];
} setup;

/* Sums over positions and units of one layer's outputs. */
typedef struct moments {
    size_t channels;
    double count;
    double *sum, *square;
} moments;

static void set_actnorm(float *loc, float *log_scale, size_t i, double count, double sum,
                        double square) {
    double mean = sum / count, variance = square / count - mean * mean;
    if (!(variance > LEAST_VARIANCE))
        variance = LEAST_VARIANCE;
    loc[i] = (float)-mean;
    log_scale[i] = (float)(-0.5 * log(variance));
}

/* The first worker, which sees the states of all units. */
static of_worker view_of(const setup *work) {
    of_worker worker = work->training->session->workers[0];
    memcpy(worker.pass, work->pass, sizeof worker.pass);
    memcpy(worker.rest, work->rest, sizeof worker.rest);
    return worker;
}

/* Takes all units forward through ops begin..end of a scale, but for maps that belong to the step
 * after. */
static of_status run_ops(setup *work, const of_op *begin, const of_op *end, of_error *error) {
    const of_plan *plan = work->plan;
    of_worker worker = view_of(work);
    worker.contributions = work->contributions;
    const of_run run = {.plan = plan, .worker = &worker, .without_map = true};
    of_status status = OF_OK;
    of_units units = {NULL, 0, 0};
    for (; status == OF_OK && units.first < work->units; units.first += units.count) {
        units.count = of_forward_chunk(&plan->scales[begin->scale], work->units - units.first);
        status = of_forward_ops(&run, begin, end, &units, error);
    }
    return status;
}

/* ---- Flow ActNorm and map ----------------------------------------------------------------- */

/* Channel c of the state at position p of [pass, rest]. */
static float *channel_at(const setup *work, uint32_t s, size_t position, size_t channel) {
    size_t half = work->plan->scales[s].half;
    return channel < half ? work->pass[s] + position * half + channel
                          : work->rest[s] + position * half + channel - half;
}

static void initialise_flow_actnorm(setup *work, uint32_t s, const of_step_map *map) {
    float *loc = of_model_values(work->model, map->parameters.numbers[0]);
    float *log_scale = of_model_values(work->model, map->parameters.numbers[1]);
    size_t positions = (size_t)work->units * work->plan->scales[s].positions;
#pragma omp parallel for num_threads(work->plan->threads) schedule(static)
    for (size_t c = 0; c < map->channels; c++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < positions; i++) {
            double x = (double)*channel_at(work, s, i, c);
            sum += x;
            square += x * x;
        }
        set_actnorm(loc, log_scale, c, (double)positions, sum, square);
    }
}

static void map_position(const setup *work, uint32_t s, const of_channel_map *map, size_t position,
                         float *y) {
    size_t n = map->channels, row = (size_t)2 * map->half_padded;
    for (size_t r = 0; r < n; r++) {
        size_t place = r < n / 2 ? r : map->half_padded + r - n / 2;
        double sum = (double)map->bias[place];
        for (size_t c = 0; c < n; c++)
            sum += (double)map->matrix[c * row + place] * (double)*channel_at(work, s, position, c);
        y[r] = (float)sum;
    }
    for (size_t r = 0; r < n; r++)
        *channel_at(work, s, position, r) = y[r];
}

/* The map that `op` is, or would apply in its kernel. */
static of_status apply_map(setup *work, const of_op *op, of_error *error) {
    of_plan *plan = work->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    if (op->kind == OF_OP_MAP)
        return run_ops(work, op, op + 1, error);
    float *y = of_allocate(plan->threads, scale->channels * sizeof(float));
    if (y == NULL)
        return of_fail_memory(error, "initialisation");
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t i = 0; i < (size_t)work->units * scale->positions; i++)
        map_position(work, op->scale, &op->map.forward, i,
                     y + (size_t)omp_get_thread_num() * scale->channels);
    of_free(y);
    return OF_OK;
}

/* ---- Hidden ActNorms ---------------------------------------------------------------------- */

/* Code for a layer without its ReLU; a scale's steps share it. */
static of_status make_linear_layer(setup *work, const of_op *op, of_error *error) {
    int layer = (int)op->writes;
    of_convolution_shape shape = op->shape;
    shape.relu = false;
    if (work->linear[layer] != NULL)
        return OF_OK;
    of_status status = of_convolution_create(&shape, work->plan->scales[op->scale].chunk, NULL,
                                             &work->linear[layer], error);
    if (status != OF_OK)
        return status;
    of_convolution *code = work->linear[layer];
    work->packed[layer] = of_allocate_zeroed(of_convolution_weight_bytes(code), 1);
    work->scratch[layer] = of_allocate(of_convolution_scratch_bytes(code), 1);
    work->folded[layer].weights = of_allocate(of_convolution_weights(&shape), sizeof(float));
    work->folded[layer].bias = of_allocate(shape.outputs, sizeof(float));
    return work->packed[layer] && work->scratch[layer] && work->folded[layer].weights &&
                   work->folded[layer].bias
               ? OF_OK
               : of_fail_memory(error, "initialisation");
}

static void free_linear_layers(setup *work) {
    for (int layer = 0; layer < 2; layer++) {
        of_convolution_free(work->linear[layer]);
        of_free(work->packed[layer]);
        of_free(work->scratch[layer]);
        of_free(work->folded[layer].weights);
        of_free(work->folded[layer].bias);
        work->linear[layer] = NULL;
        work->packed[layer] = work->scratch[layer] = NULL;
        work->folded[layer] = (of_folded_layer){NULL, NULL};
    }
}

static void add_moments(const float *values, size_t positions, size_t stride, moments *m) {
    for (size_t i = 0; i < positions; i++)
        for (size_t c = 0; c < m->channels; c++) {
            double x = (double)values[i * stride + c];
            m->sum[c] += x;
            m->square[c] += x * x;
        }
    m->count += (double)positions;
}

/* Outputs of a hidden layer before its ActNorm (which is neutral so far) and ReLU. */
static of_status measure_layer(setup *work, const of_op *op, moments *m, of_error *error) {
    const of_plan *plan = work->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    const of_convolution_shape *shape = &op->shape;
    int layer = (int)op->writes;
    of_folded_layer *folded = &work->folded[layer];
    of_worker worker = view_of(work);
    const of_run run = {.plan = plan, .worker = &worker};
    of_fold_convolution(work->model, op, folded);
    of_status status =
        of_convolution_pack(work->linear[layer], folded->weights, work->packed[layer], error);
    for (uint32_t first = 0, count; status == OF_OK && first < work->units; first += count) {
        count = of_forward_chunk(scale, work->units - first);
        const float *state = work->pass[op->scale] + first * of_state_floats(scale);
        const void *source = NULL;
        if (of_reads_state(op)) {
            source = of_network_input_of(&run, op, count, state);
        } else {
            status = of_run_layer(&run, op - 1, first, count, state, error);
            source = of_hidden(&run, op - 1, first);
        }
        if (status == OF_OK)
            status =
                of_convolution_run(work->linear[layer], count, source, work->packed[layer],
                                   folded->bias, worker.hidden[1], work->scratch[layer], error);
        if (status == OF_OK)
            add_moments(worker.hidden[1], (size_t)count * scale->positions, shape->outputs, m);
    }
    return status;
}

static of_status initialise_hidden(setup *work, of_op *op, of_error *error) {
    size_t hidden = op->units;
    float *loc = of_model_values(work->model, op->parameters.numbers[1]);
    float *log_scale = of_model_values(work->model, op->parameters.numbers[2]);
    double *sums = of_allocate_zeroed(2 * hidden, sizeof(double));
    if (sums == NULL)
        return of_fail_memory(error, "initialisation");
    memset(loc, 0, hidden * sizeof(float));
    memset(log_scale, 0, hidden * sizeof(float));
    moments m = {hidden, 0, sums, sums + hidden};
    of_status status = make_linear_layer(work, op, error);
    if (status == OF_OK)
        status = measure_layer(work, op, &m, error);
    for (size_t c = 0; status == OF_OK && c < hidden; c++)
        set_actnorm(loc, log_scale, c, m.count, m.sum[c], m.square[c]);
    of_free(sums);
    return status == OF_OK ? of_pack_op(work->plan, work->model, op, error) : status;
}

/* ---- Scales ------------------------------------------------------------------------------- */

static void initialise_prior(setup *work, const of_op *op) {
    uint32_t s = op->scale;
    const of_scale_plan *scale = &work->plan->scales[s];
    float *loc = of_model_values(work->model, op->parameters.numbers[0]);
    float *log_scale = of_model_values(work->model, op->parameters.numbers[1]);
    size_t floats = of_state_floats(scale);
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = of_latent_place(scale, i);
        bool pass = place < floats && (scale->last || !of_pass_goes_on(work->plan));
        const float *half = pass ? work->pass[s] : work->rest[s];
        double sum = 0, square = 0;
        for (uint32_t u = 0; u < work->units; u++) {
            double x = (double)half[u * floats + place % floats];
            sum += x;
            square += x * x;
        }
        set_actnorm(loc, log_scale, i, work->units, sum, square);
    }
}

/* The map that `op` is or would apply, if there is one. */
static of_status initialise_map(setup *work, of_op *op, of_error *error) {
    if (op->map.channels == 0)
        return OF_OK;
    initialise_flow_actnorm(work, op->scale, &op->map);
    of_status status = of_pack_op(work->plan, work->model, op, error);
    return status == OF_OK ? apply_map(work, op, error) : status;
}

/* The map, each hidden ActNorm (linear layers have none), then the step as it is now. */
static of_status initialise_step(setup *work, of_op *tail, of_error *error) {
    of_op *network = tail - tail->network;
    of_status status = initialise_map(work, network - 1, error);
    for (of_op *op = network; status == OF_OK && op + 1 < tail; op++)
        if (op->parameters.numbers[2] != OF_NO_PARAMETER)
            status = initialise_hidden(work, op, error);
    return status == OF_OK ? run_ops(work, network, tail + 1, error) : status;
}

static void enter(setup *work, uint32_t s, const of_batch *batch) {
    of_plan *plan = work->plan;
    of_worker worker = view_of(work);
    /* the squeezed state itself: the map of step 0 is not set yet */
    of_kept kept = work->training->buffers[0].kept;
    memcpy(kept.squeezed_pass, work->pass, sizeof kept.squeezed_pass);
    memcpy(kept.squeezed_rest, work->rest, sizeof kept.squeezed_rest);
    bool dense = plan->architecture.block == OF_BLOCK_DENSE; /* no map to leave out */
    const of_run run = {
        .plan = plan, .worker = &worker, .kept = dense ? NULL : &kept, .without_map = true};
    for (uint32_t u = 0; u < work->units; u++) {
        of_pixel_view view = {0};
        if (s == 0)
            view = of_pixel_unit(plan, batch, u / plan->units, u % plan->units);
        (void)of_pixels_enter(&run, of_scale_enter(&plan->scales[s]), u, s == 0 ? &view : NULL);
    }
}

static of_status initialise_scale(setup *work, uint32_t s, const of_batch *batch, of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[s];
    of_status status = OF_OK;
    enter(work, s, batch);
    for (size_t i = 0; status == OF_OK && i < scale->op_count; i++)
        if (scale->ops[i].kind == OF_OP_TAIL)
            status = initialise_step(work, &scale->ops[i], error);
    free_linear_layers(work);
    if (status == OF_OK) /* a closing map */
        status = initialise_map(work, &scale->ops[scale->op_count - 2], error);
    if (status == OF_OK)
        initialise_prior(work, of_scale_latents(scale));
    return status;
}

static of_status allocate(setup *work, of_error *error) {
    work->contributions =
        of_arena_take(&work->arena, (size_t)work->units * work->plan->scale_count, sizeof(double));
    if (work->contributions == NULL)
        return of_fail_memory(error, "initialisation");
    for (uint32_t s = 0; s < work->plan->scale_count; s++) {
        size_t floats = of_state_floats(&work->plan->scales[s]);
        work->pass[s] = of_arena_take(&work->arena, work->units, floats * sizeof(float));
        work->rest[s] = of_arena_take(&work->arena, work->units, floats * sizeof(float));
        if (work->pass[s] == NULL || work->rest[s] == NULL)
            return of_fail_memory(error, "initialisation; fewer images need less");
    }
    return OF_OK;
}

of_status of_training_initialise(of_training_plan *training, of_model *model, const of_batch *batch,
                                 of_error *error) {
    of_plan *plan = training->plan;
    if (batch->type != OF_PIXEL_F32 || batch->count < 2)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "initialisation needs at least 2 images of floating-point pixels");
    if (batch->count > UINT32_MAX / plan->units)
        return of_fail(error, OF_ERROR_ARGUMENT, "too many images for initialisation");
    setup work = {.training = training,
                  .plan = plan,
                  .model = model,
                  .units = (uint32_t)batch->count * plan->units};
    of_status status = allocate(&work, error);
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count; s++)
        status = initialise_scale(&work, s, batch, error);
    of_arena_release(&work.arena);
    return status == OF_OK ? of_training_refresh(training, model, error) : status;
}
