/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/run.h"

#include <string.h>

uint32_t of_flow_chunk(const of_scale_plan *scale, uint32_t left) {
    uint32_t chunk = scale->chunk;
    while (chunk > left)
        chunk /= 2;
    return chunk;
}

static of_status run_layer(const of_run *run, uint32_t s, uint32_t k, int layer, uint32_t count,
                           const void *source, void *target, of_error *error) {
    static const int parts[OF_LAYERS] = {OF_STAGE_FIRST, OF_STAGE_MIDDLE, OF_STAGE_LAST,
                                         OF_STAGE_MIX};
    const of_scale_plan *scale = &run->plan->scales[s];
    const of_step_plan *step = &scale->steps[k];
    const of_packed_layer *packed = &step->layers[layer];
    double start = of_profile_start(run);
    of_status status =
        of_convolution_run(scale->layers[layer], count, source, packed->weights, packed->bias,
                           target, run->worker->convolution_scratch, error);
    of_profile_stop(run, start, s, k, parts[layer]);
    return status;
}

void *of_flow_hidden(const of_run *run, uint32_t s, uint32_t k, uint32_t first, int layer) {
    const of_plan *plan = run->plan;
    if (run->kept == NULL || run->kept->hidden[layer][s][k] == NULL)
        return run->worker->hidden[layer];
    size_t floats = (size_t)plan->scales[s].positions * plan->hidden;
    return run->kept->hidden[layer][s][k] + first * floats;
}

/* What the first layer reads: `pass`, or a copy in its precision. */
static const void *network_input(const of_run *run, uint32_t s, uint32_t k, uint32_t count,
                                 const float *pass) {
    const of_scale_plan *scale = &run->plan->scales[s];
    if (scale->precision == OF_PRECISION_F32)
        return pass;
    double start = of_profile_start(run);
    run->plan->kernels->round_to_bf16(pass, run->worker->rounded, count * of_state_floats(scale));
    of_profile_stop(run, start, s, k, OF_STAGE_FIRST);
    return run->worker->rounded;
}

of_status of_flow_hidden_layer(const of_run *run, uint32_t s, uint32_t k, int layer, uint32_t first,
                               uint32_t count, const float *pass, of_error *error) {
    const void *source = layer == OF_LAYER_FIRST ? network_input(run, s, k, count, pass)
                                                 : of_flow_hidden(run, s, k, first, 0);
    return run_layer(run, s, k, layer, count, source, of_flow_hidden(run, s, k, first, layer),
                     error);
}

of_status of_flow_network(const of_run *run, uint32_t s, uint32_t k, uint32_t first, uint32_t count,
                          of_error *error) {
    const of_scale_plan *scale = &run->plan->scales[s];
    const float *pass = run->worker->pass[s] + first * of_state_floats(scale);
    of_status status = of_flow_hidden_layer(run, s, k, OF_LAYER_FIRST, first, count, pass, error);
    if (status == OF_OK)
        status = of_flow_hidden_layer(run, s, k, OF_LAYER_MIDDLE, first, count, pass, error);
    if (status == OF_OK)
        status = run_layer(run, s, k, OF_LAYER_LAST, count, of_flow_hidden(run, s, k, first, 1),
                           run->worker->taps, error);
    return status;
}

/* The map that a tail applies: the next step's, or on the way back this step's inverse. */
static const of_channel_map *tail_map(const of_plan *plan, const of_scale_plan *scale, uint32_t k,
                                      bool inverse) {
    if (plan->architecture.block == OF_BLOCK_DENSE)
        return NULL;
    if (inverse)
        return &scale->steps[k].inverse_map;
    return k + 1 < plan->architecture.steps ? &scale->steps[k + 1].map : NULL;
}

of_coupling_row of_flow_coupling_row(const of_run *run, uint32_t s, uint32_t k, uint32_t place,
                                     uint32_t unit, bool inverse) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[s];
    const of_worker *worker = run->worker;
    of_coupling_row row = {
        .taps = {.taps = worker->taps + (size_t)place * scale->positions * scale->tap_stride,
                 .stride = scale->tap_stride,
                 .bias = scale->steps[k].coefficient_bias,
                 .outputs = scale->outputs,
                 .kernel = scale->kernel,
                 .height = scale->rows,
                 .width = scale->columns},
        .pass = worker->pass[s] + unit * of_state_floats(scale),
        .rest = worker->rest[s] + unit * of_state_floats(scale),
        .half = scale->half,
        .affine = plan->architecture.coupling == OF_COUPLING_AFFINE,
        .inverse = inverse,
        .map = run->without_map ? NULL : tail_map(plan, scale, k, inverse),
        .scratch = worker->row_scratch,
    };
    if (run->kept != NULL) {
        size_t kept = of_kept_offset(plan, k, unit, of_state_floats(scale));
        row.kept_pass = run->kept->pass[s] + kept;
        row.kept_rest = run->kept->rest[s] + kept;
        row.kept_scale = row.affine ? run->kept->scale[s] + kept : NULL;
    }
    return row;
}

void of_flow_tail(const of_run *run, uint32_t s, uint32_t k, uint32_t first, uint32_t count,
                  bool inverse) {
    const of_plan *plan = run->plan;
    double start = of_profile_start(run);
    for (uint32_t u = 0; u < count; u++) {
        of_coupling_row row = of_flow_coupling_row(run, s, k, u, first + u, inverse);
        double log_det = 0;
        for (row.taps.row = 0; row.taps.row < plan->scales[s].rows; row.taps.row++)
            log_det += plan->kernels->coupling_row(&row);
        if (!inverse)
            run->worker->contributions[(size_t)(first + u) * plan->scale_count + s] += log_det;
    }
    of_profile_stop(run, start, s, k, OF_STAGE_TAIL);
}

of_status of_flow_mix(const of_run *run, uint32_t s, uint32_t k, uint32_t first, uint32_t count,
                      bool inverse, of_error *error) {
    const of_scale_plan *scale = &run->plan->scales[s];
    const of_step_plan *step = &scale->steps[k];
    of_worker *worker = run->worker;
    size_t half = scale->half, bytes = half * sizeof(float);
    float *pass = worker->pass[s] + first * half, *rest = worker->rest[s] + first * half;
    for (uint32_t u = 0; u < count; u++) {
        memcpy(worker->mix[0] + 2 * (size_t)u * half, pass + u * half, bytes);
        memcpy(worker->mix[0] + (2 * (size_t)u + 1) * half, rest + u * half, bytes);
    }
    of_status status;
    if (inverse)
        status = of_convolution_run(scale->layers[OF_LAYER_MIX], count, worker->mix[0],
                                    step->inverse_mix.weights, step->inverse_mix.bias,
                                    worker->mix[1], worker->convolution_scratch, error);
    else
        status = run_layer(run, s, k, OF_LAYER_MIX, count, worker->mix[0], worker->mix[1], error);
    for (uint32_t u = 0; status == OF_OK && u < count; u++) {
        memcpy(pass + u * half, worker->mix[1] + 2 * (size_t)u * half, bytes);
        memcpy(rest + u * half, worker->mix[1] + (2 * (size_t)u + 1) * half, bytes);
    }
    return status;
}
