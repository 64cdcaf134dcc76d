/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a step: coefficients from taps, coupling, and the map that follows. Whatever there is
 * to know about a coupling's scale map is here and in its kernels. */
#include "graph/run.h"

#include <math.h>
#include <stdio.h>

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    return of_map_allocate(plan, &op->map, false, error);
}

static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    (void)plan;
    return of_map_pack(model, op->scale, &op->map, buffers, error);
}

/* ---- Forward and inverse ------------------------------------------------------------------ */

/* The first op of the network whose taps a tail sums. */
static const of_op *network_of(const of_op *tail) {
    return tail - tail->network;
}

/* The map that a tail applies: the next step's, or on the way back the inverse of this step's,
 * which the op before the network applied. */
static const of_channel_map *map_of(const of_op *op, bool inverse) {
    const of_channel_map *map = inverse ? &network_of(op)[-1].map.inverse : &op->map.forward;
    return map->matrix != NULL ? map : NULL;
}

static of_tap_row tap_row(const of_plan *plan, const of_op *op, const float *taps) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    return (of_tap_row){.taps = taps,
                        .stride = op->tap_stride,
                        .bias = op[-1].packed.bias,
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
        .taps = tap_row(plan, op, worker->taps + (size_t)place * scale->positions * op->tap_stride),
        .pass = worker->pass[op->scale] + unit * floats,
        .rest = worker->rest[op->scale] + unit * floats,
        .half = scale->half,
        .affine = op->affine,
        .inverse = inverse,
        .map = run->without_map ? NULL : map_of(op, inverse),
        .scratch = worker->row_scratch,
    };
    if (run->kept != NULL) {
        size_t kept = of_kept_offset(plan, op->step, unit, floats);
        row.kept_pass = run->kept->pass[op->scale] + kept;
        row.kept_rest = run->kept->rest[op->scale] + kept;
        row.kept_scale = row.affine ? run->kept->scale[op->scale] + kept : NULL;
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

/* The network reads what the coupling let pass. */
static of_status inverse(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    of_status status = OF_OK;
    for (const of_op *layer = network_of(op); status == OF_OK && layer < op; layer++)
        status = of_convolution_type.forward(run, layer, units, error);
    if (status == OF_OK)
        run_rows(run, op, units, true);
    return status;
}

/* ---- Where log-determinants come from ----------------------------------------------------- */

/* log sigmoid(raw + 2), also where the float of the sigmoid would not do. */
static double log_scale(float raw) {
    double t = (double)raw + 2;
    return t > 0 ? -log1p(exp(-t)) : t - log1p(exp(t));
}

void of_tail_log_dets(const of_run *run, const of_op *op, float *coefficients,
                      double *contributions) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    of_tap_row row = tap_row(run->plan, op, run->worker->taps);
    size_t spread = (size_t)scale->shape.height * scale->shape.width / scale->positions;
    for (row.row = 0; op->affine && row.row < row.height; row.row++) {
        run->plan->kernels->tap_sum_row(&row, coefficients);
        for (size_t x = 0; x < row.width; x++) {
            const float *raw = coefficients + x * op->outputs + scale->half;
            double sum = 0;
            for (uint32_t c = 0; c < scale->half; c++)
                sum += log_scale(raw[c]);
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
                   of_coupling_name(plan->architecture.coupling), map ? ", next map" : "");
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
                                 .describe = describe};
