/* SPDX-License-Identifier: Apache-2.0 */
/* Single steps on batches of the caller's: what a run does, without its data, outlier losses,
 * schedule and files. */
#include "core/batch_check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "graph/gradient.h"
#include "train/training_run.h"

#include <math.h>
#include <string.h>

enum { UPDATE_PARTS = 2 }; /* of a step, after its gradient: optimizer, refresh */

struct of_train_loop {
    of_train_loop_options options; /* with what was chosen filled in */
    of_model *model;               /* the caller's */
    of_training_plan *plan;
    of_optimizer optimizer;
    double *logp; /* [capacity] of a batch */
    size_t capacity;
    uint64_t applied; /* steps that changed the weights */
};

of_train_loop_options of_train_loop_options_default(void) {
    const of_train_options run = of_train_options_default();
    return (of_train_loop_options){.size = sizeof(of_train_loop_options),
                                   .batch = (size_t)run.batch,
                                   .optimizer = run.optimizer,
                                   .rate = run.rate,
                                   .weight_decay = run.weight_decay,
                                   .clip = run.clip};
}

/* ---- Creating ----------------------------------------------------------------------------- */

/* The ranges of a run's options hold here, too. */
static of_status check(const of_train_loop_options *options, of_error *error) {
    static const char *const any = "";
    of_train_options run = of_train_options_default();
    run.out = "none";
    run.data = &any;
    run.data_count = 1;
    run.threads = options->threads;
    run.isa = options->isa;
    run.precision = options->precision;
    run.micro_batch = options->micro_batch;
    run.lanes = options->lanes;
    run.batch = options->batch;
    run.optimizer = options->optimizer;
    run.rate = options->rate;
    run.weight_decay = options->weight_decay;
    run.clip = options->clip;
    return of_train_options_check(&run, error);
}

static void choose(of_train_loop *loop) {
    of_train_loop_options *options = &loop->options;
    if (options->threads == 0)
        options->threads = of_cpu_count();
    if (options->lanes == 0)
        options->lanes = of_train_lanes(options->batch);
    if (options->micro_batch == 0)
        options->micro_batch = of_train_group(loop->model, options->batch, options->lanes);
}

static of_plan_info describe_plan(const of_train_loop *loop) {
    return of_plan_describe(of_session_plan(of_training_session(loop->plan)));
}

static of_status build(of_train_loop *loop, of_error *error) {
    const of_train_loop_options *options = &loop->options;
    const of_training_options wish = {.threads = options->threads,
                                      .isa = options->isa,
                                      .precision = options->precision,
                                      .lanes = options->lanes,
                                      .one_call = true,
                                      .micro_batch = options->micro_batch,
                                      .batch = options->batch,
                                      .memory_bytes = options->memory_bytes};
    of_optimizer_options optimizer = of_optimizer_defaults();
    optimizer.kind = options->optimizer;
    optimizer.weight_decay = options->weight_decay;
    of_status status = of_training_compile(loop->model, &wish, &loop->plan, error);
    if (status != OF_OK)
        return status;
    return of_optimizer_open(&optimizer, loop->model, of_training_gradient_view(loop->plan).places,
                             of_kernels_for(describe_plan(loop).isa), options->threads,
                             &loop->optimizer, error);
}

of_status of_train_loop_create(of_model *model, const of_train_loop_options *given,
                               of_train_loop **loop, of_error *error) {
    of_train_loop_options options = of_train_loop_options_default();
    if (model == NULL || loop == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "steps of training need a model");
    *loop = NULL;
    of_status status = of_options_read(&options, sizeof options, sizeof options, given,
                                       "options of a training loop", error);
    if (status == OF_OK)
        status = check(&options, error);
    if (status != OF_OK)
        return status;
    of_train_loop *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "a training loop");
    made->options = options;
    made->model = model;
    choose(made);
    status = build(made, error);
    if (status != OF_OK) {
        of_train_loop_free(made);
        return status;
    }
    *loop = made;
    return OF_OK;
}

void of_train_loop_free(of_train_loop *loop) {
    if (loop == NULL)
        return;
    of_optimizer_close(&loop->optimizer);
    of_training_free(loop->plan);
    of_free(loop->logp);
    of_free(loop);
}

/* ---- Steps -------------------------------------------------------------------------------- */

static of_status check_images(const of_train_loop *loop, const of_batch *batch, of_error *error) {
    return loop != NULL ? of_batch_check(batch, "steps of training", error)
                        : of_fail(error, OF_ERROR_ARGUMENT, "steps of training need a loop");
}

of_status of_train_loop_initialise(of_train_loop *loop, const of_batch *batch, of_error *error) {
    of_status status = check_images(loop, batch, error);
    if (status != OF_OK)
        return status;
    return of_training_initialise(loop->plan, loop->model, batch, error);
}

/* Of the mean of -logp. With classes, p(x) = mean of p(x|c), so dlogp/dlogp_c is p(c|x). */
typedef struct mean_nll {
    size_t count, classes;
} mean_nll;

static double mean_nll_gradient(void *user, size_t image, double logp, const double *class_logp,
                                double *class_gradient) {
    const mean_nll *loss = user;
    double gradient = -1.0 / (double)loss->count;
    (void)image;
    for (size_t c = 0; class_logp != NULL && c < loss->classes; c++)
        class_gradient[c] = gradient * exp(class_logp[c] - logp) / (double)loss->classes;
    return gradient;
}

static of_status reserve(of_train_loop *loop, size_t count, of_error *error) {
    if (count <= loop->capacity)
        return OF_OK;
    of_free(loop->logp);
    loop->logp = of_allocate(count, sizeof *loop->logp);
    loop->capacity = loop->logp != NULL ? count : 0;
    return loop->logp != NULL ? OF_OK : of_fail_memory(error, "the likelihoods of a batch");
}

