/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of training consists of, for people: the forward layers, then for each scale its
 * prior, its split, and the stages of every step; then what is done once a batch. */
#include "graph/training.h"

#include <stdio.h>

size_t of_training_layer_count(const of_training_plan *training) {
    return of_training_layer_number(training->plan, 0, 0, OF_STAGES);
}

/* What is described: a stage of the way back of a step, whose tail it is. */
typedef struct subject {
    const of_training_plan *training;
    const of_plan *plan;
    const of_scale_plan *scale;
    const of_op *tail;
    size_t position_bytes; /* one float at every position of an image */
} subject;

/* Floats at every position of an image that are read and written. */
static void set_traffic(const subject *t, size_t reads, size_t writes, of_layer_info *info) {
    info->input_bytes = t->position_bytes * reads;
    info->output_bytes = t->position_bytes * writes;
}

static void set_operation(const char *text, of_layer_info *info) {
    (void)snprintf(info->operation, sizeof info->operation, "%s", text);
}

static double product_flops(const subject *t, size_t outputs, size_t inputs) {
    return 2.0 * t->plan->units * t->scale->positions * (double)outputs * (double)inputs;
}

/* Layer FIRST, MIDDLE or LAST of the step. */
static const of_op *layer_of(const subject *t, int layer) {
    return of_tail_network(t->tail) + layer;
}

static void describe_product(const subject *t, const of_op *op, bool weights, of_layer_info *info) {
    size_t outputs = op->shape.outputs, inputs = of_product_inputs(op);
    bool bf16 = of_goes_back_in_bf16(op);
    info->precision = bf16 ? OF_PRECISION_BF16 : OF_PRECISION_F32;
    info->kernel = !bf16     ? "onednn gemm"
                   : weights ? "avx512_bf16"
                             : of_convolution_kernel(op->transposed_code);
    info->weight_bytes =
        outputs * inputs * of_precision_bytes(weights ? OF_PRECISION_F32 : info->precision);
    info->images_per_call = t->scale->chunk;
    info->flops = product_flops(t, outputs, inputs);
    (void)snprintf(info->operation, sizeof info->operation,
                   weights ? "G^T X, %zux%zu" : "1x1 %zu->%zu", outputs, inputs);
    set_traffic(t, weights ? outputs + inputs : outputs, weights ? 0 : inputs, info);
    if (!bf16)
        return;
    info->input_bytes /= 2;
    if (!of_reads_state(op))
        info->output_bytes /= 2;
}

/* The layers whose activations were not kept. */
static void describe_recompute(const subject *t, of_layer_info *info) {
    void *const *kept = t->training->buffers[0].kept.hidden;
    for (const of_op *op = layer_of(t, OF_LAYER_FIRST); op < layer_of(t, OF_LAYER_LAST); op++) {
        of_layer_info layer = {0};
        if (kept[op - t->plan->ops] != NULL)
            continue;
        of_convolution_describe(t->plan, op, &layer);
        info->images_per_call = layer.images_per_call;
        info->kernel = layer.kernel;
        info->flops += layer.flops;
        info->weight_bytes += layer.weight_bytes;
        info->input_bytes += layer.input_bytes;
        info->output_bytes += layer.output_bytes;
    }
}

/* y = A x + b: G A and G^T X. */
static void describe_map(const subject *t, of_layer_info *info) {
    const of_op *op = layer_of(t, OF_LAYER_FIRST) - 1;
    size_t n = t->scale->channels;
    info->flops = 2 * of_describe_map_flops(t->plan, t->scale);
    info->weight_bytes = 2 * n * n * sizeof(float);
    set_traffic(t, 2 * n, n, info);
    if (op->transposed_code != NULL) {
        info->kernel = of_convolution_kernel(op->transposed_code);
        info->images_per_call = t->scale->chunk;
    }
}

static void describe_coupling(const subject *t, of_layer_info *info) {
    const of_op *op = t->tail;
    size_t half = t->scale->half;
    (void)snprintf(info->operation, sizeof info->operation, "%s, bias sums%s",
                   of_coupling_name(t->plan->architecture.coupling),
                   op->kernel == 3 ? ", scatter" : "");
    size_t taps = of_goes_back_in_bf16(op - 1) ? op->tap_stride / 2 : op->tap_stride;
    set_traffic(t, (op->affine ? 3 : 1) * half, half + op->outputs + taps, info);
}

/* Names of stages, and what there is to say of those that are alike in every step; NULL: of a
 * network's layer. */
static const struct {
    const char *name, *operation;
} step_stages[OF_STEP_STAGES] = {
    [OF_STAGE_BACK_MAP] = {"map", "A^T G, G^T X, bias sums"},
    [OF_STAGE_BACK_COUPLING] = {"coupling", ""},
    [OF_STAGE_BACK_FOLD] = {"fold", "weights for the way back"},
    [OF_STAGE_BACK_RECOMPUTE] = {"recompute", "what was not kept"},
    [OF_STAGE_BACK_RELU] = {"relu", "masks, bias sums"},
    [OF_STAGE_BACK_GATHER] = {"gather", "neighbourhoods of the input"},
    [OF_STAGE_BACK_TAPS] = {"taps", "tap sum, add"},
};

