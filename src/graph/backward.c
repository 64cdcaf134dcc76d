/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients from a group's log-likelihoods back to the folded weights. For each scale, last to
 * first, and each step, last to first, whose state before is (x), after its map (pass, rest):
 *     g_pass, g_rest' -> coupling -> g_rest, g_coefficients -> taps
 *     -> layers LAST, MIDDLE, FIRST -> added to g_pass; g_pass, g_rest -> map -> g_x.
 * A step takes all images of the group, chunk by chunk, before the next one: its weights and its
 * sums are then still in the cache. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "core/memory.h"
#include "graph/training.h"

#include <sched.h>
#include <string.h>
#include <time.h>

/* What the functions below share: units first..first+count of a scale. */
typedef struct chunk {
    const of_run *run;
    const of_plan *plan;
    const of_scale_plan *scale;
    const of_gradient_layout *layout;
    of_backward_buffers *buffers;
    float *sums; /* of the step, or of the scale's priors */
    uint32_t s, first, count;
    size_t positions; /* of all units */
} chunk;

static void stop(const chunk *c, double start, uint32_t k, int stage) {
    of_profile_stop(c->run, start, of_training_layer_number(c->plan, c->s, k, stage));
}

static float *kept(const chunk *c, float *array, uint32_t k) {
    return array + of_kept_offset(c->plan, k, c->first, of_state_floats(c->scale));
}

static float *state(const chunk *c, float *array) {
    return array + c->first * of_state_floats(c->scale);
}

/* The gradients of a network layer with respect to its weights, G^T X summed over the group's
 * chunks, and to its inputs: from `g` [positions][outputs] and `x` [positions][inputs], which may
 * be `g_x`. */
static of_status backward_layer(const chunk *c, uint32_t k, int layer, size_t outputs,
                                size_t inputs, const float *g, const float *x, float *g_x,
                                of_error *error) {
    double start = of_profile_start(c->run);
    of_status status = of_weight_product(outputs, inputs, c->positions, g, x, c->first > 0,
                                         c->sums + c->layout->weights[layer], error);
    stop(c, start, k, OF_STAGE_BACK_WEIGHTS + layer);
    start = of_profile_start(c->run);
    if (status == OF_OK)
        status = of_data_product(c->positions, inputs, outputs, g, c->buffers->weights[layer], g_x,
                                 error);
    stop(c, start, k, OF_STAGE_BACK_DATA + layer);
    return status;
}

/* ---- Turns ------------------------------------------------------------------------------- */

/* The first group of a lane sums in the lane's block. */
static float *sums_of(const of_turns *turns, of_backward_buffers *buffers, size_t place) {
    return turns->first ? turns->lane->block + place : buffers->sums;
}

static void wait_for_turn(const of_turns *turns) {
    unsigned mine = atomic_load_explicit(turns->done, memory_order_relaxed);
    const struct timespec nap = {.tv_nsec = 20000};
    for (unsigned tries = 0;
         turns->before != NULL && atomic_load_explicit(turns->before, memory_order_acquire) <= mine;
         tries++) {
        if (tries < 100)
            (void)sched_yield();
        else
            (void)nanosleep(&nap, NULL);
    }
}

static void end_turn(const of_turns *turns) {
    atomic_fetch_add_explicit(turns->done, 1, memory_order_release);
}

static void add_sums(const of_run *run, const of_turns *turns, const float *sums, size_t place,
                     size_t floats) {
    double start = of_profile_start(run);
    wait_for_turn(turns);
    if (!turns->first)
        run->plan->kernels->accumulate(sums, turns->lane->block + place, floats);
    end_turn(turns);
    of_profile_stop(run, start, of_training_layer_number(run->plan, 0, 0, OF_STAGE_SUMS));
}

