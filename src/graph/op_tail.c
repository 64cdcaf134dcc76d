/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step: coefficients from taps, coupling, and the map that follows. Whatever there is
 * to know about a coupling's scale map is here and in its kernels. */
#include "graph/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    if (op->scale_map == OF_SCALE_MAP_TANH) {
        op->gain = of_arena_take(&plan->arena, op->outputs / 2, sizeof(float));
        if (op->gain == NULL)
            return of_fail_memory(error, "gains");
    }
    return of_map_allocate(plan, &op->map, false, error);
}

static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    (void)plan;
    if (op->gain != NULL)
        memcpy(op->gain, of_model_values(model, op->parameters.numbers[0]),
               op->outputs / 2 * sizeof(float));
    return of_map_pack(model, op->scale, &op->map, buffers, error);
}

/* ---- Forward and inverse ------------------------------------------------------------------ */

/* A closing map stands behind all steps. */
static bool is_closing(const of_plan *plan, const of_step_map *map) {
    return map->channels > 0 && map->step == plan->architecture.steps;
}

/* The map that a tail applies: the next step's, or on the way back the inverse of this step's,
 * which the op before the network applied, unless that was a closing one. */
static const of_channel_map *map_of(const of_plan *plan, const of_op *op, bool inverse) {
    const of_step_map *before = &of_tail_network(op)[-1].map;
    if (inverse && is_closing(plan, before))
        return NULL;
    const of_channel_map *map = inverse ? &before->inverse : &op->map.forward;
    return map->matrix != NULL ? map : NULL;
}

static of_tap_row tap_row(const of_plan *plan, const of_op *op, const float *taps) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    return (of_tap_row){.taps = taps,
                        .stride = op->tap_stride,
                        .bias = op[-1].packed.bias,
                        .edge_bias = op[-1].packed.edge_bias,
                        .outputs = op->outputs,
                        .kernel = op->kernel,
                        .height = scale->rows,
                        .width = scale->columns};
}

of_coupling_row of_tail_row(const of_run *run, const of_op *op, uint32_t place, uint32_t unit,
                            bool inverse) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    const of_worker *worker = run->worker;
    size_t floats = of_state_floats(scale);
    of_coupling_row row = {
        .taps = tap_row(plan, op,
                        (const float *)worker->buffers[OF_BUFFER_TAPS] +
                            (size_t)place * scale->positions * op->tap_stride),
        .pass = (op->on_pass ? worker->rest : worker->pass)[op->scale] + unit * floats,
        .rest = (op->on_pass ? worker->pass : worker->rest)[op->scale] + unit * floats,
        .half = scale->half,
        .affine = op->affine,
        .inverse = inverse,
        .scale_map = op->scale_map,
        .shift_after = op->shift_after,
        .gain = op->gain,
        .map = run->without_map ? NULL : map_of(plan, op, inverse),
        .scratch = worker->row_scratch,
    };
    if (run->kept != NULL) {
        size_t kept = of_kept_offset(plan, op->step, unit, floats);
        row.kept_pass = run->kept->pass[op->scale] + kept;
        row.kept_rest = run->kept->rest[op->scale] + kept;
        row.kept_scale = row.affine ? run->kept->scale[op->scale] + kept : NULL;
        row.kept_tanh =
            op->scale_map == OF_SCALE_MAP_TANH ? run->kept->tanh[op->scale] + kept : NULL;
        row.kept_scaled = op->shift_after ? run->kept->scaled[op->scale] + kept : NULL;
    }
    return row;
}

static void run_rows(const of_run *run, const of_op *op, const of_units *units, bool inverse) {
    const of_plan *plan = run->plan;
    for (uint32_t u = 0; u < units->count; u++) {
        uint32_t unit = units->first + u;
        of_coupling_row row = of_tail_row(run, op, u, unit, inverse);
        double log_det = 0;
        for (row.taps.row = 0; row.taps.row < row.taps.height; row.taps.row++)
            log_det += plan->kernels->coupling_row(&row);
        if (!inverse)
            run->worker->contributions[(size_t)unit * plan->scale_count + op->scale] += log_det;
    }
}

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    (void)error;
    run_rows(run, op, units, false);
    return OF_OK;
}

