/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan consists of, for people. */
#include "graph/plan.h"

#include <stdio.h>

const char *of_convolutions(void) {
    return of_convolution_library();
}

of_plan_info of_plan_describe(const of_plan *plan) {
    of_plan_info info = {.isa = plan->kernels->isa,
                         .precision = plan->precision,
                         .threads = plan->threads,
                         .micro_batch = plan->group_images,
                         .flops_per_image = of_architecture_flops(&plan->architecture),
                         .weight_bytes = plan->arena.bytes,
                         .workspace_bytes = of_workspace_bytes(plan, plan->threads),
                         .convolutions = of_convolution_library()};
    return info;
}

/* Layers of a scale: enter; per step [mix,] three convolutions and a tail; prior. */
static size_t layers_per_step(const of_plan *plan) {
    return plan->architecture.block == OF_BLOCK_DENSE ? 5 : 4;
}

static size_t layers_per_scale(const of_plan *plan) {
    return plan->architecture.steps * layers_per_step(plan) + 2;
}

size_t of_layer_number(const of_plan *plan, uint32_t s, uint32_t k, int stage) {
    size_t first = s * layers_per_scale(plan);
    if (stage == OF_STAGE_ENTER)
        return first;
    if (stage == OF_STAGE_PRIOR)
        return first + layers_per_scale(plan) - 1;
    int skipped = plan->architecture.block == OF_BLOCK_DENSE ? OF_STAGE_MIX : OF_STAGE_FIRST;
    return first + 1 + k * layers_per_step(plan) + (size_t)(stage - skipped);
}

size_t of_plan_layer_count(const of_plan *plan) {
    return plan->scale_count * layers_per_scale(plan);
}

size_t of_describe_state_bytes(const of_plan *plan, const of_scale_plan *scale) {
    return (size_t)plan->units * scale->positions * scale->channels * sizeof(float);
}

double of_describe_map_flops(const of_plan *plan, const of_scale_plan *scale) {
    return 2.0 * plan->units * scale->positions * scale->channels * scale->channels;
}

const char *of_describe_layer_name(const of_plan *plan, int layer) {
    static const char *const convolutions[] = {"conv1", "conv2", "conv3", "mix"};
    static const char *const linear[] = {"fc1", "fc2", "fc3", "mix"};
    return plan->architecture.block == OF_BLOCK_DENSE ? linear[layer] : convolutions[layer];
}

static size_t number_bytes(of_precision precision) {
    return precision == OF_PRECISION_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static void describe_convolution(const of_plan *plan, const of_scale_plan *scale, uint32_t s,
                                 uint32_t step, int layer, of_layer_info *info) {
    const of_convolution *convolution = scale->layers[layer];
    const of_convolution_shape *shape = of_convolution_shape_of(convolution);
    bool taps = layer == OF_LAYER_LAST && scale->kernel == 3;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.%s", (unsigned)s,
                   (unsigned)step, of_describe_layer_name(plan, layer));
    (void)snprintf(info->operation, sizeof info->operation, "%ux%u %u->%u%s%s",
                   (unsigned)shape->kernel, (unsigned)shape->kernel, (unsigned)shape->inputs,
                   (unsigned)shape->outputs, shape->relu ? " +relu" : "", taps ? " taps" : "");
    info->kernel = of_convolution_kernel(convolution);
    info->precision = shape->source;
    info->images_per_call = scale->chunk;
    double weights = (double)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
    info->flops = 2.0 * plan->units * scale->positions * weights;
    info->weight_bytes = of_convolution_weight_bytes(convolution);
    size_t positions = (size_t)plan->units * scale->positions;
    info->input_bytes = positions * shape->inputs * number_bytes(shape->source);
    info->output_bytes = positions * shape->outputs * number_bytes(shape->target);
}

static void describe_tail(const of_plan *plan, const of_scale_plan *scale, uint32_t s,
                          uint32_t step, of_layer_info *info) {
    bool map = plan->architecture.block == OF_BLOCK_CONV && step + 1 < plan->architecture.steps;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.coupling", (unsigned)s,
                   (unsigned)step);
    (void)snprintf(info->operation, sizeof info->operation, "%s%s%s",
                   scale->kernel == 3 ? "tap sum, " : "",
                   of_coupling_name(plan->architecture.coupling), map ? ", next map" : "");
    info->flops = map ? of_describe_map_flops(plan, scale) : 0;
    info->weight_bytes = (map ? scale->channels : 0) * (size_t)scale->channels * sizeof(float);
    info->output_bytes = of_describe_state_bytes(plan, scale);
    info->input_bytes = info->output_bytes +
                        (size_t)plan->units * scale->positions * scale->tap_stride * sizeof(float);
}

of_status of_plan_layer(const of_plan *plan, size_t index, of_layer_info *info, of_error *error) {
    if (plan == NULL || info == NULL || index >= of_plan_layer_count(plan))
        return of_fail(error, OF_ERROR_ARGUMENT, "of_plan_layer: no layer %zu", index);
    uint32_t s = (uint32_t)(index / layers_per_scale(plan));
    size_t within = index % layers_per_scale(plan);
    const of_scale_plan *scale = &plan->scales[s];
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    *info = (of_layer_info){.kernel = of_isa_name(plan->kernels->isa), .images_per_call = 1};
    if (within == 0 || within + 1 == layers_per_scale(plan)) {
        bool enter = within == 0;
        (void)snprintf(info->name, sizeof info->name, "scales.%u.%s", (unsigned)s,
                       enter ? "enter" : "prior");
        (void)snprintf(info->operation, sizeof info->operation, "%s",
                       !enter  ? "ActNorm, Gaussian"
                       : dense ? "squeeze, flatten"
                               : "squeeze, map");
        size_t state = of_describe_state_bytes(plan, scale);
        info->flops = enter && !dense ? of_describe_map_flops(plan, scale) : 0;
        info->input_bytes = enter && s == 0        ? state / sizeof(float) /* pixels are bytes */
                            : enter || scale->last ? state
                                                   : state / 2;
        info->output_bytes = enter ? state : 0;
        return OF_OK;
    }
    uint32_t step = (uint32_t)((within - 1) / layers_per_step(plan));
    size_t stage = (within - 1) % layers_per_step(plan);
    if (dense && stage == 0)
        describe_convolution(plan, scale, s, step, OF_LAYER_MIX, info);
    else if (stage + 1 == layers_per_step(plan))
        describe_tail(plan, scale, s, step, info);
    else
        describe_convolution(plan, scale, s, step, (int)(stage - (dense ? 1 : 0)), info);
    return OF_OK;
}
