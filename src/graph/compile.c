/* SPDX-License-Identifier: Apache-2.0 */
/* Model -> plan: geometry, choice of layers, folding and packing of weights. */
#include "core/memory.h"
#include "core/options_read.h"
#include "graph/plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHANNEL_MULTIPLE = 16, /* hidden units and taps are padded to whole vectors */
    MOST_THREADS = 4096,
    MOST_MICRO_BATCH = 4096
};

static void set_geometry(of_plan *plan, uint32_t s) {
    of_scale_plan *scale = &plan->scales[s];
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    scale->shape = of_architecture_scale(&plan->architecture, s);
    scale->rows = dense ? 1 : scale->shape.height;
    scale->columns = dense ? 1 : scale->shape.width;
    scale->positions = scale->rows * scale->columns;
    scale->channels = dense ? scale->shape.dimensions : scale->shape.channels;
    scale->half = scale->channels / 2;
    scale->last = s + 1 == plan->scale_count;
    scale->precision = plan->precision;
    scale->outputs = scale->half * (plan->architecture.coupling == OF_COUPLING_AFFINE ? 2 : 1);
}

/* The last layer of a convolutional network, 3x3 hidden -> N with small N: as a 1x1 product
 * hidden -> 9N whose shifted taps the coupling kernel sums, or directly. The product fills whole
 * vectors and runs at full speed, but works on taps that fall outside the image; those make up a
 * large share of small images, and direct code leaves them out. The costs are multiplications a
 * position, divided by the share of peak speed measured for each form. */
static bool taps_are_cheaper(const of_scale_plan *scale) {
    double height = scale->rows, width = scale->columns;
    double inside = (3 * height - 2) * (3 * width - 2) / (9 * height * width);
    double outputs = (double)of_round_up(scale->outputs, CHANNEL_MULTIPLE);
    double direct_speed = outputs < 48 ? 0.82 : 0.95;
    double direct = 9 * inside * outputs / direct_speed;
    double taps = (double)of_round_up(9 * (size_t)scale->outputs, CHANNEL_MULTIPLE) / 0.95;
    return taps < direct;
}

static void choose_last_layer(const of_plan *plan, of_scale_plan *scale) {
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    /* gradients always go through taps */
    bool taps = !dense && (plan->for_training || taps_are_cheaper(scale));
    scale->kernel = taps ? 3 : 1;
    size_t outputs = (size_t)scale->outputs * scale->kernel * scale->kernel;
    scale->tap_stride = (uint32_t)of_round_up(outputs, CHANNEL_MULTIPLE);
    scale->gather_stride =
        (uint32_t)of_round_up((size_t)(dense ? 1 : 9) * scale->half, CHANNEL_MULTIPLE);
}

/* Networks in bfloat16 keep their hidden activations in it; the last layer makes floats. */
static of_convolution_shape layer_shape(const of_plan *plan, const of_scale_plan *scale,
                                        int layer) {
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    of_convolution_shape shape = {.height = scale->rows,
                                  .width = scale->columns,
                                  .inputs = plan->hidden,
                                  .outputs = plan->hidden,
                                  .kernel = 1,
                                  .bias = true,
                                  .relu = true,
                                  .source = scale->precision,
                                  .target = scale->precision};
    if (layer == OF_LAYER_FIRST) {
        shape.inputs = scale->half;
        shape.kernel = dense ? 1 : 3;
    } else if (layer == OF_LAYER_LAST) {
        shape.outputs = scale->tap_stride;
        shape.kernel = dense || scale->kernel == 3 ? 1 : 3;
        shape.bias = shape.relu = false; /* the coupling kernel adds the bias */
        shape.target = OF_PRECISION_F32;
    } else if (layer == OF_LAYER_MIX) {
        shape.inputs = shape.outputs = scale->channels;
        shape.relu = false;
        shape.source = shape.target = OF_PRECISION_F32; /* the flow's own state */
    }
    return shape;
}

static void free_layers(of_scale_plan *scale) {
    for (int layer = 0; layer < OF_LAYERS; layer++) {
        of_convolution_free(scale->layers[layer]);
        scale->layers[layer] = NULL;
    }
    of_convolution_free(scale->backward_mix);
    scale->backward_mix = NULL;
}