/* A closing map's inverse, which no other kernel applies. */
static void invert_closing(const of_run *run, const of_op *op, const of_units *units) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    size_t first = units->first * of_state_floats(scale);
    of_channel_map_apply(&op->map.inverse, (size_t)units->count * scale->positions,
                         (double *)(void *)run->worker->row_scratch,
                         run->worker->pass[op->scale] + first,
                         run->worker->rest[op->scale] + first);
}

/* The network reads what the coupling let pass. */
static of_status inverse(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    of_status status = OF_OK;
    if (is_closing(run->plan, &op->map))
        invert_closing(run, op, units);
    for (const of_op *layer = of_tail_network(op); status == OF_OK && layer < op; layer++)
        status = of_convolution_type.forward(run, layer, units, error);
    if (status == OF_OK)
        run_rows(run, op, units, true);
    return status;
}

/* ---- Backward ----------------------------------------------------------------------------- */

/* To the last layer's taps, in what it multiplies. */
static void scatter(const of_chunk *c, const of_op *op, const of_tap_row *shape) {
    float *values = c->buffers->g_coefficients, *taps = c->buffers->g_buffer[OF_BUFFER_TAPS];
    if (!of_goes_back_in_bf16(op - 1)) {
        of_scatter_taps(c, shape, values, false, taps);
        return;
    }
    void *rounded = c->run->worker->buffers[OF_BUFFER_TAPS]; /* the forward pass is over */
    const of_tap_row pairs = of_paired_taps(*shape);
    c->plan->kernels->round_to_bf16(values, rounded, c->positions * op->outputs);
    of_scatter_taps(c, &pairs, rounded, false, taps);
}

static void backward_coupling(const of_chunk *c, const of_op *op) {
    const of_scale_plan *scale = c->scale;
    const of_kept *states = &c->buffers->kept;
    size_t floats = of_state_floats(scale);
    const float *rest = of_chunk_kept(c, states->rest[c->s], op->step);
    const float *factor = op->affine ? of_chunk_kept(c, states->scale[c->s], op->step) : NULL;
    const float *tanh_kept =
        op->scale_map == OF_SCALE_MAP_TANH ? of_chunk_kept(c, states->tanh[c->s], op->step) : NULL;
    const float *scaled = op->shift_after ? of_chunk_kept(c, states->scaled[c->s], op->step) : NULL;
    float *g_changed = (op->on_pass ? c->buffers->g_pass : c->buffers->g_rest)[c->s];
    const of_tap_row shape = tap_row(c->plan, op, NULL);
    double start = of_profile_start(c->run);
    for (uint32_t u = 0; u < c->count; u++) {
        uint32_t image = (c->first + u) / c->plan->units;
        const of_coupling_backward task = {
            .rest_after = rest + u * floats,
            .scale = factor ? factor + u * floats : NULL,
            .log_det_gradient = (float)c->buffers->logp_gradients[image],
            .g_rest = of_chunk_state(c, g_changed) + u * floats,
            .g_coefficients =
                c->buffers->g_coefficients + (size_t)u * scale->positions * op->outputs,
            .positions = scale->positions,
            .half = scale->half,
            .affine = op->affine,
            .scale_map = op->scale_map,
            .shift_after = op->shift_after,
            .gain = op->gain,
            .tanh_kept = tanh_kept ? tanh_kept + u * floats : NULL,
            .scaled = scaled ? scaled + u * floats : NULL,
            .gain_gradient = op->gain ? c->sums + op->gain_sums : NULL,
        };
        c->plan->kernels->coupling_backward(&task);
    }
    of_add_edge_sums(c, op - 1, c->buffers->g_coefficients);
    c->plan->kernels->relu_backward(NULL, c->buffers->g_coefficients, c->positions, op->outputs,
                                    0.0f, c->sums + op[-1].bias_sums);
    scatter(c, op, &shape);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_COUPLING);
}

