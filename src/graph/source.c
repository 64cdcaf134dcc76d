/* SPDX-License-Identifier: Apache-2.0 */
/* The list of ops that a model is: what its parameters mean, one op for each. */
#include "core/memory.h"
#include "graph/plan.h"

#include <string.h>

enum { NETWORK = 3, MOST_OPS_A_STEP = 13, MOST_OPS_A_SCALE = 11 };

/* Where the list has got to. */
typedef struct builder {
    const of_plan *plan;
    const of_model *model;
    const of_scale_plan *scale;
    of_op_list *list;
    uint32_t s, k;
    bool in_step;
} builder;

/* Ops that keep what they get: so many channels at every position. */
static of_op *append(builder *b, of_op_kind kind, const char *name, uint32_t channels) {
    of_op *op = &b->list->ops[b->list->count++];
    *op = (of_op){.kind = kind,
                  .scale = b->s,
                  .step = b->k,
                  .in_step = b->in_step,
                  .name = name,
                  .reads = OF_BUFFER_STATE,
                  .writes = OF_BUFFER_STATE,
                  .shape = {.height = b->scale->rows,
                            .width = b->scale->columns,
                            .inputs = channels,
                            .outputs = channels,
                            .kernel = 1}};
    for (int i = 0; i < OF_OP_PARAMETERS; i++)
        op->parameters.numbers[i] = OF_NO_PARAMETER;
    return op;
}

static void add_parameters(of_op *op, size_t count, const int *numbers) {
    memcpy(op->parameters.numbers, numbers, count * sizeof *numbers);
    op->parameters.count = (uint32_t)count;
}

static void append_actnorm(builder *b, const char *name, uint32_t channels, int loc,
                           int log_scale) {
    add_parameters(append(b, OF_OP_ACTNORM, name, channels), 2, (const int[]){loc, log_scale});
}

/* ---- Coupling networks -------------------------------------------------------------------- */

/* A layer as the model stores it. */
typedef struct stored_layer {
    const char *name;
    uint32_t kernel;
    int weight, bias;   /* bias: OF_NO_PARAMETER if an ActNorm follows */
    int loc, log_scale; /* of the ActNorm, or log_scale of what the last layer is multiplied by */
    int edge;
} stored_layer;

/* What follows a layer: ActNorm or scale in convolutional blocks, ReLU between layers. */
static void append_after(builder *b, const stored_layer *layer, uint32_t channels, bool last) {
    if (layer->log_scale != OF_NO_PARAMETER && last) {
        of_op *scale = append(b, OF_OP_SCALE, layer->name, channels);
        scale->log_factor = 3;
        add_parameters(scale, 1, &layer->log_scale);
    } else if (layer->log_scale != OF_NO_PARAMETER) {
        append_actnorm(b, layer->name, channels, layer->loc, layer->log_scale);
    }
    if (!last)
        append(b, OF_OP_RELU, layer->name, channels)->shape.leak =
            (float)b->model->architecture.leak;
}

static of_op *append_convolution(builder *b, const stored_layer *layer, uint32_t inputs,
                                 uint32_t outputs) {
    of_op *op = append(b, OF_OP_CONVOLUTION, layer->name, outputs);
    op->shape.inputs = inputs;
    op->shape.kernel = layer->kernel;
    op->units = outputs;
    op->log_factor = 1;
    op->edges = layer->edge != OF_NO_PARAMETER;
    op->parameters.numbers[OF_CONVOLUTION_WEIGHT] = layer->weight;
    op->parameters.numbers[OF_CONVOLUTION_SHIFT] = layer->bias;
    op->parameters.numbers[OF_CONVOLUTION_EDGE] = layer->edge;
    op->parameters.count = OF_OP_PARAMETERS;
    return op;
}

static void append_network_input(builder *b, const of_step_parameters *p) {
    if (p->in_scale != OF_NO_PARAMETER)
        add_parameters(append(b, OF_OP_NETWORK_INPUT, "in", b->scale->half), 2,
                       (const int[]){p->in_scale, p->in_shift});
}

/* Rows of the last layer are add and raw in turn, if the coupling is affine. */
static void append_network(builder *b, uint32_t outputs) {
    static const of_buffer buffers[] = {OF_BUFFER_STATE, OF_BUFFER_HIDDEN_0, OF_BUFFER_HIDDEN_1,
                                        OF_BUFFER_TAPS};
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    const of_architecture *a = &b->model->architecture;
    const int none = OF_NO_PARAMETER;
    const stored_layer linear[] = {{"fc1", 1, p->fc1_weight, p->fc1_bias, none, none, none},
                                   {"fc2", 1, p->fc2_weight, p->fc2_bias, none, none, none},
                                   {"fc3", 1, p->fc3_weight, p->fc3_bias, none, none, none}};
    const stored_layer convolutions[] = {
        {"conv1", 3, p->conv1_weight, none, p->conv1_loc, p->conv1_log_scale, p->conv1_edge},
        {"conv2", 1, p->conv2_weight, none, p->conv2_loc, p->conv2_log_scale, none},
        {"conv3", 3, p->conv3_weight, p->conv3_bias, none, p->conv3_log_scale, p->conv3_edge}};
    const uint32_t channels[] = {b->scale->half, a->hidden, a->hidden, outputs};
    const stored_layer *layers = a->block == OF_BLOCK_DENSE ? linear : convolutions;
    append_network_input(b, p);
    for (int i = 0; i < NETWORK; i++) {
        of_op *op = append_convolution(b, &layers[i], channels[i], channels[i + 1]);
        bool last = i + 1 == NETWORK;
        op->reads = buffers[i];
        op->writes = buffers[i + 1];
        op->interleaved = last && a->coupling == OF_COUPLING_AFFINE;
        append_after(b, &layers[i], channels[i + 1], last);
    }
}

