/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of coupling networks and split priors: convolutions, with ActNorm, scale and ReLU folded
 * in. Edges, constants e[ky][kx] for the taps that fall outside the image:
 *     in a last layer   a bias for each of the 16 ways to stand at the image's edge
 *     in a first one    sum of e over taps outside = sum of e over all taps - those inside: a bias,
 *                       and weights -e for one more channel that is 1 wherever there is image. */
#include "core/memory.h"
#include "graph/integer_convolution.h"
#include "graph/training.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Folding and packing ------------------------------------------------------------------ */

/* Number of the layer's own output that becomes output `o`. */
static uint32_t source_of(const of_op *op, uint32_t o) {
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

static double factor_of(const of_op *op, const float *log_scale, uint32_t source) {
    double factor = log_scale ? exp(op->log_factor * (double)log_scale[source]) : 1;
    return op->negated ? -factor : factor;
}

/* As the layer multiplies it: what is left over from a rounded sum of edges would not be zero. */
static double rounded_edge(const of_op *op, float edge) {
    if (op->shape.source != OF_PRECISION_BF16)
        return (double)edge;
    uint16_t upper;
    of_kernels_for(OF_ISA_SCALAR)->round_to_bf16(&edge, &upper, 1);
    uint32_t bits = (uint32_t)upper << 16;
    memcpy(&edge, &bits, sizeof edge);
    return (double)edge;
}

/* The channel of ones behind the others, and its part of the bias; edge [taps] of one output. */
static void fold_ones(const of_op *op, const float *edge, size_t taps, double factor,
                      float *weights, float *bias) {
    double sum = 0;
    for (size_t t = 0; t < taps; t++) {
        double value = rounded_edge(op, (float)(factor * (double)edge[t]));
        weights[t] = (float)-value;
        sum += value;
    }
    *bias = (float)((double)*bias + sum);
}

/* y = exp(log_factor log_scale) (W x + shift) */
void of_fold_convolution(const of_model *model, const of_op *op, of_folded_layer *folded) {
    const int *numbers = op->parameters.numbers;
    const float *weights = of_model_values(model, numbers[OF_CONVOLUTION_WEIGHT]);
    const float *shifts = of_model_values(model, numbers[OF_CONVOLUTION_SHIFT]);
    const float *log_scale = of_model_values(model, numbers[OF_CONVOLUTION_LOG_SCALE]);
    const float *edges = of_model_values(model, numbers[OF_CONVOLUTION_EDGE]);
    size_t taps = op->taps ? 9 : (size_t)op->shape.kernel * op->shape.kernel;
    assert(weights != NULL && shifts != NULL);
    /* [inputs][taps] */
    size_t row = model->parameters[numbers[OF_CONVOLUTION_WEIGHT]].count / op->units;
    memset(folded->weights, 0, of_convolution_weights(&op->shape) * sizeof(float));
    memset(folded->bias, 0, op->shape.outputs * sizeof(float));
    for (uint32_t o = 0; o < op->units; o++) {
        uint32_t source = source_of(op, o);
        double factor = factor_of(op, log_scale, source);
        folded->bias[o] = (float)(factor * (double)shifts[source]);
        const float *from = weights + source * row;
        if (of_has_ones(op))
            fold_ones(op, edges + (size_t)source * taps, taps, factor,
                      folded->weights + (size_t)o * op->shape.inputs * taps + row,
                      &folded->bias[o]);
        if (op->taps) /* output t*units + o of a 1x1 product */
            for (size_t t = 0; t < taps; t++)
                fold_row(from + t, taps, row / taps, factor,
                         folded->weights + (t * op->units + o) * op->shape.inputs);
        else
            fold_row(from, 1, row, factor, folded->weights + (size_t)o * op->shape.inputs * taps);
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

/* Is tap t = ky*3 + kx outside the image at an edge? */
static bool falls_outside(uint32_t t, uint32_t edge) {
    return (t / 3 == 0 && (edge & OF_EDGE_TOP)) || (t / 3 == 2 && (edge & OF_EDGE_BOTTOM)) ||
           (t % 3 == 0 && (edge & OF_EDGE_LEFT)) || (t % 3 == 2 && (edge & OF_EDGE_RIGHT));
}

static double edge_sum(const float *edge, uint32_t where) {
    double sum = 0;
    for (uint32_t t = 0; t < 9; t++)
        sum += falls_outside(t, where) ? (double)edge[t] : 0;
    return sum;
}

static void fold_edges(const of_model *model, of_op *op) {
    const int *numbers = op->parameters.numbers;
    const float *edges = of_model_values(model, numbers[OF_CONVOLUTION_EDGE]);
    const float *shifts = of_model_values(model, numbers[OF_CONVOLUTION_SHIFT]);
    const float *log_scale = of_model_values(model, numbers[OF_CONVOLUTION_LOG_SCALE]);
    for (uint32_t where = 0; where < OF_EDGES; where++)
        for (uint32_t o = 0; o < op->units; o++) {
            uint32_t source = source_of(op, o);
            op->packed.edge_bias[(size_t)where * op->units + o] =
                (float)(factor_of(op, log_scale, source) *
                        ((double)shifts[source] + edge_sum(edges + (size_t)source * 9, where)));
        }
}

static bool has_edge_bias(const of_op *op) {
    return op->edges && !of_has_ones(op);
}

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    of_arena *arena = &plan->arena;
    size_t half = plan->scales[op->scale].half;
    if (of_goes_back_in_bf16(op)) {
        op->way_back = of_arena_take(arena, of_convolution_weight_bytes(op->transposed_code), 1);
        if (op->way_back == NULL)
            return of_fail_memory(error, "packed weights");
    }
    of_status status = of_packed_allocate(plan, op->code, op->shape.outputs, &op->packed, error);
    if (status != OF_OK)
        return status;
    if (has_edge_bias(op))
        op->packed.edge_bias = of_arena_take(arena, (size_t)OF_EDGES * op->units, sizeof(float));
    if (op->rectified) {
        op->input_scale = of_arena_take(arena, half, sizeof(float));
        op->input_shift = of_arena_take(arena, half, sizeof(float));
    }
    if ((has_edge_bias(op) && op->packed.edge_bias == NULL) ||
        (op->rectified && (op->input_scale == NULL || op->input_shift == NULL)))
        return of_fail_memory(error, "a layer");
    return OF_OK;
}

static void pack_input(const of_plan *plan, const of_model *model, of_op *op) {
    const int *numbers = op->parameters.numbers;
    size_t bytes = plan->scales[op->scale].half * sizeof(float);
    memcpy(op->input_scale, of_model_values(model, numbers[OF_CONVOLUTION_INPUT_SCALE]), bytes);
    memcpy(op->input_shift, of_model_values(model, numbers[OF_CONVOLUTION_INPUT_SHIFT]), bytes);
}

/* W[o][i][t] of a layer that reads the state. Gradients of position q come from p = q - shift_t,
 * which as taps (out[q] = sum of taps[q + shift_t'][t']) means t' = 8 - t: [o][t'*inputs + i]. */
static void mirror_taps(const of_op *op, const float *weights, float *mirrored) {
    size_t taps = (size_t)op->shape.kernel * op->shape.kernel, inputs = op->shape.inputs;
    size_t stride = of_product_inputs(op);
    for (size_t o = 0; o < op->shape.outputs; o++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < inputs; i++)
                mirrored[o * stride + (taps - 1 - t) * inputs + i] =
                    weights[(o * inputs + i) * taps + t];
}

/* The way back reads the same weights with their rows and columns changed over. */
static of_status pack_way_back(const of_op *op, const of_pack_buffers *buffers, of_error *error) {
    bool mirror = of_reads_state(op);
    if (mirror) {
        memset(buffers->mirrored, 0, op->shape.outputs * of_product_inputs(op) * sizeof(float));
        mirror_taps(op, buffers->folded.weights, buffers->mirrored);
    }
    return of_convolution_pack_transposed(op->transposed_code,
                                          mirror ? buffers->mirrored : buffers->folded.weights,
                                          op->way_back, error);
}

static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    of_fold_convolution(model, op, &buffers->folded);
    if (has_edge_bias(op))
        fold_edges(model, op);
    if (op->rectified)
        pack_input(plan, model, op);
    of_status status = OF_OK;
    if (of_is_integer(op->shape.source))
        status = of_integer_fold(plan, op, &buffers->folded, error);
    if (status != OF_OK)
        return status;
    memcpy(op->packed.bias, buffers->folded.bias, op->shape.outputs * sizeof(float));
    status = of_convolution_pack(op->code, buffers->folded.weights, op->packed.weights, error);
    return status == OF_OK && of_goes_back_in_bf16(op) ? pack_way_back(op, buffers, error) : status;
}

/* ---- Forward ------------------------------------------------------------------------------ */

void *of_hidden(const of_run *run, const of_op *op, uint32_t first) {
    char *kept = run->kept != NULL ? run->kept->hidden[op - run->plan->ops] : NULL;
    if (kept == NULL)
        return run->worker->buffers[op->writes];
    return kept + (size_t)first * op->shape.height * op->shape.width * op->shape.outputs *
                      of_precision_bytes(op->shape.target);
}

bool of_copies_input(const of_op *op) {
    return of_reads_state(op) &&
           (op->shape.source != OF_PRECISION_F32 || op->rectified || of_has_ones(op));
}

void of_copy_input(const of_run *run, const of_op *op, const float *state, size_t first,
                   size_t positions) {
    const of_kernels *kernels = run->plan->kernels;
    uint32_t half = run->plan->scales[op->scale].half;
    const of_network_input input = {.pass = state + first * half,
                                    .scale = op->input_scale,
                                    .shift = op->input_shift,
                                    .positions = positions,
                                    .half = half,
                                    .inputs = op->shape.inputs,
                                    .ones = of_has_ones(op)};
    size_t place = first * op->shape.inputs;
    if (op->shape.source == OF_PRECISION_F32)
        kernels->network_input(&input, (float *)run->worker->buffers[op->reads] + place);
    else if (op->shape.source == OF_PRECISION_INT16)
        kernels->network_input_s16(&input, op->input_factor,
                                   (int16_t *)run->worker->buffers[op->reads] + place);
    else if (op->rectified || input.ones)
        kernels->network_input_bf16(&input, (uint16_t *)run->worker->buffers[op->reads] + place);
    else
        kernels->round_to_bf16(input.pass, (uint16_t *)run->worker->buffers[op->reads] + place,
                               positions * half);
}

const void *of_network_input_of(const of_run *run, const of_op *op, uint32_t count,
                                const float *state) {
    if (!of_copies_input(op))
        return state;
    of_copy_input(run, op, state, 0, (size_t)count * run->plan->scales[op->scale].positions);
    return run->worker->buffers[op->reads];
}

of_status of_run_layer(const of_run *run, const of_op *op, uint32_t first, uint32_t count,
                       const float *state, of_error *error) {
    const void *source = of_reads_state(op) ? of_network_input_of(run, op, count, state)
                                            : of_hidden(run, op - 1, first);
    of_status status =
        of_convolution_run(op->code, count, source, op->packed.weights, op->packed.bias,
                           of_hidden(run, op, first), run->worker->convolution_scratch, error);
    if (run->ranges != NULL)
        of_observe_layer(run, op, count, source, of_hidden(run, op, first));
    return status;
}

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    const of_worker *worker = run->worker;
    const float *state =
        op->reads == OF_BUFFER_REST ? worker->rest[op->scale] : worker->pass[op->scale];
    state += units->first * of_state_floats(&run->plan->scales[op->scale]);
    return of_run_layer(run, op, units->first, units->count, state, error);
}

