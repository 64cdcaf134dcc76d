/* SPDX-License-Identifier: Apache-2.0 */
/* Data-dependent initialisation (Salimans and Kingma 2016, arXiv 1602.07868; Glow, section 3.1):
 * layer after layer, all images pass what has been set so far, and the next ActNorm is set so that
 * its output has mean 0 and variance 1. */
#include "core/memory.h"
#include "core/team.h"
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
    of_group images;
    uint32_t units;
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES]; /* of all units */
    double *contributions;                            /* nobody wants them */
    of_arena arena;
} setup;

/* The first worker, which sees the states of all units. */
static of_worker view_of(const setup *work) {
    of_worker worker = work->training->session->workers[0];
    memcpy(worker.pass, work->pass, sizeof worker.pass);
    memcpy(worker.rest, work->rest, sizeof worker.rest);
    worker.contributions = work->contributions;
    return worker;
}

/* Takes all units forward through ops begin..end of a scale, but for maps that belong to the step
 * after. */
static of_status run_ops(setup *work, const of_op *begin, const of_op *end, of_kept *kept,
                         of_error *error) {
    const of_plan *plan = work->plan;
    of_worker worker = view_of(work);
    const of_run run = {.plan = plan, .worker = &worker, .kept = kept, .without_map = true};
    of_status status = OF_OK;
    of_units units = {&work->images, 0, 0};
    for (; status == OF_OK && units.first < work->units; units.first += units.count) {
        units.count = of_forward_chunk(&plan->scales[begin->scale], work->units - units.first);
        status = of_forward_ops(&run, begin, end, &units, error);
    }
    return status;
}

/* ---- ActNorms ----------------------------------------------------------------------------- */

/* Sums over positions and units of what an ActNorm gets. */
typedef struct moments {
    size_t channels;
    double count;
    double *sum, *square;
} moments;

static of_status open_moments(moments *m, size_t channels, of_error *error) {
    double *sums = of_allocate_zeroed(2 * channels, sizeof(double));
    *m = (moments){channels, 0, sums, sums + channels};
    return sums ? OF_OK : of_fail_memory(error, "initialisation");
}

/* Rows of `channels` values each, of the moments' channels from `at` on. */
static void add_moments(const float *values, size_t rows, size_t channels, size_t stride, size_t at,
                        moments *m) {
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < channels; c++) {
            double x = (double)values[i * stride + c];
            m->sum[at + c] += x;
            m->square[at + c] += x * x;
        }
    m->count += at == 0 ? (double)rows : 0;
}

/* Sets loc and log_scale, the parameters from `first` of a list on; `scale`: of latents. */
static void close_moments(const setup *work, const of_parameter_list *list, int first,
                          const of_scale_plan *scale, moments *m) {
    float *loc = of_model_values(work->model, list->numbers[first]);
    float *log_scale = of_model_values(work->model, list->numbers[first + 1]);
    for (size_t i = 0; i < m->channels; i++) {
        size_t c = scale != NULL ? of_latent_place(scale, i) : i;
        double mean = m->sum[c] / m->count, variance = m->square[c] / m->count - mean * mean;
        if (!(variance > LEAST_VARIANCE))
            variance = LEAST_VARIANCE;
        loc[i] = (float)-mean;
        log_scale[i] = (float)(-0.5 * log(variance));
    }
    of_free(m->sum);
}

/* The flow's ActNorm of a step, or the prior's, from rows of [pass, rest]. */
static of_status initialise_from_state(setup *work, uint32_t s, const of_parameter_list *list,
                                       bool prior, of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[s];
    size_t rows = (size_t)work->units * (prior ? 1 : scale->positions);
    size_t half = prior ? of_state_floats(scale) : scale->half;
    bool rest = !prior || scale->last;
    bool second = prior && !scale->last && of_pass_goes_on(work->plan);
    moments m;
    of_status status = open_moments(&m, rest ? 2 * half : half, error);
    if (status != OF_OK)
        return status;
    add_moments(second ? work->rest[s] : work->pass[s], rows, half, half, 0, &m);
    if (rest)
        add_moments(work->rest[s], rows, half, half, half, &m);
    close_moments(work, list, 0, prior ? scale : NULL, &m);
    return OF_OK;
}

/* ---- Maps --------------------------------------------------------------------------------- */

/* The map that `op` is, or would apply in its kernel. */
static of_status apply_map(setup *work, const of_op *op, of_error *error) {
    of_plan *plan = work->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    if (op->kind == OF_OP_MAP)
        return run_ops(work, op, op + 1, NULL, error);
    const of_channel_map *map = &op->map.forward;
    size_t half = scale->half, row = (size_t)2 * map->half_padded;
    of_status status = of_team_check(plan->threads, error);
    if (status != OF_OK)
        return status;
    double *sums = of_allocate(plan->threads, row * sizeof(double));
    if (sums == NULL)
        return of_fail_memory(error, "initialisation");
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t i = 0; i < (size_t)work->units * scale->positions; i++)
        of_channel_map_apply(map, 1, sums + (size_t)omp_get_thread_num() * row,
                             work->pass[op->scale] + i * half, work->rest[op->scale] + i * half);
    of_free(sums);
    return OF_OK;
}

/* ---- Hidden ActNorms ---------------------------------------------------------------------- */

/* Code for a layer without its ReLU. */
typedef struct linear_layer {
    of_convolution *code;
    void *packed, *scratch;
    float *target; /* of a chunk */
    of_folded_layer folded;
} linear_layer;