/* ---- Steps and scales --------------------------------------------------------------------- */

/* Of a step, or the closing one. */
static void append_map(builder *b) {
    const char *actnorm = b->in_step ? "actnorm" : "closing.actnorm";
    const char *mix = b->in_step ? "mix" : "closing.mix";
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    uint32_t channels = b->scale->channels;
    append_actnorm(b, actnorm, channels, p->actnorm_loc, p->actnorm_log_scale);
    add_parameters(append(b, OF_OP_MIX, mix, channels), 4,
                   (const int[]){p->lower, p->log_diag, p->upper, p->weight});
}

static of_op *append_coupling(builder *b, const char *name, uint32_t network, uint32_t outputs) {
    of_op *coupling = append(b, OF_OP_COUPLING, name, b->scale->channels);
    coupling->reads = OF_BUFFER_TAPS;
    coupling->affine = outputs > b->scale->half;
    coupling->network = network;
    coupling->outputs = coupling->tap_stride = outputs;
    coupling->kernel = 1;
    return coupling;
}

static void append_step(builder *b) {
    const of_architecture *a = &b->model->architecture;
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    uint32_t outputs = b->scale->half * (a->coupling == OF_COUPLING_AFFINE ? 2 : 1);
    append_map(b);
    append_network(b, outputs);
    of_op *coupling = append_coupling(b, "coupling", NETWORK, outputs);
    coupling->scale_map = a->scale_map;
    coupling->shift_after = a->shift == OF_SHIFT_AFTER;
    add_parameters(coupling, 1, &p->gain);
}

/* z = (x - mean) exp(-log_std): a coupling with add = -mean and raw = -log_std under the EXP map.
 * Rows of the convolution are mean and log_std in turn. */
static void append_split_prior(builder *b) {
    const of_scale_parameters *p = &b->model->scales[b->s];
    const int none = OF_NO_PARAMETER;
    const stored_layer layer = {
        "split", 3, p->split_weight, p->split_bias, none, p->split_log_scale, p->split_edge};
    uint32_t half = b->scale->half;
    bool pass_goes_on = of_pass_goes_on(b->plan);
    of_op *op = append_convolution(b, &layer, half, 2 * half);
    op->reads = pass_goes_on ? OF_BUFFER_STATE : OF_BUFFER_REST;
    op->writes = OF_BUFFER_TAPS;
    op->interleaved = op->negated = true;
    append_after(b, &layer, 2 * half, true);
    of_op *coupling = append_coupling(b, "split_prior", 1, 2 * half);
    coupling->scale_map = OF_SCALE_MAP_EXP;
    coupling->on_pass = !pass_goes_on;
}

static void append_scale(builder *b) {
    const of_scale_parameters *p = &b->model->scales[b->s];
    uint32_t channels = b->scale->channels;
    if (b->s == 0)
        (void)append(b, OF_OP_INPUT, "input", channels);
    (void)append(b, OF_OP_SQUEEZE, "enter", channels);
    b->in_step = true;
    for (b->k = 0; b->k < b->plan->architecture.steps; b->k++)
        append_step(b);
    b->in_step = false;
    if (b->plan->architecture.closing)
        append_map(b);
    if (!b->scale->last && p->split_weight != OF_NO_PARAMETER)
        append_split_prior(b);
    b->k = 0;
    if (!b->scale->last)
        append(b, OF_OP_SPLIT, "split", channels)->shape.outputs = channels / 2;
    uint32_t latents = b->scale->last ? channels : channels / 2;
    add_parameters(append(b, OF_OP_PRIOR, "prior", latents), 2,
                   (const int[]){p->prior_loc, p->prior_log_scale});
    if (b->plan->architecture.classes > 0)
        (void)append(b, OF_OP_CLASSES, "classes", latents);
    (void)append(b, OF_OP_GAUSSIAN, "prior", latents);
}

of_status of_ops_build(const of_plan *plan, const of_model *model, of_op_list *list,
                       of_error *error) {
    size_t most = (size_t)plan->architecture.steps * MOST_OPS_A_STEP + MOST_OPS_A_SCALE;
    *list = (of_op_list){of_allocate(plan->scale_count * most, sizeof *list->ops), 0};
    if (list->ops == NULL)
        return of_fail_memory(error, "a list of ops");
    builder b = {.plan = plan, .model = model, .list = list};
    for (b.s = 0; b.s < plan->scale_count; b.s++) {
        b.scale = &plan->scales[b.s];
        append_scale(&b);
    }
    return OF_OK;
}