static of_status create_layers(of_plan *plan, of_scale_plan *scale, of_error *error) {
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    for (int layer = 0; layer < (dense ? OF_LAYERS : OF_LAYER_MIX); layer++) {
        of_convolution_shape shape = layer_shape(plan, scale, layer);
        of_status status =
            of_convolution_create(&shape, scale->chunk, NULL, &scale->layers[layer], error);
        if (status == OF_OK && plan->for_training && layer == OF_LAYER_MIX) {
            shape.bias = false;
            status = of_convolution_create(&shape, scale->chunk, NULL, &scale->backward_mix, error);
        }
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

/* A network whose layers lack native bfloat16 code stays in floats. */
static of_status create_layers_or_floats(of_plan *plan, of_scale_plan *scale, of_error *error) {
    of_status status = create_layers(plan, scale, error);
    if (status != OF_ERROR_UNSUPPORTED || scale->precision == OF_PRECISION_F32)
        return status;
    free_layers(scale);
    scale->precision = OF_PRECISION_F32;
    return create_layers(plan, scale, error);
}

/* If calls of different sizes give different bits, only one image a call is left. */
static of_status insist_on_uniform_layers(of_scale_plan *scale, of_error *error) {
    for (int layer = 0; layer < OF_LAYERS; layer++) {
        bool uniform = true;
        of_status status = OF_OK;
        if (scale->layers[layer] != NULL)
            status = of_convolution_is_uniform(scale->layers[layer], NULL, 0, &uniform, error);
        if (status != OF_OK)
            return status;
        if (!uniform)
            scale->chunk = 1;
    }
    return OF_OK;
}

static of_status compile_scale(of_plan *plan, const of_model *model, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    scale->steps = of_arena_take(&plan->arena, plan->architecture.steps, sizeof *scale->steps);
    if (scale->steps == NULL)
        return of_fail_memory(error, "steps");
    of_status status = create_layers_or_floats(plan, scale, error);
    if (status == OF_OK)
        status = insist_on_uniform_layers(scale, error);
    if (status == OF_OK)
        status = of_pack_allocate(plan, s, error);
    if (status == OF_OK)
        status = of_pack_scale(plan, model, s, plan->threads, error);
    return status;
}

static of_status check_options(const of_plan_options *options, of_error *error) {
    if (options->threads > MOST_THREADS)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "threads", "threads: %u is more than %d",
                               options->threads, MOST_THREADS);
    if (options->micro_batch > MOST_MICRO_BATCH)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "micro_batch",
                               "micro-batch: %u is more than %d", options->micro_batch,
                               MOST_MICRO_BATCH);
    return OF_OK;
}

of_plan_options of_plan_options_default(void) {
    return (of_plan_options){.size = sizeof(of_plan_options),
                             .threads = 0,
                             .isa = OF_ISA_AUTO,
                             .micro_batch = 0,
                             .precision = OF_PRECISION_F32,
                             .inverse = false,
                             .latency = true};
}

/* What was asked for by name must run somewhere in the model. */
static of_status settle_precision(of_plan *plan, of_precision wish, of_error *error) {
    bool any = false;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        any = any || plan->scales[s].precision == OF_PRECISION_BF16;
    if (wish == OF_PRECISION_BF16 && !any)
        return of_fail_setting(
            error, OF_ERROR_UNSUPPORTED, "precision",
            "precision bf16: %s has no native bfloat16 code for any layer of this "
            "model; use precision f32",
            of_convolution_library());
    plan->precision = any ? OF_PRECISION_BF16 : OF_PRECISION_F32;
    return OF_OK;
}

static void set_up(of_plan *plan, const of_model *model, const of_plan_options *options,
                   of_isa isa) {
    plan->architecture = model->architecture;
    plan->kernels = of_kernels_for(isa);
    plan->threads = options->threads > 0 ? options->threads : of_cpu_count();
    plan->units = of_architecture_units(&plan->architecture);
    plan->scale_count = of_architecture_scale_count(&plan->architecture);
    plan->hidden = (uint32_t)of_round_up(plan->architecture.hidden, CHANNEL_MULTIPLE);
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        set_geometry(plan, s);
        choose_last_layer(plan, &plan->scales[s]);
    }
    of_workspace_choose_chunks(plan, options->micro_batch);
}

/* Patches need no code of their own; dense blocks look at everything at once. */
static void share_images(of_plan *plan) {
    if (plan->threads > 1 && plan->architecture.block != OF_BLOCK_DENSE)
        plan->shares_images = plan->units > 1 || of_bands_compile(plan);
}

static of_status fill_plan(of_plan *plan, const of_model *model, const of_plan_options *options,
                           of_error *error) {
    of_isa isa;
    of_status status = check_options(options, error);
    if (status == OF_OK)
        status = of_isa_resolve(options->isa, &isa, error);
    if (status == OF_OK)
        status = of_precision_resolve(options->precision, isa, &plan->precision, error);
    if (status != OF_OK)
        return status;
    set_up(plan, model, options, isa);
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count; s++)
        status = compile_scale(plan, model, s, error);
    if (status == OF_OK)
        status = settle_precision(plan, options->precision, error);
    if (status == OF_OK && options->inverse)
        status = of_plan_invert_maps(plan, error);
    if (status == OF_OK && options->latency)
        share_images(plan);
    return status;
}

of_status of_plan_build(const of_model *model, const of_plan_options *options, bool for_training,
                        of_plan **result, of_error *error) {
    of_status status = of_architecture_check_engine(&model->architecture, error);
    if (status != OF_OK)
        return status;
    of_plan *plan = of_allocate_zeroed(1, sizeof *plan);
    if (plan == NULL)
        return of_fail_memory(error, "a plan");
    plan->for_training = for_training;
    status = fill_plan(plan, model, options, error);
    if (status != OF_OK) {
        of_plan_free(plan);
        return status;
    }
    *result = plan;
    return OF_OK;
}

of_status of_plan_compile(const of_model *model, const of_plan_options *given, of_plan **result,
                          of_error *error) {
    of_plan_options options = of_plan_options_default();
    if (model == NULL || result == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_plan_compile: a model is needed");
    of_status status = of_options_read(&options, sizeof options, sizeof options, given,
                                       "options of a plan", error);
    return status == OF_OK ? of_plan_build(model, &options, false, result, error) : status;
}

void of_plan_free(of_plan *plan) {
    if (plan == NULL)
        return;
    for (uint32_t s = 0; s < OF_MAX_SCALES; s++) {
        of_bands_free(&plan->scales[s], plan->threads);
        free_layers(&plan->scales[s]);
    }
    of_arena_release(&plan->arena);
    of_free(plan);
}

const of_architecture *of_plan_architecture(const of_plan *plan) {
    return &plan->architecture;
}