/* ---- Backward ----------------------------------------------------------------------------- */

void of_fold_weights(const of_model *model, const of_op *tail, of_backward_buffers *b) {
    for (const of_op *op = of_tail_network(tail); op < tail; op++) {
        if (of_goes_back_in_bf16(op))
            continue;
        of_folded_layer direct = {b->weights[op->writes], b->folded.bias};
        bool mirror = of_reads_state(op);
        of_fold_convolution(model, op, mirror ? &b->folded : &direct);
        if (mirror)
            mirror_taps(op, b->folded.weights, direct.weights);
    }
}

void of_scatter_taps(const of_chunk *c, const of_tap_row *shape, const float *values, bool mirrored,
                     float *target) {
    of_tap_row row = *shape;
    for (uint32_t u = 0; u < c->count; u++)
        for (row.row = 0; row.row < row.height; row.row++)
            c->plan->kernels->tap_scatter_row(
                &row, values + (size_t)u * c->scale->positions * row.outputs, mirrored,
                target + (size_t)u * c->scale->positions * row.stride);
}

void of_add_edge_sums(const of_chunk *c, const of_op *op, const float *gradients) {
    uint32_t height = op->shape.height, width = op->shape.width;
    if (op->packed.edge_bias == NULL)
        return;
    for (uint32_t u = 0; u < c->count; u++)
        for (uint32_t y = 0; y < height; y++)
            for (uint32_t x = 0; x < width; x++, gradients += op->units) {
                uint32_t where = (y == 0 ? OF_EDGE_TOP : 0) |
                                 (y + 1 == height ? OF_EDGE_BOTTOM : 0) |
                                 (x == 0 ? OF_EDGE_LEFT : 0) | (x + 1 == width ? OF_EDGE_RIGHT : 0);
                if (where != 0)
                    c->plan->kernels->accumulate(
                        gradients, c->sums + op->edge_sums + (size_t)where * op->units, op->units);
            }
}

