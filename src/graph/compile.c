/* SPDX-License-Identifier: Apache-2.0 */
/* Model -> plan: geometry, choice of layers, folding and packing of weights. */
#include "core/memory.h"
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
    scale->kernel = !dense && taps_are_cheaper(scale) ? 3 : 1;
    size_t outputs = (size_t)scale->outputs * scale->kernel * scale->kernel;
    scale->tap_stride = (uint32_t)of_round_up(outputs, CHANNEL_MULTIPLE);
}

static of_convolution_shape layer_shape(const of_plan *plan, const of_scale_plan *scale,
                                        int layer) {
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    of_convolution_shape shape = {.height = scale->rows,
                                  .width = scale->columns,
                                  .inputs = plan->hidden,
                                  .outputs = plan->hidden,
                                  .kernel = 1,
                                  .bias = true,
                                  .relu = true};
    if (layer == OF_LAYER_FIRST) {
        shape.inputs = scale->half;
        shape.kernel = dense ? 1 : 3;
    } else if (layer == OF_LAYER_LAST) {
        shape.outputs = scale->tap_stride;
        shape.kernel = dense || scale->kernel == 3 ? 1 : 3;
        shape.bias = shape.relu = false; /* the coupling kernel adds the bias */
    } else if (layer == OF_LAYER_MIX) {
        shape.inputs = shape.outputs = scale->channels;
        shape.relu = false;
    }
    return shape;
}

