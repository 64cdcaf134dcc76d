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
                         .workspace_bytes = of_workspace_bytes(plan),
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

size_t of_layer_number(const of_plan *plan, uint32_t s, uint32_t k, int part) {
    size_t first = s * layers_per_scale(plan);
    if (part == OF_PART_ENTER)
        return first;
    if (part == OF_PART_PRIOR)
        return first + layers_per_scale(plan) - 1;
    int skipped = plan->architecture.block == OF_BLOCK_DENSE ? OF_PART_MIX : OF_PART_FIRST;
    return first + 1 + k * layers_per_step(plan) + (size_t)(part - skipped);
}

size_t of_plan_layer_count(const of_plan *plan) {
    return plan->scale_count * layers_per_scale(plan);
}

static size_t state_bytes(const of_scale_plan *scale) {
    return (size_t)scale->positions * scale->channels * sizeof(float);
}

static double map_flops(const of_scale_plan *scale) {
    return 2.0 * scale->positions * scale->channels * scale->channels;
}

static void describe_convolution(const of_plan *plan, const of_scale_plan *scale, uint32_t s,
                                 uint32_t step, int layer, of_layer_info *info) {
    static const char *const convolutions[] = {"conv1", "conv2", "conv3", "mix"};
    static const char *const linear[] = {"fc1", "fc2", "fc3", "mix"};
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    const of_convolution *convolution = scale->layers[layer];
    const of_convolution_shape *shape = of_convolution_shape_of(convolution);
    bool taps = layer == OF_LAYER_LAST && scale->kernel == 3;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.%s", (unsigned)s,
                   (unsigned)step, dense ? linear[layer] : convolutions[layer]);
    (void)snprintf(info->operation, sizeof info->operation, "%ux%u %u->%u%s%s",
                   (unsigned)shape->kernel, (unsigned)shape->kernel, (unsigned)shape->inputs,
                   (unsigned)shape->outputs, shape->relu ? " +relu" : "", taps ? " taps" : "");
    info->kernel = of_convolution_kernel(convolution);
    info->precision = shape->source;
    info->images_per_call = scale->chunk;
    double weights = (double)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
    info->flops = 2.0 * plan->units * scale->positions * weights;
    info->weight_bytes = of_convolution_weight_bytes(convolution);
    size_t number = shape->target == OF_PRECISION_BF16 ? sizeof(uint16_t) : sizeof(float);
    info->output_bytes = (size_t)plan->units * scale->positions * shape->outputs * number;
}

static void describe_tail(const of_plan *plan, const of_scale_plan *scale, uint32_t s,
                          uint32_t step, of_layer_info *info) {
    bool affine = plan->architecture.coupling == OF_COUPLING_AFFINE;
    bool map = plan->architecture.block == OF_BLOCK_CONV && step + 1 < plan->architecture.steps;
    (void)snprintf(info->name, sizeof info->name, "scales.%u.steps.%u.coupling", (unsigned)s,
                   (unsigned)step);
    (void)snprintf(info->operation, sizeof info->operation, "%s%s%s",
                   scale->kernel == 3 ? "tap sum, " : "", affine ? "affine" : "additive",
                   map ? ", next map" : "");
    info->flops = map ? plan->units * map_flops(scale) : 0;
    info->weight_bytes = (map ? scale->channels : 0) * (size_t)scale->channels * sizeof(float);
    info->output_bytes = plan->units * state_bytes(scale);
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
        info->flops = enter && !dense ? plan->units * map_flops(scale) : 0;
        info->output_bytes = enter ? plan->units * state_bytes(scale) : 0;
        return OF_OK;
    }
    uint32_t step = (uint32_t)((within - 1) / layers_per_step(plan));
    size_t part = (within - 1) % layers_per_step(plan);
    if (dense && part == 0)
        describe_convolution(plan, scale, s, step, OF_LAYER_MIX, info);
    else if (part + 1 == layers_per_step(plan))
        describe_tail(plan, scale, s, step, info);
    else
        describe_convolution(plan, scale, s, step, (int)(part - (dense ? 1 : 0)), info);
    return OF_OK;
}
