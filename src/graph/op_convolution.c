/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of coupling networks: convolutions, with ActNorm, scale and ReLU folded in. */
#include "core/memory.h"
#include "graph/run.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t of_convolution_weights(const of_convolution_shape *shape) {
    return (size_t)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
}

/* ---- Folding and packing ------------------------------------------------------------------ */

uint32_t of_convolution_source(const of_op *op, uint32_t o) {
    uint32_t half = op->units / 2;
    if (!op->interleaved)
        return o;
    return o < half ? 2 * o : 2 * (o - half) + 1;
}

static void fold_row(const float *weights, size_t stride, size_t count, double factor,
                     float *folded) {
    for (size_t i = 0; i < count; i++)
        folded[i] = (float)(factor * (double)weights[i * stride]);
}

/* y = exp(log_factor log_scale) (W x + shift) */
void of_fold_convolution(const of_model *model, const of_op *op, of_folded_layer *folded) {
    const int *numbers = op->parameters.numbers;
    const float *weights = of_model_values(model, numbers[0]);
    const float *shifts = of_model_values(model, numbers[1]);
    const float *log_scale = of_model_values(model, numbers[2]);
    size_t taps = op->taps ? 9 : (size_t)op->shape.kernel * op->shape.kernel;
    assert(weights != NULL && shifts != NULL);
    size_t row = model->parameters[numbers[0]].count / op->units; /* [inputs][taps] */
    memset(folded->weights, 0, of_convolution_weights(&op->shape) * sizeof(float));
    memset(folded->bias, 0, op->shape.outputs * sizeof(float));
    for (uint32_t o = 0; o < op->units; o++) {
        uint32_t source = of_convolution_source(op, o);
        double factor = log_scale ? exp(op->log_factor * (double)log_scale[source]) : 1;
        folded->bias[o] = (float)(factor * (double)shifts[source]);
        const float *from = weights + source * row;
        if (op->taps) /* output t*units + o of a 1x1 product */
            for (size_t t = 0; t < taps; t++)
                fold_row(from + t, taps, row / taps, factor,
                         folded->weights + (t * op->units + o) * op->shape.inputs);
        else
            fold_row(from, 1, row, factor, folded->weights + o * op->shape.inputs * taps);
    }
}

of_status of_packed_allocate(of_plan *plan, const of_convolution *code, size_t bias_count,
                             of_packed_layer *packed, of_error *error) {
    packed->weights = of_arena_take(&plan->arena, of_convolution_weight_bytes(code), 1);
    packed->bias = of_arena_take(&plan->arena, bias_count, sizeof(float));
    if (packed->weights == NULL || packed->bias == NULL)
        return of_fail_memory(error, "packed weights");
    return OF_OK;
}

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    return of_packed_allocate(plan, op->code, op->shape.outputs, &op->packed, error);
}

static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    (void)plan;
    of_fold_convolution(model, op, &buffers->folded);
    memcpy(op->packed.bias, buffers->folded.bias, op->shape.outputs * sizeof(float));
    return of_convolution_pack(op->code, buffers->folded.weights, op->packed.weights, error);
}

/* ---- Forward ------------------------------------------------------------------------------ */

void *of_hidden(const of_run *run, const of_op *op, uint32_t first) {
    const of_plan *plan = run->plan;
    int layer = (int)op->writes;
    if (run->kept == NULL || run->kept->hidden[layer][op->scale][op->step] == NULL)
        return run->worker->hidden[layer];
    size_t floats = (size_t)plan->scales[op->scale].positions * op->shape.outputs;
    return run->kept->hidden[layer][op->scale][op->step] + first * floats;
}

/* What a first layer reads: `state`, or a copy in its precision. */
static const void *network_input(const of_run *run, const of_op *op, uint32_t count,
                                 const float *state) {
    if (op->shape.source == OF_PRECISION_F32)
        return state;
    run->plan->kernels->round_to_bf16(state, run->worker->rounded,
                                      count * of_state_floats(&run->plan->scales[op->scale]));
    return run->worker->rounded;
}

of_status of_run_layer(const of_run *run, const of_op *op, uint32_t first, uint32_t count,
                       const float *state, of_error *error) {
    const void *source = op->reads == OF_BUFFER_STATE ? network_input(run, op, count, state)
                                                      : of_hidden(run, op - 1, first);
    void *target =
        op->writes == OF_BUFFER_TAPS ? (void *)run->worker->taps : of_hidden(run, op, first);
    return of_convolution_run(op->code, count, source, op->packed.weights, op->packed.bias, target,
                              run->worker->convolution_scratch, error);
}

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    const float *state = run->worker->pass[op->scale] +
                         units->first * of_state_floats(&run->plan->scales[op->scale]);
    return of_run_layer(run, op, units->first, units->count, state, error);
}

/* ---- For people --------------------------------------------------------------------------- */

static size_t number_bytes(of_precision precision) {
    return precision == OF_PRECISION_BF16 ? sizeof(uint16_t) : sizeof(float);
}

void of_convolution_describe(const of_plan *plan, const of_op *op, of_layer_info *info) {
    const of_convolution_shape *shape = &op->shape;
    size_t positions = (size_t)plan->units * shape->height * shape->width;
    (void)snprintf(info->operation, sizeof info->operation, "%ux%u %u->%u%s%s",
                   (unsigned)shape->kernel, (unsigned)shape->kernel, (unsigned)shape->inputs,
                   (unsigned)shape->outputs, shape->relu ? " +relu" : "", op->taps ? " taps" : "");
    info->kernel = of_convolution_kernel(op->code);
    info->precision = shape->source;
    info->images_per_call = plan->scales[op->scale].chunk;
    info->flops = 2.0 * (double)positions * (double)of_convolution_weights(shape);
    info->weight_bytes = of_convolution_weight_bytes(op->code);
    info->input_bytes = positions * shape->inputs * number_bytes(shape->source);
    info->output_bytes = positions * shape->outputs * number_bytes(shape->target);
}

const of_op_type of_convolution_type = {
    .allocate = allocate, .pack = pack, .forward = forward, .describe = of_convolution_describe};