static void describe_step_stage(const subject *t, int stage, of_layer_info *info) {
    size_t half = t->scale->half, hidden = 2 * (size_t)t->plan->hidden; /* of both layers */
    size_t gathered = of_product_inputs(layer_of(t, OF_LAYER_FIRST));
    size_t numbers = of_goes_back_in_bf16(layer_of(t, OF_LAYER_FIRST)) ? 2 : 1; /* in a float */
    bool weights = stage < OF_STAGE_BACK_DATA;
    const of_op *layer = NULL;
    const char *name = step_stages[stage].name, *suffix = "";
    if (name == NULL) {
        layer = layer_of(t, stage - (weights ? OF_STAGE_BACK_WEIGHTS : OF_STAGE_BACK_DATA));
        name = layer->name;
        suffix = weights ? ".weights" : ".inputs";
    } else {
        set_operation(step_stages[stage].operation, info);
    }
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.backward.%s%s",
                   (unsigned)t->tail->scale, (unsigned)t->tail->step, name, suffix);
    if (layer != NULL)
        describe_product(t, layer, weights, info);
    else if (stage == OF_STAGE_BACK_MAP)
        describe_map(t, info);
    else if (stage == OF_STAGE_BACK_COUPLING)
        describe_coupling(t, info);
    else if (stage == OF_STAGE_BACK_RECOMPUTE)
        describe_recompute(t, info);
    else if (stage == OF_STAGE_BACK_FOLD)
        info->kernel = "double";
    else if (stage == OF_STAGE_BACK_RELU)
        set_traffic(t, 2 * hidden / numbers, hidden / numbers, info);
    else if (stage == OF_STAGE_BACK_GATHER)
        set_traffic(t, half, gathered / numbers, info);
    else
        set_traffic(t, gathered + half, half, info);
}

static void describe_scale_stage(const subject *t, uint32_t s, int stage, of_layer_info *info) {
    bool prior = stage == OF_STAGE_BACK_PRIOR;
    size_t state = t->scale->channels, moved = prior && !t->scale->last ? state / 2 : state;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.backward.%s", (unsigned)s,
                   prior ? "prior" : "split");
    set_operation(prior ? "Gaussian, ActNorm"
                  : t->plan->architecture.split_prior != OF_SPLIT_PRIOR_NONE && !t->scale->last
                      ? "split prior, unsqueeze"
                  : s == 0 ? "none: pixels have no gradient"
                           : "unsqueeze, to the scale before",
                  info);
    if (prior || s > 0)
        set_traffic(t, moved, moved, info);
}

/* Once a batch, so there are no figures of an image. */
static void describe_batch_stage(const of_training_plan *training, int stage, of_layer_info *info) {
    bool sums = stage == OF_STAGE_SUMS;
    info->images_per_call = 0;
    (void)snprintf(info->name, sizeof info->name, "gradients.%s", sums ? "sums" : "unfold");
    set_operation(sums ? "of micro-batches, in turn" : "to stored parameters", info);
    info->kernel = sums ? of_isa_name(training->plan->kernels->isa) : "double";
    info->weight_bytes = training->block_floats * sizeof(float);
}

/* The tail of step k. */
static const of_op *find_tail(const of_scale_plan *scale, uint32_t k) {
    const of_op *op = scale->ops;
    while (op->kind != OF_OP_TAIL || op->step != k)
        op++;
    return op;
}

of_status of_training_layer(const of_training_plan *training, size_t index, of_layer_info *info,
                            of_error *error) {
    const of_plan *plan = training->plan;
    size_t forward = plan->op_count, total = of_training_layer_count(training);
    size_t a_scale = OF_SCALE_STAGES + (size_t)plan->architecture.steps * OF_STEP_STAGES;
    if (index < forward)
        return of_plan_layer(plan, index, info, error);
    if (index >= total)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_training_layer: no layer %zu", index);
    *info = (of_layer_info){.kernel = of_isa_name(plan->kernels->isa), .images_per_call = 1};
    if (index >= total - OF_BATCH_STAGES) {
        describe_batch_stage(training, (int)(index + OF_STAGES - total), info);
        return OF_OK;
    }
    uint32_t s = (uint32_t)((index - forward) / a_scale);
    size_t within = (index - forward) % a_scale;
    const of_scale_plan *scale = &plan->scales[s];
    subject t = {training, plan, scale, NULL,
                 (size_t)plan->units * scale->positions * sizeof(float)};
    if (within < OF_SCALE_STAGES) {
        describe_scale_stage(&t, s, OF_STAGE_BACK_PRIOR + (int)within, info);
        return OF_OK;
    }
    int stage = (int)((within - OF_SCALE_STAGES) % OF_STEP_STAGES);
    t.tail = find_tail(scale, (uint32_t)((within - OF_SCALE_STAGES) / OF_STEP_STAGES));
    describe_step_stage(&t, stage, info);
    return OF_OK;
}
