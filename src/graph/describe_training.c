/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of training consists of, for people: the forward layers, then for each scale its
 * prior, its split, and the stages of every step; then what is done once a batch. */
#include "graph/training.h"

#include <stdio.h>

enum {
    STEP_STAGES = OF_STAGE_BACK_PRIOR - OF_STAGE_BACK_MAP,
    SCALE_STAGES = OF_STAGE_SUMS - OF_STAGE_BACK_PRIOR,
    BATCH_STAGES = OF_STAGES - OF_STAGE_SUMS
};

static size_t stages_per_scale(const of_plan *plan) {
    return SCALE_STAGES + (size_t)plan->architecture.steps * STEP_STAGES;
}

size_t of_training_layer_count(const of_training_plan *training) {
    const of_plan *plan = training->plan;
    return of_plan_layer_count(plan) + plan->scale_count * stages_per_scale(plan) + BATCH_STAGES;
}

size_t of_training_layer_number(const of_plan *plan, uint32_t s, uint32_t k, int stage) {
    size_t forward = of_plan_layer_count(plan);
    if (stage >= OF_STAGE_SUMS)
        return forward + plan->scale_count * stages_per_scale(plan) +
               (size_t)(stage - OF_STAGE_SUMS);
    size_t scale = forward + s * stages_per_scale(plan);
    if (stage >= OF_STAGE_BACK_PRIOR)
        return scale + (size_t)(stage - OF_STAGE_BACK_PRIOR);
    return scale + SCALE_STAGES + (size_t)k * STEP_STAGES + (size_t)(stage - OF_STAGE_BACK_MAP);
}

/* What is described: a stage of the backward pass of a scale's step. */
typedef struct subject {
    const of_training_plan *training;
    const of_plan *plan;
    const of_scale_plan *scale;
    size_t position_bytes; /* one float at every position of an image */
} subject;

static double product_flops(const subject *t, size_t outputs, size_t inputs) {
    return 2.0 * t->plan->units * t->scale->positions * (double)outputs * (double)inputs;
}

/* A layer in its 1x1 form, as gradients see it. */
static void measure_layer(const subject *t, int layer, size_t *outputs, size_t *inputs) {
    size_t hidden = t->plan->hidden;
    *outputs = layer == OF_LAYER_LAST ? t->scale->tap_stride : hidden;
    *inputs = layer == OF_LAYER_FIRST ? t->scale->gather_stride : hidden;
}

static void describe_network_layer(const subject *t, int stage, of_layer_info *info) {
    bool weights = stage < OF_STAGE_BACK_DATA;
    int layer = stage - (weights ? OF_STAGE_BACK_WEIGHTS : OF_STAGE_BACK_DATA);
    size_t outputs, inputs;
    measure_layer(t, layer, &outputs, &inputs);
    info->kernel = "onednn gemm";
    info->weight_bytes = outputs * inputs * sizeof(float);
    info->images_per_call = t->scale->chunk;
    info->flops = product_flops(t, outputs, inputs);
    if (weights) {
        (void)snprintf(info->operation, sizeof info->operation, "G^T X, %zux%zu", outputs, inputs);
        info->input_bytes = t->position_bytes * (outputs + inputs);
    } else {
        (void)snprintf(info->operation, sizeof info->operation, "1x1 %zu->%zu", outputs, inputs);
        info->input_bytes = t->position_bytes * outputs;
        info->output_bytes = t->position_bytes * inputs;
    }
}

/* The layers whose activations were not kept. */
static void describe_recompute(const subject *t, const of_kept *kept, uint32_t s, uint32_t k,
                               of_layer_info *info) {
    (void)snprintf(info->operation, sizeof info->operation, "what was not kept");
    for (int layer = OF_LAYER_FIRST; layer <= OF_LAYER_MIDDLE; layer++) {
        const of_convolution *convolution = of_step_layer(t->plan, t->scale, k, layer)->code;
        const of_convolution_shape *shape = of_convolution_shape_of(convolution);
        size_t taps = (size_t)shape->kernel * shape->kernel;
        if (kept->hidden[layer][s][k] != NULL)
            continue;
        info->images_per_call = t->scale->chunk;
        info->kernel = of_convolution_kernel(convolution);
        info->flops += product_flops(t, shape->outputs, taps * shape->inputs);
        info->weight_bytes += of_convolution_weight_bytes(convolution);
        info->input_bytes += t->position_bytes * shape->inputs;
        info->output_bytes += t->position_bytes * shape->outputs;
    }
}

