/* SPDX-License-Identifier: Apache-2.0 */
/* The list of ops that a model is: what its parameters mean, one op for each. */
#include "core/memory.h"
#include "graph/plan.h"

#include <string.h>

enum { MOST_OPS_A_STEP = 12, MOST_OPS_A_SCALE = 6 };

/* Where the list has got to. */
typedef struct builder {
    const of_plan *plan;
    const of_model *model;
    const of_scale_plan *scale;
    of_op_list *list;
    uint32_t s, k;
} builder;

/* Ops that keep what they get: so many channels at every position. */
static of_op *append(builder *b, of_op_kind kind, const char *part, uint32_t channels) {
    of_op *op = &b->list->ops[b->list->count++];
    *op = (of_op){.kind = kind,
                  .scale = b->s,
                  .step = b->k,
                  .part = part,
                  .reads = OF_BUFFER_STATE,
                  .writes = OF_BUFFER_STATE,
                  .shape = {.height = b->scale->rows,
                            .width = b->scale->columns,
                            .inputs = channels,
                            .outputs = channels,
                            .kernel = 1}};
    return op;
}

static void add_parameters(of_op *op, size_t count, const int *numbers) {
    memcpy(op->parameters.numbers, numbers, count * sizeof *numbers);
    op->parameters.count = (uint32_t)count;
}

static void append_actnorm(builder *b, const char *part, uint32_t channels, int loc,
                           int log_scale) {
    add_parameters(append(b, OF_OP_ACTNORM, part, channels), 2, (const int[]){loc, log_scale});
}

/* ---- Coupling networks -------------------------------------------------------------------- */

static of_op *append_convolution(builder *b, const char *part, uint32_t inputs, uint32_t outputs,
                                 uint32_t kernel, of_buffer reads, of_buffer writes) {
    of_op *op = append(b, OF_OP_CONVOLUTION, part, outputs);
    op->shape.inputs = inputs;
    op->shape.kernel = kernel;
    op->reads = reads;
    op->writes = writes;
    op->units = outputs;
    op->log_factor = 1;
    return op;
}

/* Rows of the last layer are add and raw in turn, if the coupling is affine. */
static void append_convolutions(builder *b, uint32_t outputs) {
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    uint32_t half = b->scale->half, hidden = b->model->architecture.hidden;
    bool affine = b->model->architecture.coupling == OF_COUPLING_AFFINE;
    of_op *op =
        append_convolution(b, "conv1", half, hidden, 3, OF_BUFFER_STATE, OF_BUFFER_HIDDEN_0);
    add_parameters(op, 1, &p->conv1_weight);
    append_actnorm(b, "conv1", hidden, p->conv1_loc, p->conv1_log_scale);
    (void)append(b, OF_OP_RELU, "conv1", hidden);
    op = append_convolution(b, "conv2", hidden, hidden, 1, OF_BUFFER_HIDDEN_0, OF_BUFFER_HIDDEN_1);
    add_parameters(op, 1, &p->conv2_weight);
    append_actnorm(b, "conv2", hidden, p->conv2_loc, p->conv2_log_scale);
    (void)append(b, OF_OP_RELU, "conv2", hidden);
    op = append_convolution(b, "conv3", hidden, outputs, 3, OF_BUFFER_HIDDEN_1, OF_BUFFER_TAPS);
    add_parameters(op, 2, (const int[]){p->conv3_weight, p->conv3_bias});
    op->interleaved = affine;
    op = append(b, OF_OP_SCALE, "conv3", outputs);
    op->log_factor = 3;
    add_parameters(op, 1, &p->conv3_log_scale);
}

static void append_linear_layers(builder *b, uint32_t outputs) {
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    const int parameters[3][3] = {{p->fc1_weight, p->fc1_bias, OF_NO_PARAMETER},
                                  {p->fc2_weight, p->fc2_bias, OF_NO_PARAMETER},
                                  {p->fc3_weight, p->fc3_bias, OF_NO_PARAMETER}};
    static const char *const parts[] = {"fc1", "fc2", "fc3"};
    static const of_buffer buffers[] = {OF_BUFFER_STATE, OF_BUFFER_HIDDEN_0, OF_BUFFER_HIDDEN_1,
                                        OF_BUFFER_TAPS};
    uint32_t hidden = b->model->architecture.hidden;
    for (int i = 0; i < 3; i++) {
        of_op *op = append_convolution(b, parts[i], i == 0 ? b->scale->half : hidden,
                                       i == 2 ? outputs : hidden, 1, buffers[i], buffers[i + 1]);
        add_parameters(op, 3, parameters[i]);
        op->interleaved = i == 2 && b->model->architecture.coupling == OF_COUPLING_AFFINE;
        if (i < 2)
            (void)append(b, OF_OP_RELU, parts[i], hidden);
    }
}

/* ---- Steps and scales --------------------------------------------------------------------- */

static void append_step(builder *b) {
    const of_architecture *a = &b->model->architecture;
    const of_step_parameters *p = &b->model->scales[b->s].steps[b->k];
    uint32_t channels = b->scale->channels;
    append_actnorm(b, "actnorm", channels, p->actnorm_loc, p->actnorm_log_scale);
    add_parameters(append(b, OF_OP_MIX, "mix", channels), 4,
                   (const int[]){p->lower, p->log_diag, p->upper, p->weight});
    bool affine = a->coupling == OF_COUPLING_AFFINE;
    uint32_t outputs = b->scale->half * (affine ? 2 : 1);
    if (a->block == OF_BLOCK_DENSE)
        append_linear_layers(b, outputs);
    else
        append_convolutions(b, outputs);
    of_op *coupling = append(b, OF_OP_COUPLING, "coupling", channels);
    coupling->reads = OF_BUFFER_TAPS;
    coupling->affine = affine;
    coupling->network = 3;
    coupling->outputs = coupling->tap_stride = outputs;
    coupling->kernel = 1;
}

static void append_scale(builder *b) {
    const of_scale_parameters *p = &b->model->scales[b->s];
    uint32_t channels = b->scale->channels;
    if (b->s == 0)
        (void)append(b, OF_OP_INPUT, "input", channels);
    (void)append(b, OF_OP_SQUEEZE, "enter", channels);
    for (b->k = 0; b->k < b->plan->architecture.steps; b->k++)
        append_step(b);
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