static void add_scalars(const of_plan *plan, const of_turns *turns, const of_lane *group) {
    size_t classes = plan->architecture.classes;
    of_lane *lane = turns->lane;
    wait_for_turn(turns);
    if (turns->first) {
        lane->logp_gradient = 0;
        memset(lane->class_gradients, 0, classes * sizeof(double));
    }
    lane->logp_gradient += group->logp_gradient;
    for (size_t c = 0; c < classes; c++)
        lane->class_gradients[c] += group->class_gradients[c];
    end_turn(turns);
}

/* ---- Priors ------------------------------------------------------------------------------ */

/* The half of a unit's latents that starts at `offset` of the prior's arrays. */
static void gaussian_half(const chunk *c, double weight, const float *x, float *g_x,
                          size_t offset) {
    const of_scale_plan *scale = c->scale;
    c->plan->kernels->scale_shift_backward(
        x, of_scale_latents(scale)->density.scale + offset,
        of_scale_latents(scale)->density.shift + offset, (float)weight, g_x,
        c->sums + c->layout->prior_scale + offset, c->sums + c->layout->prior_shift + offset,
        of_state_floats(scale));
}

/* Class densities: the loss has sum over classes of -g_c/2 |a_c z + b_c|^2 with z the latents
 * after the prior's ActNorm. */
static void class_half(const chunk *c, uint32_t unit, const float *x, float *g_x, size_t offset) {
    const of_scale_plan *scale = c->scale;
    size_t n = of_state_floats(scale), classes = c->plan->architecture.classes;
    size_t latents = scale->shape.latents;
    const double *weights = c->buffers->class_gradients + (unit / c->plan->units) * classes;
    float *z = c->buffers->latents, *g_z = c->buffers->g_latents;
    (void)c->plan->kernels->scale_shift(x, of_scale_latents(scale)->density.scale + offset,
                                        of_scale_latents(scale)->density.shift + offset, z, n);
    memset(g_x, 0, n * sizeof(float));
    for (size_t k = 0; k < classes; k++) {
        size_t place = k * latents + offset;
        c->plan->kernels->scale_shift_backward(
            z, of_scale_latents(scale)->density.class_scale + place,
            of_scale_latents(scale)->density.class_shift + place, (float)weights[k], g_z,
            c->sums + c->layout->class_scale + place, c->sums + c->layout->class_shift + place, n);
        c->plan->kernels->accumulate(g_z, g_x, n);
    }
    float *g_scale = c->sums + c->layout->prior_scale + offset;
    float *g_shift = c->sums + c->layout->prior_shift + offset;
    for (size_t i = 0; i < n; i++) {
        g_scale[i] += g_x[i] * x[i];
        g_shift[i] += g_x[i];
        g_x[i] *= of_scale_latents(scale)->density.scale[offset + i];
    }
}

static void prior_half(const chunk *c, uint32_t unit, const float *x, float *g_x, size_t offset) {
    if (c->plan->architecture.classes > 0)
        class_half(c, unit, x, g_x, offset);
    else
        gaussian_half(c, c->buffers->logp_gradients[unit / c->plan->units], x, g_x, offset);
}

/* The last state's latents; g_rest of a scale that is split comes from the next scale. */
static void backward_prior(const chunk *c) {
    size_t floats = of_state_floats(c->scale);
    uint32_t last = c->plan->architecture.steps - 1;
    const float *pass = kept(c, c->buffers->kept.pass[c->s], last);
    const float *rest = kept(c, c->buffers->kept.rest[c->s], last);
    float *g_pass = state(c, c->buffers->g_pass[c->s]);
    float *g_rest = state(c, c->buffers->g_rest[c->s]);
    for (uint32_t u = 0; u < c->count; u++) {
        prior_half(c, c->first + u, pass + u * floats, g_pass + u * floats, 0);
        if (c->scale->last)
            prior_half(c, c->first + u, rest + u * floats, g_rest + u * floats, floats);
    }
}

/* ---- Maps -------------------------------------------------------------------------------- */