/* y = A x + b: G A and G^T X. */
static void describe_map(const subject *t, of_layer_info *info) {
    size_t state = of_describe_state_bytes(t->plan, t->scale), n = t->scale->channels;
    (void)snprintf(info->operation, sizeof info->operation, "A^T G, G^T X, bias sums");
    info->flops = 2 * of_describe_map_flops(t->plan, t->scale);
    info->weight_bytes = 2 * n * n * sizeof(float);
    info->input_bytes = 2 * state;
    info->output_bytes = state;
    if (t->plan->architecture.block == OF_BLOCK_DENSE) {
        info->kernel = of_convolution_kernel(of_step_ops(t->plan, t->scale, 0)->transposed_code);
        info->images_per_call = t->scale->chunk;
    }
}

static void describe_coupling(const subject *t, of_layer_info *info) {
    const of_scale_plan *scale = t->scale;
    bool affine = t->plan->architecture.coupling == OF_COUPLING_AFFINE;
    size_t half = t->position_bytes * scale->half;
    (void)snprintf(info->operation, sizeof info->operation, "%s, bias sums%s",
                   of_coupling_name(t->plan->architecture.coupling),
                   t->plan->architecture.block == OF_BLOCK_DENSE ? "" : ", scatter");
    info->input_bytes = (affine ? 3 : 1) * half;
    info->output_bytes = half + t->position_bytes * (scale->outputs + scale->tap_stride);
}

static void describe_relu(const subject *t, of_layer_info *info) {
    size_t hidden = 2 * t->position_bytes * t->plan->hidden; /* of both layers */
    (void)snprintf(info->operation, sizeof info->operation, "masks, bias sums");
    info->input_bytes = 2 * hidden;
    info->output_bytes = hidden;
}

static void describe_step_stage(const subject *t, uint32_t s, uint32_t k, int stage,
                                of_layer_info *info) {
    size_t half = t->position_bytes * t->scale->half;
    size_t gathered = t->position_bytes * t->scale->gather_stride;
    if (stage == OF_STAGE_BACK_MAP) {
        describe_map(t, info);
    } else if (stage == OF_STAGE_BACK_COUPLING) {
        describe_coupling(t, info);
    } else if (stage == OF_STAGE_BACK_RECOMPUTE) {
        describe_recompute(t, &t->training->buffers[0].kept, s, k, info);
    } else if (stage == OF_STAGE_BACK_FOLD) {
        (void)snprintf(info->operation, sizeof info->operation, "weights for the way back");
        info->kernel = "double";
    } else if (stage < OF_STAGE_BACK_RELU) {
        describe_network_layer(t, stage, info);
    } else if (stage == OF_STAGE_BACK_RELU) {
        describe_relu(t, info);
    } else if (stage == OF_STAGE_BACK_GATHER) {
        (void)snprintf(info->operation, sizeof info->operation, "neighbourhoods of the input");
        info->input_bytes = half;
        info->output_bytes = gathered;
    } else {
        (void)snprintf(info->operation, sizeof info->operation, "tap sum, add");
        info->input_bytes = gathered + half;
        info->output_bytes = half;
    }
}