static double mean_bits(const of_train_loop *loop, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += loop->logp[i];
    return of_bits_per_dim(of_model_architecture(loop->model), sum / (double)count);
}

static double nats_per_bit(const of_train_loop *loop) {
    return (double)of_architecture_dimensions(of_model_architecture(loop->model)) * log(2.0);
}

static of_status find_gradient(of_train_loop *loop, const of_batch *batch, of_error *error) {
    mean_nll loss = {batch->count, of_model_architecture(loop->model)->classes};
    of_status status = reserve(loop, batch->count, error);
    if (status != OF_OK)
        return status;
    const of_likelihoods out = {.logp = loop->logp};
    status = of_training_gradient(loop->plan, loop->model, batch, &out, mean_nll_gradient, &loss,
                                  false, error);
    return status == OF_OK ? of_training_finish_gradient(loop->plan, loop->model, error) : status;
}

/* Norm and weights; the plan still has the old ones. */
static void update(of_train_loop *loop, of_train_step *step) {
    const of_train_loop_options *options = &loop->options;
    const float *gradient = of_training_gradient_view(loop->plan).values;
    double norm = of_optimizer_norm(&loop->optimizer, gradient);
    step->grad_norm = norm / nats_per_bit(loop);
    step->skipped = !isfinite(norm) || !isfinite(step->bits_per_dim);
    if (step->skipped)
        return;
    of_optimizer_apply(&loop->optimizer, loop->model, gradient,
                       of_clip_scale(options->clip * nats_per_bit(loop), norm), options->rate,
                       loop->applied++);
}

/* `updates` [UPDATE_PARTS] gets seconds. */
static of_status take_step(of_train_loop *loop, const of_batch *batch, of_train_step *step,
                           double *updates, of_error *error) {
    of_status status = find_gradient(loop, batch, error);
    if (status == OF_ERROR_NUMERIC) {
        *step = (of_train_step){(double)NAN, (double)NAN, true};
        return OF_OK;
    }
    if (status != OF_OK)
        return status;
    step->bits_per_dim = mean_bits(loop, batch->count);
    double start = of_seconds();
    update(loop, step);
    double middle = of_seconds();
    if (!step->skipped)
        status = of_training_refresh(loop->plan, loop->model, error);
    updates[0] = middle - start;
    updates[1] = of_seconds() - middle;
    return status;
}

of_status of_train_loop_step(of_train_loop *loop, const of_batch *batch, of_train_step *step,
                             of_error *error) {
    double updates[UPDATE_PARTS];
    of_train_step own;
    of_status status = check_images(loop, batch, error);
    if (status != OF_OK)
        return status;
    return take_step(loop, batch, step != NULL ? step : &own, updates, error);
}

/* ---- What it takes ------------------------------------------------------------------------ */

of_plan_info of_train_loop_describe(const of_train_loop *loop) {
    return describe_plan(loop);
}

of_train_memory of_train_loop_memory(const of_train_loop *loop) {
    of_training_memory memory = of_training_memory_use(loop->plan);
    return (of_train_memory){.weights = memory.weights,
                             .gradients = memory.gradients,
                             .activations = memory.activations,
                             .optimizer = 2 * loop->model->value_bytes,
                             .kept_share = memory.kept_share};
}

size_t of_train_loop_scale_bytes(const of_train_loop *loop, uint32_t scale) {
    size_t begin;
    return scale < of_architecture_scale_count(of_model_architecture(loop->model))
               ? of_training_scale_part(loop->plan, scale, &begin) * sizeof(float)
               : 0;
}

size_t of_train_loop_layer_count(const of_train_loop *loop) {
    return of_training_layer_count(loop->plan) + UPDATE_PARTS;
}

of_status of_train_loop_layer(const of_train_loop *loop, size_t index, of_layer_info *info,
                              of_error *error) {
    if (loop == NULL || info == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_train_loop_layer: a required argument is NULL");
    size_t gradient = of_training_layer_count(loop->plan);
    of_plan_info plan = describe_plan(loop);
    if (index < gradient)
        return of_training_layer(loop->plan, index, info, error);
    if (index == gradient) {
        *info = (of_layer_info){.name = "optimizer",
                                .kernel = of_isa_name(plan.isa),
                                .weight_bytes = 4 * loop->model->value_bytes};
        (void)snprintf(info->operation, sizeof info->operation, "norm, %s",
                       of_optimizer_kind_name(loop->options.optimizer));
        return OF_OK;
    }
    if (index > gradient + 1)
        return of_fail(error, OF_ERROR_ARGUMENT, "there is no layer %zu", index);
    *info = (of_layer_info){.name = "refresh",
                            .operation = "fold and pack weights",
                            .kernel = "double",
                            .weight_bytes = plan.weight_bytes};
    return OF_OK;
}

of_status of_train_loop_profile(of_train_loop *loop, const of_batch *batch, double *layer_seconds,
                                of_error *error) {
    of_train_step step;
    of_status status = check_images(loop, batch, error);
    if (status == OF_OK && layer_seconds == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "of_train_loop_profile: an array is needed");
    if (status != OF_OK)
        return status;
    size_t gradient = of_training_layer_count(loop->plan);
    memset(layer_seconds, 0, of_train_loop_layer_count(loop) * sizeof *layer_seconds);
    status = of_training_profile(loop->plan, layer_seconds, error);
    if (status != OF_OK)
        return status;
    status = take_step(loop, batch, &step, layer_seconds + gradient, error);
    of_status ended = of_training_profile(loop->plan, NULL, error);
    return status == OF_OK ? ended : status;
}