static of_status backward_dense_map(const chunk *c, uint32_t k, const float *pass,
                                    const float *rest, of_error *error) {
    const of_op *map = of_step_ops(c->plan, c->scale, k);
    size_t n = c->scale->channels;
    float *g_pass = state(c, c->buffers->g_pass[c->s]);
    float *g_rest = state(c, c->buffers->g_rest[c->s]);
    float *g = c->buffers->g_taps, *x = c->buffers->gathered;
    of_join_halves(c->count, c->scale->half, g_pass, g_rest, g);
    of_join_halves(c->count, c->scale->half, pass, rest, x);
    c->plan->kernels->relu_backward(NULL, g, c->count, n, 0.0f, c->sums + c->layout->bias);
    of_status status =
        of_weight_product(n, n, c->count, g, x, c->first > 0, c->sums + c->layout->matrix, error);
    if (status == OF_OK)
        status = of_convolution_run(map->transposed_code, c->count, g,
                                    map->map.transposed_product.weights, NULL, x,
                                    c->run->worker->convolution_scratch, error);
    if (status == OF_OK)
        of_part_halves(c->count, c->scale->half, x, g_pass, g_rest);
    return status;
}

/* The map of step k, whose inputs were `pass` and `rest`. */
static of_status run_backward_map(const chunk *c, uint32_t k, const float *pass, const float *rest,
                                  of_error *error) {
    if (c->plan->architecture.block == OF_BLOCK_DENSE)
        return backward_dense_map(c, k, pass, rest, error);
    const of_map_backward task = {
        .pass = pass,
        .rest = rest,
        .g_pass = state(c, c->buffers->g_pass[c->s]),
        .g_rest = state(c, c->buffers->g_rest[c->s]),
        .positions = c->positions,
        .transposed = &of_step_ops(c->plan, c->scale, k)[-1].map.transposed,
        .matrix_gradient = c->sums + c->layout->matrix,
        .bias_gradient = c->sums + c->layout->bias,
        .scratch = c->run->worker->row_scratch,
    };
    c->plan->kernels->map_backward(&task);
    return OF_OK;
}

static of_status backward_map(const chunk *c, uint32_t k, const float *pass, const float *rest,
                              of_error *error) {
    double start = of_profile_start(c->run);
    of_status status = run_backward_map(c, k, pass, rest, error);
    stop(c, start, k, OF_STAGE_BACK_MAP);
    return status;
}

/* ---- Coupling networks ------------------------------------------------------------------- */

/* Row by row, the transpose of a tap sum or the gathering of 3x3 neighbourhoods. */
static void scatter_taps(const chunk *c, const float *values, uint32_t outputs, uint32_t stride,
                         bool mirrored, float *target) {
    of_tap_row row = {.stride = stride,
                      .outputs = outputs,
                      .kernel = c->plan->architecture.block == OF_BLOCK_DENSE ? 1 : 3,
                      .height = c->scale->rows,
                      .width = c->scale->columns};
    for (uint32_t u = 0; u < c->count; u++)
        for (row.row = 0; row.row < row.height; row.row++)
            c->plan->kernels->tap_scatter_row(
                &row, values + (size_t)u * c->scale->positions * outputs, mirrored,
                target + (size_t)u * c->scale->positions * stride);
}

static void backward_coupling(const chunk *c, uint32_t k) {
    const of_scale_plan *scale = c->scale;
    size_t floats = of_state_floats(scale);
    bool affine = c->plan->architecture.coupling == OF_COUPLING_AFFINE;
    double start = of_profile_start(c->run);
    for (uint32_t u = 0; u < c->count; u++) {
        uint32_t image = (c->first + u) / c->plan->units;
        const of_coupling_backward task = {
            .rest_after = kept(c, c->buffers->kept.rest[c->s], k) + u * floats,
            .scale = affine ? kept(c, c->buffers->kept.scale[c->s], k) + u * floats : NULL,
            .log_det_gradient = (float)c->buffers->logp_gradients[image],
            .g_rest = state(c, c->buffers->g_rest[c->s]) + u * floats,
            .g_coefficients =
                c->buffers->g_coefficients + (size_t)u * scale->positions * scale->outputs,
            .positions = scale->positions,
            .half = scale->half,
            .affine = affine,
        };
        c->plan->kernels->coupling_backward(&task);
    }
    c->plan->kernels->relu_backward(NULL, c->buffers->g_coefficients, c->positions, scale->outputs,
                                    0.0f, c->sums + c->layout->layer_bias[OF_LAYER_LAST]);
    scatter_taps(c, c->buffers->g_coefficients, scale->outputs, scale->tap_stride, false,
                 c->buffers->g_taps);
    stop(c, start, k, OF_STAGE_BACK_COUPLING);
}