/* The taps of a layer that reads the state. */
static of_tap_row input_taps(const of_op *op) {
    return (of_tap_row){.stride = of_product_inputs(op),
                        .outputs = op->shape.inputs,
                        .kernel = op->shape.kernel,
                        .height = op->shape.height,
                        .width = op->shape.width};
}

/* The gradients of what a network read, [width][inputs] of a row, to those of the state. */
static void add_row_gradient(const of_chunk *c, const of_op *op, const float *g_inputs,
                             size_t place, float *g_state) {
    const of_kernels *kernels = c->plan->kernels;
    const float *state = of_chunk_kept(c, c->buffers->kept.pass[c->s], op->step);
    if (!of_copies_input(op)) {
        kernels->accumulate(g_inputs, g_state + place, (size_t)op->shape.width * op->shape.inputs);
        return;
    }
    const of_network_input_backward task = {.pass = state + place,
                                            .scale = op->input_scale,
                                            .shift = op->input_shift,
                                            .g_inputs = g_inputs,
                                            .g_pass = g_state + place,
                                            .scale_gradient = c->sums + op->input_scale_sums,
                                            .shift_gradient = c->sums + op->input_shift_sums,
                                            .positions = op->shape.width,
                                            .half = c->scale->half,
                                            .inputs = op->shape.inputs};
    kernels->network_input_backward(&task);
}