/* Layers whose activations were not kept. */
static of_status recompute(const of_chunk *c, const of_op *tail, of_error *error) {
    const float *pass = of_chunk_kept(c, c->buffers->kept.pass[c->s], tail->step);
    of_status status = OF_OK;
    for (const of_op *op = of_tail_network(tail); status == OF_OK && op + 1 < tail; op++) {
        if (c->buffers->kept.hidden[op - c->plan->ops] != NULL)
            continue;
        double start = of_profile_start(c->run);
        status = of_run_layer(c->run, op, c->first, c->count, pass, error);
        of_chunk_stop(c, start, tail->step, OF_STAGE_BACK_RECOMPUTE);
    }
    return status;
}

/* The step's map is that of the op before the network. */
static of_status backward(const of_chunk *c, const of_op *op, of_error *error) {
    const of_op *network = of_tail_network(op);
    backward_coupling(c, op);
    of_status status = recompute(c, op, error);
    for (const of_op *layer = op; status == OF_OK && layer-- > network;)
        status = of_convolution_type.backward(c, layer, error);
    if (status == OF_OK && network[-1].map.channels > 0)
        status = of_map_type.backward(c, network - 1, error);
    return status;
}

static of_status unfold(const of_unfolding *t, const of_op *op, of_error *error) {
    const of_op *network = of_tail_network(op);
    float *g_gain = of_unfolding_gradient(t, op->parameters.numbers[0]);
    of_status status = OF_OK;
    if (network[-1].map.channels > 0)
        status = of_map_type.unfold(t, network - 1, error);
    for (uint32_t i = 0; g_gain != NULL && i < op->outputs / 2; i++)
        g_gain[i] = t->sums[op->gain_sums + i];
    for (const of_op *layer = network; status == OF_OK && layer < op; layer++)
        status = of_convolution_type.unfold(t, layer, error);
    return status;
}

/* ---- Where log-determinants come from ----------------------------------------------------- */

/* log sigmoid(t), also where the float of the sigmoid would not do. */
static double log_sigmoid(double t) {
    return t > 0 ? -log1p(exp(-t)) : t - log1p(exp(t));
}

/* l of coefficient number c; see of_coupling_row. */
static double log_scale(const of_op *op, double raw, uint32_t c) {
    switch (op->scale_map) {
    case OF_SCALE_MAP_EXP:
        return raw;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return -log_sigmoid(raw + 2);
    case OF_SCALE_MAP_TANH:
        return (double)op->gain[c] * tanh(raw);
    default:
        return log_sigmoid(raw + 2);
    }
}

void of_tail_log_dets(const of_run *run, const of_op *op, float *coefficients,
                      double *contributions) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    of_tap_row row = tap_row(run->plan, op, run->worker->buffers[OF_BUFFER_TAPS]);
    size_t spread = (size_t)scale->shape.height * scale->shape.width / scale->positions;
    for (row.row = 0; op->affine && row.row < row.height; row.row++) {
        run->plan->kernels->tap_sum_row(&row, coefficients);
        for (size_t x = 0; x < row.width; x++) {
            const float *raw = coefficients + x * op->outputs + scale->half;
            double sum = 0;
            for (uint32_t c = 0; c < scale->half; c++)
                sum += log_scale(op, (double)raw[c], c);
            double *first = contributions + ((size_t)row.row * row.width + x) * spread;
            for (size_t i = 0; i < spread; i++)
                first[i] += sum / (double)spread;
        }
    }
}

/* ---- For people --------------------------------------------------------------------------- */

static void describe(const of_plan *plan, const of_op *op, of_layer_info *info) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    bool map = op->map.channels > 0;
    (void)snprintf(info->operation, sizeof info->operation, "%s%s%s",
                   op->kernel == 3 ? "tap sum, " : "",
                   of_coupling_name(op->affine ? OF_COUPLING_AFFINE : OF_COUPLING_ADDITIVE),
                   map ? ", next map" : "");
    info->flops = map ? of_describe_map_flops(plan, scale) : 0;
    info->weight_bytes = (map ? scale->channels : 0) * (size_t)scale->channels * sizeof(float);
    info->output_bytes = of_describe_state_bytes(plan, scale);
    info->input_bytes = info->output_bytes +
                        (size_t)plan->units * scale->positions * op->tap_stride * sizeof(float);
}

const of_op_type of_tail_type = {.allocate = allocate,
                                 .pack = pack,
                                 .forward = forward,
                                 .inverse = inverse,
                                 .backward = backward,
                                 .unfold = unfold,
                                 .describe = describe};