/* Adds a network's input gradients, as taps, to g_pass. */
static void add_input_gradient(const chunk *c, const float *taps) {
    const of_scale_plan *scale = c->scale;
    size_t floats = of_state_floats(scale);
    float *g_pass = state(c, c->buffers->g_pass[c->s]);
    float *sums = c->buffers->g_coefficients; /* free by now, and no smaller */
    float *zero_bias = c->buffers->latents;
    memset(zero_bias, 0, scale->half * sizeof(float));
    of_tap_row row = {.stride = scale->gather_stride,
                      .bias = zero_bias,
                      .outputs = scale->half,
                      .kernel = c->plan->architecture.block == OF_BLOCK_DENSE ? 1 : 3,
                      .height = scale->rows,
                      .width = scale->columns};
    for (uint32_t u = 0; u < c->count; u++) {
        row.taps = taps + (size_t)u * scale->positions * scale->gather_stride;
        for (row.row = 0; row.row < row.height; row.row++) {
            size_t row_floats = (size_t)scale->columns * scale->half;
            c->plan->kernels->tap_sum_row(&row, sums);
            c->plan->kernels->accumulate(sums, g_pass + u * floats + row.row * row_floats,
                                         row_floats);
        }
    }
}

/* Layers whose activations were not kept. */
static of_status recompute(const chunk *c, uint32_t k, const float *pass, of_error *error) {
    of_run run = *c->run;
    if (c->buffers->kept.hidden[OF_LAYER_FIRST][c->s][k] != NULL &&
        c->buffers->kept.hidden[OF_LAYER_MIDDLE][c->s][k] != NULL)
        return OF_OK;
    run.layer_seconds = NULL; /* a part of its own, not the forward pass */
    of_status status = OF_OK;
    double start = of_profile_start(c->run);
    for (int layer = OF_LAYER_FIRST; status == OF_OK && layer <= OF_LAYER_MIDDLE; layer++)
        if (c->buffers->kept.hidden[layer][c->s][k] == NULL)
            status = of_run_layer(&run, of_step_layer(c->plan, c->scale, k, layer), c->first,
                                  c->count, pass, error);
    stop(c, start, k, OF_STAGE_BACK_RECOMPUTE);
    return status;
}

/* Clears the gradients `g` of a layer's outputs where ReLU did, and adds them up for its bias. */
static void backward_relu(const chunk *c, uint32_t k, int layer, const float *outputs, float *g) {
    double start = of_profile_start(c->run);
    c->plan->kernels->relu_backward(outputs, g, c->positions, c->plan->hidden, 0.0f,
                                    c->sums + c->layout->layer_bias[layer]);
    stop(c, start, k, OF_STAGE_BACK_RELU);
}

static void gather_neighbours(const chunk *c, uint32_t k, const float *pass) {
    double start = of_profile_start(c->run);
    scatter_taps(c, pass, c->scale->half, c->scale->gather_stride, true, c->buffers->gathered);
    stop(c, start, k, OF_STAGE_BACK_GATHER);
}

