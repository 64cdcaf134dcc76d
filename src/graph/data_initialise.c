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
    of_arena arena;
    of_convolution *linear[2]; /* first layers of the current scale without ReLU */
    float *packed[2];
    of_folded_layer folded;
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

/* A worker of thread t that sees the states of all units. */
static of_worker view_of(const setup *work, int t) {
    of_worker worker = work->training->session->workers[t];
    memcpy(worker.pass, work->pass, sizeof worker.pass);
    memcpy(worker.rest, work->rest, sizeof worker.rest);
    return worker;
}

/* ---- Flow ActNorm and map ----------------------------------------------------------------- */

/* Channel c of the state at position p of [pass, rest]. */
static float *channel_at(const setup *work, uint32_t s, size_t position, size_t channel) {
    size_t half = work->plan->scales[s].half;
    return channel < half ? work->pass[s] + position * half + channel
                          : work->rest[s] + position * half + channel - half;
}

static void initialise_flow_actnorm(setup *work, uint32_t s, uint32_t k) {
    const of_scale_plan *scale = &work->plan->scales[s];
    const of_step_parameters *p = &work->model->scales[s].steps[k];
    float *loc = of_model_values(work->model, p->actnorm_loc);
    float *log_scale = of_model_values(work->model, p->actnorm_log_scale);
    size_t positions = (size_t)work->units * scale->positions;
#pragma omp parallel for num_threads(work->plan->threads) schedule(static)
    for (size_t c = 0; c < scale->channels; c++) {
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

static of_status apply_map(setup *work, uint32_t s, uint32_t k, of_error *error) {
    of_plan *plan = work->plan;
    const of_scale_plan *scale = &plan->scales[s];
    if (plan->architecture.block == OF_BLOCK_DENSE) {
        of_worker worker = view_of(work, 0);
        const of_run run = {.plan = plan, .worker = &worker, .without_map = true};
        of_status status = OF_OK;
        for (uint32_t first = 0, count; status == OF_OK && first < work->units; first += count) {
            count = of_forward_chunk(scale, work->units - first);
            const of_op *map = of_step_ops(plan, scale, k);
            status = of_forward_ops(&run, map, map + 1, &(of_units){NULL, first, count}, error);
        }
        return status;
    }
    float *y = of_allocate(plan->threads, scale->channels * sizeof(float));
    if (y == NULL)
        return of_fail_memory(error, "initialisation");
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t i = 0; i < (size_t)work->units * scale->positions; i++)
        map_position(work, s, &of_step_ops(plan, scale, k)[-1].map.forward, i,
                     y + (size_t)omp_get_thread_num() * scale->channels);
    of_free(y);
    return OF_OK;
}

/* ---- Hidden ActNorms ---------------------------------------------------------------------- */

static of_status make_linear_layers(setup *work, uint32_t s, of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[s];
    size_t most = 0;
    for (int layer = 0; layer < 2; layer++) {
        of_convolution_shape shape =
            *of_convolution_shape_of(of_step_layer(work->plan, scale, 0, layer)->code);
        shape.relu = false;
        of_status status =
            of_convolution_create(&shape, scale->chunk, NULL, &work->linear[layer], error);
        if (status != OF_OK)
            return status;
        size_t weights = (size_t)shape.inputs * shape.outputs * shape.kernel * shape.kernel;
        most = weights > most ? weights : most;
        work->packed[layer] =
            of_arena_take(&work->arena, of_convolution_weight_bytes(work->linear[layer]), 1);
    }
    work->folded.weights = of_arena_take(&work->arena, most, sizeof(float));
    work->folded.bias = of_arena_take(&work->arena, work->plan->hidden, sizeof(float));
    if (!work->packed[0] || !work->packed[1] || !work->folded.weights || !work->folded.bias)
        return of_fail_memory(error, "initialisation");
    return OF_OK;
}

static void free_linear_layers(setup *work) {
    for (int layer = 0; layer < 2; layer++) {
        of_convolution_free(work->linear[layer]);
        work->linear[layer] = NULL;
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

/* Outputs of layer FIRST or MIDDLE before its ActNorm (which is neutral so far) and ReLU. */
static of_status measure_layer(setup *work, uint32_t s, uint32_t k, int layer, moments *m,
                               of_error *error) {
    const of_plan *plan = work->plan;
    const of_scale_plan *scale = &plan->scales[s];
    const of_op *first_layer = of_step_layer(plan, scale, k, OF_LAYER_FIRST);
    of_worker *worker = &work->training->session->workers[0];
    void *scratch = of_allocate(of_convolution_scratch_bytes(work->linear[layer]), 1);
    of_fold_convolution(work->model, of_step_layer(plan, scale, k, layer), &work->folded);
    of_status status = scratch ? OF_OK : of_fail_memory(error, "initialisation");
    if (status == OF_OK)
        status = of_convolution_pack(work->linear[layer], work->folded.weights, work->packed[layer],
                                     error);
    for (uint32_t first = 0, count; status == OF_OK && first < work->units; first += count) {
        count = of_forward_chunk(scale, work->units - first);
        const float *source = work->pass[s] + first * of_state_floats(scale);
        if (layer == OF_LAYER_MIDDLE) {
            status = of_convolution_run(first_layer->code, count, source,
                                        first_layer->packed.weights, first_layer->packed.bias,
                                        worker->hidden[0], worker->convolution_scratch, error);
            source = worker->hidden[0];
        }
        if (status == OF_OK)
            status = of_convolution_run(work->linear[layer], count, source, work->packed[layer],
                                        work->folded.bias, worker->hidden[1], scratch, error);
        if (status == OF_OK)
            add_moments(worker->hidden[1], (size_t)count * scale->positions, plan->hidden, m);
    }
    of_free(scratch);
    return status;
}

static of_status initialise_hidden(setup *work, uint32_t s, uint32_t k, int layer,
                                   of_error *error) {
    const of_step_parameters *p = &work->model->scales[s].steps[k];
    bool first = layer == OF_LAYER_FIRST;
    size_t hidden = work->plan->architecture.hidden;
    float *loc = of_model_values(work->model, first ? p->conv1_loc : p->conv2_loc);
    float *log_scale =
        of_model_values(work->model, first ? p->conv1_log_scale : p->conv2_log_scale);
    double *sums = of_allocate_zeroed(2 * hidden, sizeof(double));
    if (sums == NULL)
        return of_fail_memory(error, "initialisation");
    memset(loc, 0, hidden * sizeof(float));
    memset(log_scale, 0, hidden * sizeof(float));
    moments m = {hidden, 0, sums, sums + hidden};
    of_status status = measure_layer(work, s, k, layer, &m, error);
    for (size_t c = 0; status == OF_OK && c < hidden; c++)
        set_actnorm(loc, log_scale, c, m.count, m.sum[c], m.square[c]);
    of_free(sums);
    if (status == OF_OK)
        status =
            of_pack_op(work->plan, work->model,
                       (of_op *)of_step_layer(work->plan, &work->plan->scales[s], k, layer), error);
    return status;
}

/* ---- Scales ------------------------------------------------------------------------------- */

static void initialise_prior(setup *work, uint32_t s) {
    const of_scale_plan *scale = &work->plan->scales[s];
    float *loc = of_model_values(work->model, work->model->scales[s].prior_loc);
    float *log_scale = of_model_values(work->model, work->model->scales[s].prior_log_scale);
    size_t floats = of_state_floats(scale);
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = of_latent_place(scale, i);
        const float *half = place < floats ? work->pass[s] : work->rest[s];
        double sum = 0, square = 0;
        for (uint32_t u = 0; u < work->units; u++) {
            double x = (double)half[u * floats + place % floats];
            sum += x;
            square += x * x;
        }
        set_actnorm(loc, log_scale, i, work->units, sum, square);
    }
}

static of_status run_step(setup *work, uint32_t s, uint32_t k, of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[s];
    of_worker worker = view_of(work, 0);
    double *contributions =
        of_allocate_zeroed((size_t)work->units * work->plan->scale_count, sizeof(double));
    if (contributions == NULL)
        return of_fail_memory(error, "initialisation");
    worker.contributions = contributions;
    const of_run run = {.plan = work->plan, .worker = &worker, .without_map = true};
    of_status status = OF_OK;
    for (uint32_t first = 0, count; status == OF_OK && first < work->units; first += count) {
        count = of_forward_chunk(scale, work->units - first);
        const of_op *end = of_step_tail(work->plan, scale, k) + 1;
        status = of_forward_ops(&run, end - 1 - end[-1].network, end,
                                &(of_units){NULL, first, count}, error);
    }
    of_free(contributions);
    return status;
}

static of_status initialise_step(setup *work, uint32_t s, uint32_t k, of_error *error) {
    bool dense = work->plan->architecture.block == OF_BLOCK_DENSE;
    initialise_flow_actnorm(work, s, k);
    of_op *map = of_step_ops(work->plan, &work->plan->scales[s], k) - (dense ? 0 : 1);
    of_status status = of_pack_op(work->plan, work->model, map, error);
    if (status == OF_OK)
        status = apply_map(work, s, k, error);
    for (int layer = OF_LAYER_FIRST; !dense && status == OF_OK && layer <= OF_LAYER_MIDDLE; layer++)
        status = initialise_hidden(work, s, k, layer, error);
    return status == OF_OK ? run_step(work, s, k, error) : status;
}

static void enter(setup *work, uint32_t s, const of_batch *batch) {
    of_plan *plan = work->plan;
    of_worker worker = view_of(work, 0);
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
        of_pixels_enter(&run, of_scale_enter(&plan->scales[s]), u, s == 0 ? &view : NULL);
    }
}

static of_status initialise_scale(setup *work, uint32_t s, const of_batch *batch, of_error *error) {
    bool dense = work->plan->architecture.block == OF_BLOCK_DENSE;
    enter(work, s, batch);
    of_status status = dense ? OF_OK : make_linear_layers(work, s, error);
    for (uint32_t k = 0; status == OF_OK && k < work->plan->architecture.steps; k++)
        status = initialise_step(work, s, k, error);
    free_linear_layers(work);
    if (status == OF_OK)
        initialise_prior(work, s);
    return status;
}

static of_status allocate(setup *work, of_error *error) {
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