/* Adds a network's input gradients, as taps, to those of the half that it read. */
static void add_input_gradient(const of_chunk *c, const of_op *op, const float *taps) {
    size_t floats = of_state_floats(c->scale),
           row_floats = (size_t)op->shape.width * c->scale->half;
    float *g_state = of_chunk_state(
        c, (op->reads == OF_BUFFER_REST ? c->buffers->g_rest : c->buffers->g_pass)[c->s]);
    float *sums = c->buffers->g_coefficients; /* free by now, and no smaller */
    float *zero_bias = c->buffers->latents;
    of_tap_row row = input_taps(op);
    memset(zero_bias, 0, row.outputs * sizeof(float));
    row.bias = zero_bias;
    for (uint32_t u = 0; u < c->count; u++) {
        row.taps = taps + (size_t)u * c->scale->positions * row.stride;
        for (row.row = 0; row.row < row.height; row.row++) {
            c->plan->kernels->tap_sum_row(&row, sums);
            add_row_gradient(c, op, sums, u * floats + row.row * row_floats, g_state);
        }
    }
}

/* Clears the gradients of a layer's outputs where ReLU did, and adds them up for its bias. */
static void backward_relu(const of_chunk *c, const of_op *op, void *g) {
    double start = of_profile_start(c->run);
    if (op->shape.relu)
        of_layer_relu(c, op, of_hidden(c->run, op, c->first), g);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_RELU);
}

/* What the layer read: hidden activations, or neighbourhoods of the state, which are gathered. */
static const void *gather_inputs(const of_chunk *c, const of_op *op) {
    if (!of_reads_state(op))
        return of_hidden(c->run, op - 1, c->first);
    double start = of_profile_start(c->run);
    float *gathered = c->buffers->g_buffer[op->reads];
    const of_tap_row shape =
        of_goes_back_in_bf16(op) ? of_paired_taps(input_taps(op)) : input_taps(op);
    const float *state = of_chunk_kept(c, c->buffers->kept.pass[c->s], op->step);
    of_scatter_taps(c, &shape, of_network_input_of(c->run, op, c->count, state), true, gathered);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_GATHER);
    return gathered;
}

/* From gradients G of what the layer wrote: of its weights, G^T X summed over the group's chunks,
 * and of what it read, which may take the place of X. */
static of_status backward(const of_chunk *c, const of_op *op, of_error *error) {
    float *g = c->buffers->g_buffer[op->writes], *g_x = c->buffers->g_buffer[op->reads];
    int layer = (int)op->writes;
    backward_relu(c, op, g);
    const void *x = gather_inputs(c, op);
    double start = of_profile_start(c->run);
    of_status status = of_layer_weight_product(c, op, g, x, error);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_WEIGHTS + layer);
    start = of_profile_start(c->run);
    if (status == OF_OK)
        status = of_layer_data_product(c, op, g, g_x, error);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_DATA + layer);
    start = of_profile_start(c->run);
    if (status == OF_OK && of_reads_state(op))
        add_input_gradient(c, op, g_x);
    of_chunk_stop(c, start, op->step, OF_STAGE_BACK_TAPS);
    return status;
}