static of_status backward_network(const chunk *c, uint32_t k, of_error *error) {
    const float *pass = kept(c, c->buffers->kept.pass[c->s], k);
    const float *first =
        of_hidden(c->run, of_step_layer(c->plan, c->scale, k, OF_LAYER_FIRST), c->first);
    const float *second =
        of_hidden(c->run, of_step_layer(c->plan, c->scale, k, OF_LAYER_MIDDLE), c->first);
    float *g_taps = c->buffers->g_taps, *gathered = c->buffers->gathered;
    float *g_second = c->buffers->g_hidden[1], *g_first = c->buffers->g_hidden[0];
    size_t hidden = c->plan->hidden;
    of_status status = recompute(c, k, pass, error);
    if (status == OF_OK)
        status = backward_layer(c, k, OF_LAYER_LAST, c->scale->tap_stride, hidden, g_taps, second,
                                g_second, error);
    if (status != OF_OK)
        return status;
    backward_relu(c, k, OF_LAYER_MIDDLE, second, g_second);
    status = backward_layer(c, k, OF_LAYER_MIDDLE, hidden, hidden, g_second, first, g_first, error);
    if (status != OF_OK)
        return status;
    backward_relu(c, k, OF_LAYER_FIRST, first, g_first);
    gather_neighbours(c, k, pass);
    status = backward_layer(c, k, OF_LAYER_FIRST, hidden, c->scale->gather_stride, g_first,
                            gathered, gathered, error);
    double start = of_profile_start(c->run);
    if (status == OF_OK)
        add_input_gradient(c, gathered);
    stop(c, start, k, OF_STAGE_BACK_TAPS);
    return status;
}

/* ---- Weights of a step as the products take them ------------------------------------------ */

/* W[o][i][t] of the 3x3 first layer. Gradients of position q come from p = q - shift_t, which as
 * taps (out[q] = sum of taps[q + shift_t'][t']) means t' = 8 - t: [o][t'*inputs + i]. */
static void mirror_taps(const of_plan *plan, const of_scale_plan *scale, const float *weights,
                        float *mirrored) {
    size_t taps = plan->architecture.block == OF_BLOCK_DENSE ? 1 : 9, inputs = scale->half;
    for (size_t o = 0; o < plan->hidden; o++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < inputs; i++)
                mirrored[o * scale->gather_stride + (taps - 1 - t) * inputs + i] =
                    weights[(o * inputs + i) * taps + t];
}

static void fold_weights(const of_plan *plan, const of_model *model, uint32_t s, uint32_t k,
                         of_backward_buffers *b) {
    of_folded_layer last = {b->weights[OF_LAYER_LAST], b->folded.bias};
    of_folded_layer middle = {b->weights[OF_LAYER_MIDDLE], b->folded.bias};
    of_fold_convolution(model, of_step_layer(plan, &plan->scales[s], k, OF_LAYER_LAST), &last);
    of_fold_convolution(model, of_step_layer(plan, &plan->scales[s], k, OF_LAYER_MIDDLE), &middle);
    of_fold_convolution(model, of_step_layer(plan, &plan->scales[s], k, OF_LAYER_FIRST),
                        &b->folded);
    mirror_taps(plan, &plan->scales[s], b->folded.weights, b->weights[OF_LAYER_FIRST]);
}

/* ---- Scales ------------------------------------------------------------------------------ */

/* The chunk of a group's units that begins at `first`. */
static chunk chunk_at(const of_run *run, of_backward_buffers *buffers, float *sums, uint32_t s,
                      uint32_t first, uint32_t units) {
    const of_scale_plan *scale = &run->plan->scales[s];
    uint32_t count = of_forward_chunk(scale, units - first);
    return (chunk){.run = run,
                   .plan = run->plan,
                   .scale = scale,
                   .layout = &buffers->layouts[s],
                   .buffers = buffers,
                   .sums = sums,
                   .s = s,
                   .first = first,
                   .count = count,
                   .positions = (size_t)count * scale->positions};
}

static of_status backward_step_chunk(const chunk *c, uint32_t k, of_error *error) {
    of_kept *states = &c->buffers->kept;
    backward_coupling(c, k);
    of_status status = backward_network(c, k, error);
    if (status != OF_OK)
        return status;
    if (k == 0)
        return backward_map(c, 0, state(c, states->squeezed_pass[c->s]),
                            state(c, states->squeezed_rest[c->s]), error);
    return backward_map(c, k, kept(c, states->pass[c->s], k - 1),
                        kept(c, states->rest[c->s], k - 1), error);
}

