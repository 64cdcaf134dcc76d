/* SPDX-License-Identifier: Apache-2.0 */
/* Model -> plan: geometry, the list of ops and the passes over it, code, and memory. */
#include "core/memory.h"
#include "core/options_read.h"
#include "graph/plan.h"
#include "model/quantization.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 4096, MOST_MICRO_BATCH = 4096 };

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
}

/* ---- The list ----------------------------------------------------------------------------- */

/* The plan's own copy of a list, and where each scale's ops begin. */
static of_status take_list(of_plan *plan, const of_op_list *list, of_error *error) {
    plan->ops = of_arena_take(&plan->arena, list->count, sizeof *plan->ops);
    if (plan->ops == NULL)
        return of_fail_memory(error, "ops");
    plan->op_count = list->count;
    memcpy(plan->ops, list->ops, list->count * sizeof *plan->ops);
    for (size_t i = list->count; i-- > 0;) {
        of_scale_plan *scale = &plan->scales[plan->ops[i].scale];
        scale->ops = &plan->ops[i];
        scale->op_count++;
    }
    return OF_OK;
}

static of_status make_list(of_plan *plan, const of_model *model, of_error *error) {
    of_op_list list;
    of_status status = of_ops_build(plan, model, &list, error);
    if (status == OF_OK) {
        of_ops_run_passes(plan, &list, NULL, NULL);
        status = take_list(plan, &list, error);
    }
    of_free(list.ops);
    return status;
}

/* ---- Code --------------------------------------------------------------------------------- */

static void free_code(of_scale_plan *scale) {
    for (of_op *op = scale->ops; op < scale->ops + scale->op_count; op++) {
        if (op->owns_code) {
            of_convolution_free(op->code);
            of_convolution_free(op->transposed_code);
        }
        op->code = op->transposed_code = NULL;
        op->owns_code = false;
    }
}

static bool same_shape(const of_convolution_shape *a, const of_convolution_shape *b) {
    return a->height == b->height && a->width == b->width && a->inputs == b->inputs &&
           a->outputs == b->outputs && a->kernel == b->kernel && a->bias == b->bias &&
           a->relu == b->relu && a->leak == b->leak && a->above == b->above &&
           a->below == b->below && a->source == b->source && a->target == b->target;
}

/* An earlier op of the scale whose code is what `op` needs. */
static const of_op *find_code(const of_scale_plan *scale, const of_op *op) {
    for (const of_op *other = scale->ops; other < op; other++)
        if (other->code != NULL && same_shape(&other->shape, &op->shape) &&
            of_reads_state(other) == of_reads_state(op))
            return other;
    return NULL;
}

static of_status create_op_code(of_plan *plan, of_scale_plan *scale, of_op *op, of_error *error) {
    const of_op *other = find_code(scale, op);
    bool map = op->kind == OF_OP_MAP;
    if (other != NULL) {
        op->code = other->code;
        op->transposed_code = other->transposed_code;
        return OF_OK;
    }
    op->owns_code = true;
    of_status status = of_convolution_create(&op->shape, scale->chunk, NULL, &op->code, error);
    if (status == OF_OK && plan->for_training && (map || op->shape.source == OF_PRECISION_BF16)) {
        of_convolution_shape transposed = map ? op->shape : of_way_back_shape(op);
        transposed.bias = false;
        status =
            of_convolution_create(&transposed, scale->chunk, NULL, &op->transposed_code, error);
    }
    return status;
}

static of_status create_code(of_plan *plan, of_scale_plan *scale, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < scale->op_count; i++)
        if (scale->ops[i].kind == OF_OP_CONVOLUTION || scale->ops[i].kind == OF_OP_MAP)
            status = create_op_code(plan, scale, &scale->ops[i], error);
    return status;
}

/* Networks that lack native bfloat16 code stay in floats. */
static of_status create_code_or_floats(of_plan *plan, of_scale_plan *scale, of_error *error) {
    of_status status = create_code(plan, scale, error);
    if (status != OF_ERROR_UNSUPPORTED || scale->precision != OF_PRECISION_BF16)
        return status;
    free_code(scale);
    scale->precision = OF_PRECISION_F32;
    for (of_op *op = scale->ops; op < scale->ops + scale->op_count; op++)
        op->shape.source = op->shape.target = OF_PRECISION_F32;
    return create_code(plan, scale, error);
}

/* If calls of different sizes give different bits, only one image a call is left. */
static of_status insist_on_uniform_code(of_scale_plan *scale, of_error *error) {
    for (const of_op *op = scale->ops; op < scale->ops + scale->op_count; op++) {
        bool uniform = true;
        of_status status = OF_OK;
        if (op->owns_code)
            status = of_convolution_is_uniform(op->code, NULL, 0, &uniform, error);
        if (status != OF_OK)
            return status;
        if (!uniform)
            scale->chunk = 1;
    }
    return OF_OK;
}

static of_status compile_scale(of_plan *plan, const of_model *model, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    of_status status = create_code_or_floats(plan, scale, error);
    if (status == OF_OK)
        status = insist_on_uniform_code(scale, error);
    for (size_t i = 0; status == OF_OK && i < scale->op_count; i++)
        status = of_op_type_of(scale->ops[i].kind)->allocate(plan, &scale->ops[i], error);
    return status == OF_OK ? of_pack_scale(plan, model, s, plan->threads, error) : status;
}

/* ---- Plans -------------------------------------------------------------------------------- */

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
    if (wish == OF_PRECISION_INT8) /* all or nothing */
        return OF_OK;
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

static of_status set_up(of_plan *plan, const of_model *model, const of_plan_options *options,
                        of_isa isa, of_error *error) {
    plan->architecture = model->architecture;
    plan->kernels = of_kernels_for(isa);
    plan->threads = options->threads > 0 ? options->threads : of_cpu_count();
    plan->units = of_architecture_units(&plan->architecture);
    plan->scale_count = of_architecture_scale_count(&plan->architecture);
    plan->hidden = (uint32_t)of_round_up(plan->architecture.hidden, OF_CHANNEL_MULTIPLE);
    for (uint32_t s = 0; s < plan->scale_count; s++)
        set_geometry(plan, s);
    of_status status = make_list(plan, model, error);
    if (status == OF_OK)
        of_workspace_choose_chunks(plan, options->micro_batch);
    return status;
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
    if (status == OF_OK && plan->precision == OF_PRECISION_INT8)
        status = of_integer_check(model, plan->for_training, error);
    if (status == OF_OK && plan->precision == OF_PRECISION_INT8)
        status = of_quantization_read(model, &plan->quantization, error);
    if (status == OF_OK && plan->quantization != NULL)
        status = of_integer_balance(model, plan->quantization, error);
    if (status == OF_OK)
        status = set_up(plan, model, options, isa, error);
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
    of_plan *plan = of_allocate_zeroed(1, sizeof *plan);
    if (plan == NULL)
        return of_fail_memory(error, "a plan");
    plan->for_training = for_training;
    of_status status = fill_plan(plan, model, options, error);
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
    of_bands_free(plan);
    for (uint32_t s = 0; s < plan->scale_count; s++)
        free_code(&plan->scales[s]);
    of_quantization_free(plan->quantization);
    of_arena_release(&plan->arena);
    of_free(plan);
}

const of_architecture *of_plan_architecture(const of_plan *plan) {
    return &plan->architecture;
}