/* ---- Sums to gradients of parameters: w' = f w, b' = f b with f = exp(factor * log_scale) ---- */

/* The gradient of tap t of output o's edge, before its factor. */
static double edge_gradient(const of_unfolding *t, const of_op *op, uint32_t o, size_t tap,
                            const float *ones_sums, size_t tap_step) {
    if (of_has_ones(op))
        return (double)t->sums[op->bias_sums + o] - (double)ones_sums[tap * tap_step];
    double sum = 0;
    for (uint32_t where = 0; where < OF_EDGES; where++)
        if (falls_outside((uint32_t)tap, where))
            sum += (double)t->sums[op->edge_sums + (size_t)where * op->units + o];
    return sum;
}

static void unfold_output(const of_unfolding *t, const of_op *op, uint32_t o) {
    const int *numbers = op->parameters.numbers;
    const float *log_scale = of_model_values(t->model, numbers[OF_CONVOLUTION_LOG_SCALE]);
    const float *edges = of_model_values(t->model, numbers[OF_CONVOLUTION_EDGE]);
    float *g_edges = of_unfolding_gradient(t, numbers[OF_CONVOLUTION_EDGE]);
    float *g_log_scale = of_unfolding_gradient(t, numbers[OF_CONVOLUTION_LOG_SCALE]);
    size_t source = source_of(op, o);
    size_t taps = op->taps ? 9 : (size_t)op->shape.kernel * op->shape.kernel;
    size_t row = t->model->parameters[numbers[0]].count / op->units, inputs = row / taps;
    const float *weights = of_model_values(t->model, numbers[0]) + source * row;
    float *g_weights = of_unfolding_gradient(t, numbers[0]) + source * row;
    /* the sum for W[o][i][t] stands at o*out_step + i + t*tap_step: of taps [t*units + o][i], of
     * neighbourhoods [o][t*inputs + i] */
    size_t out_step = of_product_inputs(op);
    size_t tap_step = op->taps ? (size_t)op->units * out_step : op->shape.inputs;
    const float *sums = t->sums + op->weight_sums + o * out_step;
    double factor = factor_of(op, log_scale, (uint32_t)source);
    double g_shift = (double)t->sums[op->bias_sums + o];
    double g_factor = g_shift * (double)of_model_values(t->model, numbers[1])[source];
    for (size_t i = 0; i < inputs; i++)
        for (size_t tap = 0; tap < taps; tap++) {
            double g = (double)sums[i + tap * tap_step];
            g_weights[i * taps + tap] += (float)(g * factor);
            g_factor += g * (double)weights[i * taps + tap];
        }
    for (size_t tap = 0; g_edges != NULL && tap < taps; tap++) {
        double g = edge_gradient(t, op, o, tap, sums + inputs, tap_step);
        g_edges[source * taps + tap] += (float)(g * factor);
        g_factor += g * (double)edges[source * taps + tap];
    }
    of_unfolding_gradient(t, numbers[1])[source] += (float)(g_shift * factor);
    if (g_log_scale != NULL)
        g_log_scale[source] += (float)(op->log_factor * factor * g_factor);
}

static of_status unfold(const of_unfolding *t, const of_op *op, of_error *error) {
    (void)error;
    float *g_scale = of_unfolding_gradient(t, op->parameters.numbers[OF_CONVOLUTION_INPUT_SCALE]);
    float *g_shift = of_unfolding_gradient(t, op->parameters.numbers[OF_CONVOLUTION_INPUT_SHIFT]);
    for (uint32_t o = 0; o < op->units; o++)
        unfold_output(t, op, o);
    for (uint32_t i = 0; op->rectified && i < t->plan->scales[op->scale].half; i++) {
        g_scale[i] += t->sums[op->input_scale_sums + i];
        g_shift[i] += t->sums[op->input_shift_sums + i];
    }
    return OF_OK;
}

/* ---- For people --------------------------------------------------------------------------- */

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
    info->input_bytes = positions * shape->inputs * of_precision_bytes(shape->source);
    info->output_bytes = positions * shape->outputs * of_precision_bytes(shape->target);
}

const of_op_type of_convolution_type = {.allocate = allocate,
                                        .pack = pack,
                                        .forward = forward,
                                        .backward = backward,
                                        .unfold = unfold,
                                        .describe = of_convolution_describe};