static of_status backward_step(const of_run *run, const of_model *model,
                               of_backward_buffers *buffers, const of_turns *turns, uint32_t s,
                               uint32_t k, uint32_t units, of_error *error) {
    const of_gradient_layout *layout = &buffers->layouts[s];
    size_t place = layout->steps + k * layout->step_room;
    float *sums = sums_of(turns, buffers, place);
    double start = of_profile_start(run);
    fold_weights(run->plan, model, s, k, buffers);
    of_profile_stop(run, start, of_training_layer_number(run->plan, s, k, OF_STAGE_BACK_FOLD));
    /* the products overwrite their sums */
    memset(sums, 0, layout->weights[OF_LAYER_FIRST] * sizeof(float));
    for (uint32_t first = 0; first < units;) {
        const chunk c = chunk_at(run, buffers, sums, s, first, units);
        of_status status = backward_step_chunk(&c, k, error);
        if (status != OF_OK)
            return status;
        first += c.count;
    }
    add_sums(run, turns, sums, place, layout->step_floats);
    return OF_OK;
}

static void backward_priors(const of_run *run, of_backward_buffers *buffers, const of_turns *turns,
                            uint32_t s, uint32_t units) {
    const of_gradient_layout *layout = &buffers->layouts[s];
    float *sums = sums_of(turns, buffers, layout->priors);
    memset(sums, 0, layout->prior_floats * sizeof(float));
    for (uint32_t first = 0; first < units;) {
        const chunk c = chunk_at(run, buffers, sums, s, first, units);
        double start = of_profile_start(run);
        backward_prior(&c);
        stop(&c, start, 0, OF_STAGE_BACK_PRIOR);
        first += c.count;
    }
    add_sums(run, turns, sums, layout->priors, layout->prior_floats);
}

static void pass_to_previous_scale(const of_run *run, of_backward_buffers *buffers, uint32_t s,
                                   uint32_t units) {
    /* of_pixels_leave moves a worker's states; lend it the gradients */
    of_worker lent = {0};
    for (uint32_t i = 0; i <= s; i++) {
        lent.pass[i] = buffers->g_pass[i];
        lent.rest[i] = buffers->g_rest[i];
    }
    const of_run on_gradients = {.plan = run->plan, .worker = &lent};
    double start = of_profile_start(run);
    for (uint32_t u = 0; u < units; u++)
        of_pixels_leave(&on_gradients, of_scale_enter(&run->plan->scales[s]), u, NULL, 0);
    of_profile_stop(run, start, of_training_layer_number(run->plan, s, 0, OF_STAGE_BACK_SPLIT));
}

of_status of_backward_scale(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t s, uint32_t images, of_error *error) {
    uint32_t units = images * run->plan->units;
    of_status status = OF_OK;
    backward_priors(run, buffers, turns, s, units);
    for (uint32_t k = run->plan->architecture.steps; status == OF_OK && k-- > 0;)
        status = backward_step(run, model, buffers, turns, s, k, units, error);
    return status;
}

/* All groups have ended a scale before any of them ends the one before: so scales are told in
 * order. */
static void tell_end_of_scale(const of_turns *turns, uint32_t s) {
    of_scale_watch *watch = turns->watch;
    size_t begin;
    if (watch == NULL || atomic_fetch_sub_explicit(&watch->left[s], 1, memory_order_acq_rel) != 1)
        return;
    size_t count = of_training_scale_part(watch->training, s, &begin);
    watch->exchange->ready(watch->exchange->user, begin, count);
}

of_status of_backward_group(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t images, of_error *error) {
    add_scalars(run->plan, turns, &buffers->group);
    for (uint32_t s = run->plan->scale_count; s-- > 0;) {
        of_status status = of_backward_scale(run, model, buffers, turns, s, images, error);
        if (status != OF_OK)
            return status;
        tell_end_of_scale(turns, s);
        if (s > 0)
            pass_to_previous_scale(run, buffers, s, images * run->plan->units);
    }
    return OF_OK;
}