static void free_linear_layer(linear_layer *l) {
    of_convolution_free(l->code);
    of_free(l->packed);
    of_free(l->scratch);
    of_free(l->target);
    of_free(l->folded.weights);
    of_free(l->folded.bias);
}

static of_status make_linear_layer(const setup *work, const of_op *op, linear_layer *l,
                                   of_error *error) {
    size_t positions =
        (size_t)work->plan->scales[op->scale].chunk * op->shape.height * op->shape.width;
    of_convolution_shape shape = op->shape;
    shape.relu = false;
    shape.target = OF_PRECISION_F32;
    of_status status =
        of_convolution_create(&shape, work->plan->scales[op->scale].chunk, NULL, &l->code, error);
    if (status != OF_OK)
        return status;
    l->packed = of_allocate_zeroed(of_convolution_weight_bytes(l->code), 1);
    l->scratch = of_allocate(of_convolution_scratch_bytes(l->code), 1);
    l->target = of_allocate(positions * shape.outputs, sizeof(float));
    l->folded.weights = of_allocate(of_convolution_weights(&shape), sizeof(float));
    l->folded.bias = of_allocate(shape.outputs, sizeof(float));
    if (!l->packed || !l->scratch || !l->target || !l->folded.weights || !l->folded.bias)
        return of_fail_memory(error, "initialisation");
    of_fold_convolution(work->model, op, &l->folded);
    return of_convolution_pack(l->code, l->folded.weights, l->packed, error);
}

/* Outputs of a hidden layer before its ActNorm (which is neutral so far) and ReLU. */
static of_status measure_layer(setup *work, const of_op *op, const linear_layer *l, moments *m,
                               of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[op->scale];
    of_worker worker = view_of(work);
    const of_run run = {.plan = work->plan, .worker = &worker};
    of_status status = OF_OK;
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
            status = of_convolution_run(l->code, count, source, l->packed, l->folded.bias,
                                        l->target, l->scratch, error);
        if (status == OF_OK)
            add_moments(l->target, (size_t)count * scale->positions, op->units, op->shape.outputs,
                        0, m);
    }
    return status;
}

static of_status initialise_hidden(setup *work, of_op *op, of_error *error) {
    const int *numbers = op->parameters.numbers;
    linear_layer layer = {.code = NULL};
    moments m;
    memset(of_model_values(work->model, numbers[1]), 0, op->units * sizeof(float));
    memset(of_model_values(work->model, numbers[2]), 0, op->units * sizeof(float));
    of_status status = open_moments(&m, op->units, error);
    if (status == OF_OK)
        status = make_linear_layer(work, op, &layer, error);
    if (status == OF_OK)
        status = measure_layer(work, op, &layer, &m, error);
    free_linear_layer(&layer);
    if (status != OF_OK)
        of_free(m.sum);
    else
        close_moments(work, &op->parameters, 1, NULL, &m);
    return status == OF_OK ? of_pack_op(work->plan, work->model, op, error) : status;
}

/* ---- Scales ------------------------------------------------------------------------------- */

/* The map that `op` is or would apply, if there is one. */
static of_status initialise_map(setup *work, of_op *op, of_error *error) {
    if (op->map.channels == 0)
        return OF_OK;
    of_status status = initialise_from_state(work, op->scale, &op->map.parameters, false, error);
    if (status == OF_OK)
        status = of_pack_op(work->plan, work->model, op, error);
    return status == OF_OK ? apply_map(work, op, error) : status;
}

/* The map, each hidden ActNorm (linear layers have none), then the step as it is now. */
static of_status initialise_step(setup *work, of_op *tail, of_error *error) {
    of_op *network = tail - tail->network;
    of_status status = initialise_map(work, network - 1, error);
    for (of_op *op = network; status == OF_OK && op + 1 < tail; op++)
        if (op->parameters.numbers[2] != OF_NO_PARAMETER)
            status = initialise_hidden(work, op, error);
    return status == OF_OK ? run_ops(work, network, tail + 1, NULL, error) : status;
}

/* What enters is the squeezed state itself: the map of step 0 is not set yet. */
static of_status initialise_scale(setup *work, uint32_t s, of_error *error) {
    const of_scale_plan *scale = &work->plan->scales[s];
    of_op *enter = scale->ops;
    of_kept kept = work->training->buffers[0].kept;
    memcpy(kept.squeezed_pass, work->pass, sizeof kept.squeezed_pass);
    memcpy(kept.squeezed_rest, work->rest, sizeof kept.squeezed_rest);
    of_status status =
        run_ops(work, enter, enter + 1, enter->map.channels > 0 ? &kept : NULL, error);
    for (size_t i = 0; status == OF_OK && i < scale->op_count; i++)
        if (scale->ops[i].kind == OF_OP_TAIL)
            status = initialise_step(work, &scale->ops[i], error);
    if (status == OF_OK) /* a closing one */
        status = initialise_map(work, &scale->ops[scale->op_count - 2], error);
    return status == OF_OK
               ? initialise_from_state(work, s, &of_scale_latents(scale)->parameters, true, error)
               : status;
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
                  .images = {.batch = batch, .stride = 1},
                  .units = (uint32_t)batch->count * plan->units};
    of_status status = allocate(&work, error);
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count; s++)
        status = initialise_scale(&work, s, error);
    of_arena_release(&work.arena);
    return status == OF_OK ? of_training_refresh(training, model, error) : status;
}