static void name_step_stage(const of_plan *plan, uint32_t s, uint32_t k, int stage,
                            of_layer_info *info) {
    static const char *const names[] = {[OF_STAGE_BACK_MAP - OF_STAGE_BACK_MAP] = "map",
                                        [OF_STAGE_BACK_COUPLING - OF_STAGE_BACK_MAP] = "coupling",
                                        [OF_STAGE_BACK_FOLD - OF_STAGE_BACK_MAP] = "fold",
                                        [OF_STAGE_BACK_RECOMPUTE - OF_STAGE_BACK_MAP] = "recompute",
                                        [OF_STAGE_BACK_RELU - OF_STAGE_BACK_MAP] = "relu",
                                        [OF_STAGE_BACK_GATHER - OF_STAGE_BACK_MAP] = "gather",
                                        [OF_STAGE_BACK_TAPS - OF_STAGE_BACK_MAP] = "taps"};
    const char *name = names[stage - OF_STAGE_BACK_MAP], *suffix = "";
    if (name == NULL) {
        bool weights = stage < OF_STAGE_BACK_DATA;
        name = of_step_layer(plan, &plan->scales[s], k,
                             stage - (weights ? OF_STAGE_BACK_WEIGHTS : OF_STAGE_BACK_DATA))
                   ->part;
        suffix = weights ? ".weights" : ".inputs";
    }
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.backward.%s%s", (unsigned)s,
                   (unsigned)k, name, suffix);
}

static void describe_scale_stage(const subject *t, uint32_t s, int stage, of_layer_info *info) {
    size_t state = of_describe_state_bytes(t->plan, t->scale);
    bool prior = stage == OF_STAGE_BACK_PRIOR;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.backward.%s", (unsigned)s,
                   prior ? "prior" : "split");
    (void)snprintf(info->operation, sizeof info->operation, "%s",
                   prior    ? "Gaussian, ActNorm"
                   : s == 0 ? "none: pixels have no gradient"
                            : "unsqueeze, to the scale before");
    if (prior)
        info->input_bytes = info->output_bytes = t->scale->last ? state : state / 2;
    else if (s > 0)
        info->input_bytes = info->output_bytes = state;
}

/* Once a batch, so there are no figures of an image. */
static void describe_batch_stage(const of_training_plan *training, int stage, of_layer_info *info) {
    bool sums = stage == OF_STAGE_SUMS;
    info->images_per_call = 0;
    (void)snprintf(info->name, sizeof info->name, "gradients.%s", sums ? "sums" : "unfold");
    if (sums)
        (void)snprintf(info->operation, sizeof info->operation, "of micro-batches, in turn");
    else
        (void)snprintf(info->operation, sizeof info->operation, "to stored parameters");
    info->kernel = sums ? of_isa_name(training->plan->kernels->isa) : "double";
    info->weight_bytes = training->block_floats * sizeof(float);
}

of_status of_training_layer(const of_training_plan *training, size_t index, of_layer_info *info,
                            of_error *error) {
    const of_plan *plan = training->plan;
    size_t forward = of_plan_layer_count(plan), total = of_training_layer_count(training);
    if (index < forward)
        return of_plan_layer(plan, index, info, error);
    if (index >= total)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_training_layer: no layer %zu", index);
    *info = (of_layer_info){.kernel = of_isa_name(plan->kernels->isa), .images_per_call = 1};
    if (index >= total - BATCH_STAGES) {
        describe_batch_stage(training, OF_STAGE_SUMS + (int)(index - (total - BATCH_STAGES)), info);
        return OF_OK;
    }
    uint32_t s = (uint32_t)((index - forward) / stages_per_scale(plan));
    size_t within = (index - forward) % stages_per_scale(plan);
    const of_scale_plan *scale = &plan->scales[s];
    const subject t = {training, plan, scale,
                       (size_t)plan->units * scale->positions * sizeof(float)};
    if (within < SCALE_STAGES) {
        describe_scale_stage(&t, s, OF_STAGE_BACK_PRIOR + (int)within, info);
        return OF_OK;
    }
    uint32_t k = (uint32_t)((within - SCALE_STAGES) / STEP_STAGES);
    int stage = OF_STAGE_BACK_MAP + (int)((within - SCALE_STAGES) % STEP_STAGES);
    name_step_stage(plan, s, k, stage, info);
    describe_step_stage(&t, s, k, stage, info);
    return OF_OK;
}