static of_status create_layers(of_plan *plan, of_scale_plan *scale, of_error *error) {
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    for (int layer = 0; layer < (dense ? OF_LAYERS : OF_LAYER_MIX); layer++) {
        of_convolution_shape shape = layer_shape(plan, scale, layer);
        of_status status =
            of_convolution_create(&shape, scale->chunk, 1, &scale->layers[layer], error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

/* If calls of different sizes give different bits, only one image a call is left. */
static of_status insist_on_uniform_layers(of_scale_plan *scale, of_error *error) {
    for (int layer = 0; layer < OF_LAYERS; layer++) {
        bool uniform = true;
        of_status status = OF_OK;
        if (scale->layers[layer] != NULL)
            status = of_convolution_is_uniform(scale->layers[layer], NULL, &uniform, error);
        if (status != OF_OK)
            return status;
        if (!uniform)
            scale->chunk = 1;
    }
    return OF_OK;
}

/* Plain arrays that serve every layer of a scale. */
typedef struct compile_buffers {
    of_folded_layer folded;
    double *matrix, *bias; /* [channels][channels], [channels] */
} compile_buffers;

static void free_buffers(compile_buffers *buffers) {
    of_free(buffers->folded.weights);
    of_free(buffers->folded.bias);
    of_free(buffers->matrix);
    of_free(buffers->bias);
}

static of_status make_buffers(const of_scale_plan *scale, compile_buffers *buffers,
                              of_error *error) {
    size_t weights = 0, outputs = scale->outputs, n = scale->channels;
    for (int layer = 0; layer < OF_LAYERS; layer++) {
        if (scale->layers[layer] == NULL)
            continue;
        const of_convolution_shape *shape = of_convolution_shape_of(scale->layers[layer]);
        size_t count = (size_t)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
        weights = count > weights ? count : weights;
        outputs = shape->outputs > outputs ? shape->outputs : outputs;
    }
    buffers->folded.weights = of_allocate(weights, sizeof(float));
    buffers->folded.bias = of_allocate(outputs, sizeof(float));
    buffers->matrix = of_allocate(n * n, sizeof(double));
    buffers->bias = of_allocate(n, sizeof(double));
    if (buffers->folded.weights && buffers->folded.bias && buffers->matrix && buffers->bias)
        return OF_OK;
    return of_fail_memory(error, "compilation");
}

static of_status pack_layer(of_plan *plan, const of_convolution *layer, const float *weights,
                            const float *bias, size_t bias_count, of_packed_layer *packed,
                            of_error *error) {
    float *own_bias = of_arena_take(&plan->arena, bias_count, sizeof(float));
    packed->weights = of_arena_take(&plan->arena, of_convolution_weight_bytes(layer), 1);
    if (packed->weights == NULL || own_bias == NULL)
        return of_fail_memory(error, "packed weights");
    memcpy(own_bias, bias, bias_count * sizeof(float));
    packed->bias = own_bias;
    return of_convolution_pack(layer, weights, packed->weights, error);
}

static of_status compile_network(of_plan *plan, const of_model *model, uint32_t s, uint32_t k,
                                 compile_buffers *buffers, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_step_plan *step = &scale->steps[k];
    of_status status = OF_OK;
    for (int layer = OF_LAYER_FIRST; status == OF_OK && layer <= OF_LAYER_LAST; layer++) {
        size_t bias_count = layer == OF_LAYER_LAST ? scale->outputs : plan->hidden;
        of_fold_layer(plan, model, s, k, layer, &buffers->folded);
        status = pack_layer(plan, scale->layers[layer], buffers->folded.weights,
                            buffers->folded.bias, bias_count, &step->layers[layer], error);
    }
    step->coefficient_bias = step->layers[OF_LAYER_LAST].bias;
    step->layers[OF_LAYER_LAST].bias = NULL;
    return status;
}

static of_status compile_map(of_plan *plan, uint32_t s, uint32_t k, compile_buffers *buffers,
                             of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_step_plan *step = &scale->steps[k];
    uint32_t n = scale->channels;
    if (plan->architecture.block == OF_BLOCK_DENSE) {
        for (size_t i = 0; i < (size_t)n * n; i++)
            buffers->folded.weights[i] = (float)buffers->matrix[i];
        for (size_t i = 0; i < n; i++)
            buffers->folded.bias[i] = (float)buffers->bias[i];
        return pack_layer(plan, scale->layers[OF_LAYER_MIX], buffers->folded.weights,
                          buffers->folded.bias, n, &step->layers[OF_LAYER_MIX], error);
    }
    of_arena *arena = &plan->arena;
    of_status status =
        of_fold_channel_map(arena, buffers->matrix, buffers->bias, n, 1, 0, &step->map, error);
    /* x = v/256 + 0.5/256 - 0.5 for bytes v, and floats hold v/255 */
    if (status == OF_OK && s == 0 && k == 0)
        status = of_fold_channel_map(arena, buffers->matrix, buffers->bias, n, 1.0 / 256,
                                     0.5 / 256 - 0.5, &scale->entry_u8, error);
    if (status == OF_OK && s == 0 && k == 0)
        status = of_fold_channel_map(arena, buffers->matrix, buffers->bias, n, 255.0 / 256,
                                     0.5 / 256 - 0.5, &scale->entry_f32, error);
    return status;
}

static of_status compile_steps(of_plan *plan, const of_model *model, uint32_t s,
                               compile_buffers *buffers, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    for (uint32_t k = 0; k < plan->architecture.steps; k++) {
        double log_det = 0;
        of_error reason = {0};
        of_status status =
            of_fold_mixing(model, s, k, buffers->matrix, buffers->bias, &log_det, &reason);
        if (status != OF_OK)
            return of_fail(error, status, "scales.%u.steps.%u: %s", (unsigned)s, (unsigned)k,
                           reason.message);
        scale->constant += log_det * scale->positions;
        status = compile_map(plan, s, k, buffers, error);
        if (status == OF_OK)
            status = compile_network(plan, model, s, k, buffers, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

static of_status compile_scale(of_plan *plan, const of_model *model, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    compile_buffers buffers = {{0}, NULL, NULL};
    scale->steps = of_arena_take(&plan->arena, plan->architecture.steps, sizeof *scale->steps);
    if (scale->steps == NULL)
        return of_fail_memory(error, "steps");
    of_status status = create_layers(plan, scale, error);
    if (status == OF_OK)
        status = insist_on_uniform_layers(scale, error);
    if (status == OF_OK)
        status = make_buffers(scale, &buffers, error);
    if (status == OF_OK)
        status = compile_steps(plan, model, s, &buffers, error);
    if (status == OF_OK)
        status = of_fold_prior(plan, model, s, error);
    free_buffers(&buffers);
    return status;
}

static of_status check_options(const of_plan_options *options, of_error *error) {
    if (options->threads > MOST_THREADS)
        return of_fail(error, OF_ERROR_ARGUMENT, "threads: %u is more than %d", options->threads,
                       MOST_THREADS);
    if (options->micro_batch > MOST_MICRO_BATCH)
        return of_fail(error, OF_ERROR_ARGUMENT, "micro-batch: %u is more than %d",
                       options->micro_batch, MOST_MICRO_BATCH);
    return OF_OK;
}

of_plan_options of_plan_options_default(void) {
    return (of_plan_options){.threads = 0, .isa = OF_ISA_AUTO, .micro_batch = 0};
}

static of_status fill_plan(of_plan *plan, const of_model *model, const of_plan_options *options,
                           of_error *error) {
    of_isa isa;
    of_status status = check_options(options, error);
    if (status == OF_OK)
        status = of_isa_resolve(options->isa, &isa, error);
    if (status != OF_OK)
        return status;
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
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        status = compile_scale(plan, model, s, error);
        if (status != OF_OK)
            return status;
    }
    return of_workspace_create(plan, error);
}

of_status of_plan_compile(const of_model *model, const of_plan_options *options, of_plan **result,
                          of_error *error) {
    if (model == NULL || result == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_plan_compile: a model is needed");
    of_plan_options defaults = of_plan_options_default();
    of_plan *plan = of_allocate_zeroed(1, sizeof *plan);
    if (plan == NULL)
        return of_fail_memory(error, "a plan");
    of_status status = fill_plan(plan, model, options ? options : &defaults, error);
    if (status != OF_OK) {
        of_plan_free(plan);
        return status;
    }
    *result = plan;
    return OF_OK;
}

void of_plan_free(of_plan *plan) {
    if (plan == NULL)
        return;
    for (uint32_t s = 0; s < OF_MAX_SCALES; s++)
        for (int layer = 0; layer < OF_LAYERS; layer++) {
            of_convolution_free(plan->scales[s].layers[layer]);
            of_convolution_free(plan->scales[s].latency[layer]);
        }
    of_workspace_free(plan);
    of_arena_release(&plan->arena);
    of_free(plan);
}

const of_architecture *of_plan_architecture(const of_plan *plan) {
    return &plan->architecture;
}
