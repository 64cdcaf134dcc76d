/* SPDX-License-Identifier: Apache-2.0 */
/* Everything up to the first step: models, memory, the state to start from. */
#include "train/training_run.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Models ------------------------------------------------------------------------------- */

/* By name, because a model with classes may start from one without: its densities stay neutral. */
static void copy_parameters(const of_model *from, of_model *to) {
    for (size_t i = 0; i < from->parameter_count; i++) {
        const of_parameter *parameter = &from->parameters[i];
        int number = of_model_find(to, parameter->name);
        size_t size = parameter->kind == OF_PARAMETER_INDEX ? sizeof(int64_t) : sizeof(float);
        if (number != OF_NO_PARAMETER)
            memcpy(to->values + to->parameters[number].offset, from->values + parameter->offset,
                   parameter->count * size);
    }
}

static of_status make_model(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_status status =
        of_model_create(&options->architecture, options->seed, &trainer->model, error);
    if (status == OF_OK && options->init != NULL)
        copy_parameters(options->init, trainer->model);
    if (status != OF_OK)
        return status;
    trainer->init_fingerprint = of_block_fingerprint(trainer->model);
    trainer->output = trainer->model;
    if (options->patience == 0 && options->optimizer.ema <= 0)
        return OF_OK;
    of_model *output = NULL;
    status = of_model_allocate(&options->architecture, &output, error);
    if (status != OF_OK || output == NULL)
        return status;
    memcpy(output->values, trainer->model->values, trainer->model->value_bytes);
    trainer->output = output;
    return OF_OK;
}

static const of_plan *plan_of(const of_trainer *trainer) {
    return of_session_plan(of_training_session(trainer->plan));
}

static of_status load_general_model(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_plan_options wish = of_plan_options_default();
    wish.threads = options->threads;
    wish.isa = options->isa;
    wish.latency = false; /* batches have images for all threads */
    of_model *model = NULL;
    if (options->general_model == NULL)
        return OF_OK;
    of_status status = of_model_open(options->general_model, &model, error);
    if (status == OF_OK)
        status = of_architecture_check_images(&options->architecture, of_model_architecture(model),
                                              "the general model", error);
    if (status == OF_OK)
        status = of_plan_compile(model, &wish, &trainer->general_plan, error);
    if (status == OF_OK)
        status = of_session_create(trainer->general_plan, 0, &trainer->general, error);
    if (status == OF_OK)
        trainer->general_fingerprint = of_block_fingerprint(model);
    of_model_free(model);
    return status;
}

static of_status compile(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_training_options wish = {.threads = options->threads,
                                .isa = options->isa,
                                .precision = options->precision,
                                .lanes = trainer->own_lanes,
                                .first_lane = trainer->first_lane,
                                .all_lanes = options->lanes,
                                .one_call = options->outlier_loss == OF_OUTLIER_NONE,
                                .sum_precision = options->gradient_precision,
                                .micro_batch = options->micro_batch,
                                .batch = of_lane_images((size_t)options->batch, options->lanes,
                                                        trainer->first_lane, trainer->own_lanes),
                                .memory_bytes = options->memory_bytes};
    return of_training_compile(trainer->model, &wish, &trainer->plan, error);
}

static void choose(of_trainer *trainer) {
    of_trainer_settings *options = &trainer->options;
    if (options->threads == 0)
        options->threads = of_cpu_count();
    uint64_t lane_images = options->batch / options->lanes;
    if (options->micro_batch == 0)
        options->micro_batch = of_train_group(trainer->model, options->batch, options->lanes);
    if (options->general_batch == 0)
        options->general_batch = options->batch;
    if (options->outlier_weight == 0)
        options->outlier_weight = options->outlier_loss == OF_OUTLIER_MARGIN ? 1 : 6000;
    if (options->label_weight == 0)
        options->label_weight =
            options->outlier_loss == OF_OUTLIER_MARGIN ? 6000 : options->outlier_weight;
    if (options->valid_every == 0)
        options->valid_every = trainer->data.count;
    trainer->total_images = options->images;
    uint64_t epochs = options->epochs * trainer->data.count;
    if (epochs > 0 && (trainer->total_images == 0 || epochs < trainer->total_images))
        trainer->total_images = epochs;
    uint64_t groups =
        trainer->own_lanes * ((lane_images + options->micro_batch - 1) / options->micro_batch);
    if (options->threads > groups)
        of_trainer_warn(trainer,
                        "%u of %u threads have nothing to do: %s has %u micro-batches of %u",
                        options->threads - (unsigned)groups, options->threads,
                        of_trainer_is_split(trainer) ? "a rank's part of a batch" : "a batch",
                        (unsigned)groups, options->micro_batch);
}

/* ---- Memory ------------------------------------------------------------------------------- */

static of_status allocate_batches(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    size_t scales = of_architecture_scale_count(&options->architecture);
    size_t batch = (size_t)options->batch, general = (size_t)options->general_batch;
    trainer->logp = of_allocate(batch, sizeof(double));
    trainer->contributions = of_allocate(batch, scales * sizeof(double));
    trainer->nll = of_allocate(batch, sizeof(double));
    trainer->loss = of_allocate(batch, sizeof(double));
    trainer->inlier_general = of_allocate(batch, sizeof(double));
    trainer->general_logp = of_allocate(general, sizeof(double));
    trainer->outlier_nll = of_allocate(general, sizeof(double));
    trainer->outlier_loss = of_allocate(general, sizeof(double));
    trainer->outlier_general = of_allocate(general, sizeof(double));
    bool complete = trainer->logp != NULL && trainer->contributions != NULL &&
                    trainer->nll != NULL && trainer->loss != NULL &&
                    trainer->inlier_general != NULL && trainer->general_logp != NULL &&
                    trainer->outlier_nll != NULL && trainer->outlier_loss != NULL &&
                    trainer->outlier_general != NULL;
    return complete ? OF_OK : of_fail_memory(error, "the likelihoods of a batch");
}

static of_status allocate_blocks(of_trainer *trainer, of_error *error) {
    size_t bytes = trainer->model->value_bytes;
    if (trainer->options.patience > 0)
        trainer->best = of_allocate_zeroed(bytes, 1);
    if (trainer->options.patience > 0 && trainer->best == NULL)
        return of_fail_memory(error, "the best weights");
    const of_kernels *kernels = of_kernels_for(of_plan_describe(plan_of(trainer)).isa);
    return of_optimizer_open(&trainer->options.optimizer, trainer->model,
                             of_training_gradient_view(trainer->plan).places, kernels,
                             trainer->options.threads, &trainer->optimizer, error);
}

static bool augments(const of_trainer_settings *options) {
    return options->flip || options->shift > 0 || options->zoom > 0 || options->color > 0;
}

/* Only where the general model's nll is wanted again and again for the same pixels. */
static of_status allocate_general_nll(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    size_t count = trainer->general_data.count;
    if (options->outlier_loss != OF_OUTLIER_RATIO || augments(options))
        return OF_OK;
    trainer->general_nll = of_allocate(count, sizeof(double));
    trainer->missing_pixels =
        of_allocate((size_t)options->general_batch, trainer->general_data.image_bytes);
    trainer->missing = of_allocate((size_t)options->general_batch, sizeof *trainer->missing);
    if (trainer->general_nll == NULL || trainer->missing_pixels == NULL || trainer->missing == NULL)
        return of_fail_memory(error, "likelihoods under the general model");
    for (size_t i = 0; i < count; i++)
        trainer->general_nll[i] = (double)NAN;
    return OF_OK;
}

static of_feeder_options feeding(const of_trainer *trainer, bool general) {
    const of_trainer_settings *options = &trainer->options;
    const of_architecture *architecture = &options->architecture;
    return (of_feeder_options){
        .dataset = general ? &trainer->general_data : &trainer->data,
        .augmentation = {.key = of_key_for(options->seed,
                                           general ? OF_KEY_GENERAL_AUGMENT : OF_KEY_AUGMENT),
                         .channels = architecture->channels,
                         .height = architecture->height,
                         .width = architecture->width,
                         .shift = options->shift,
                         .flip = options->flip,
                         .zoom = options->zoom,
                         .color = options->color,
                         .dropped_bits = 8 - architecture->input.bits,
                         .noise = architecture->input.bin / architecture->input.scale},
        .augment = true,
        .order_key = of_key_for(options->seed, general ? OF_KEY_GENERAL_ORDER : OF_KEY_ORDER),
        .shares = general ? options->general_data.shares : options->data.shares,
        .first = general ? trainer->state.counters.general_images : trainer->state.counters.images,
        .batch = (size_t)(general ? options->general_batch : options->batch),
        .lanes = options->lanes,
        .first_lane = trainer->first_lane,
        .own_lanes = trainer->own_lanes};
}

static of_status open_feeders(of_trainer *trainer, of_error *error) {
    of_feeder_options wish = feeding(trainer, false);
    of_status status = of_feeder_open(&wish, &trainer->feeder, error);
    if (status == OF_OK && trainer->options.outlier_loss != OF_OUTLIER_NONE) {
        wish = feeding(trainer, true);
        status = of_feeder_open(&wish, &trainer->general_feeder, error);
    }
    return status;
}

/* ---- The state to start from -------------------------------------------------------------- */

/* ActNorms from the first images of an order of their own, with noise but not moved. */
static of_status initialise(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    size_t count = trainer->data.count;
    of_feeder_options wish = feeding(trainer, false);
    of_feeder *feeder = NULL;
    wish.augmentation.key = wish.order_key = of_key_for(options->seed, OF_KEY_INITIALISE);
    wish.augment = false;
    wish.lanes = 0; /* the first rank does it for all */
    wish.first = 0;
    wish.batch = options->init_images < count ? (size_t)options->init_images : count;
    of_status status = of_feeder_open(&wish, &feeder, error);
    if (status == OF_OK) {
        const of_feed *feed = of_feeder_next(feeder);
        const of_batch batch = {OF_PIXEL_F32, feed->pixels, feed->count};
        status = of_training_initialise(trainer->plan, trainer->model, &batch, error);
    }
    of_feeder_close(feeder);
    return status;
}

/* Another instruction set rounds differently: the run goes on, but no longer bit for bit. */
static of_status resume(of_trainer *trainer, of_error *error) {
    of_isa isa = of_plan_describe(plan_of(trainer)).isa;
    of_status status = of_trainer_resume(trainer, error);
    if (status != OF_OK)
        return status;
    if (trainer->state.counters.isa != (uint64_t)isa)
        of_trainer_warn(trainer,
                        "the run was made with another instruction set than %s: it will not be "
                        "the same to the last bit",
                        of_isa_name(isa));
    trainer->state.counters.isa = (uint64_t)isa;
    return of_training_refresh(trainer->plan, trainer->model, error);
}

static of_status start_state(of_trainer *trainer, of_error *error) {
    of_status status = OF_OK;
    trainer->state.counters.next_validation = trainer->options.valid_every;
    if (!of_trainer_is_first(trainer))
        return OF_OK;
    if (trainer->options.resume)
        return resume(trainer, error);
    trainer->state.counters.isa = (uint64_t)of_plan_describe(plan_of(trainer)).isa;
    if (trainer->options.init == NULL)
        status = initialise(trainer, error);
    if (status == OF_OK && trainer->optimizer.average != NULL)
        memcpy(trainer->optimizer.average, trainer->model->values, trainer->model->value_bytes);
    return status;
}

/* Every lane needs an image of every batch. */
static bool options_too_few(const of_trainer *trainer) {
    const of_trainer_settings *options = &trainer->options;
    return options->batch < options->lanes || options->general_batch < options->lanes;
}

static of_status fail_too_few(const of_trainer *trainer, of_error *error) {
    return of_fail_setting(error, OF_ERROR_ARGUMENT, "batch",
                           "a batch of fewer images than the %u lanes it is divided among: it "
                           "needs more images, or fewer ranks",
                           trainer->options.lanes);
}

static of_status build(of_trainer *trainer, of_error *error) {
    of_status status = make_model(trainer, error);
    if (status == OF_OK)
        choose(trainer);
    if (status == OF_OK && options_too_few(trainer))
        status = fail_too_few(trainer, error);
    if (status == OF_OK)
        status = load_general_model(trainer, error);
    if (status == OF_OK)
        status = compile(trainer, error);
    if (status == OF_OK)
        status = allocate_blocks(trainer, error);
    if (status == OF_OK)
        status = allocate_batches(trainer, error);
    if (status == OF_OK)
        status = allocate_general_nll(trainer, error);
    if (status == OF_OK)
        status = of_trainer_open_reduction(trainer, error);
    if (status == OF_OK)
        status = of_trainer_open_shards(trainer, error);
    if (status == OF_OK && (trainer->identity = of_trainer_identity(trainer)) == NULL)
        status = of_fail_memory(error, "the description of a run");
    return status;
}

static of_status open_sets(of_trainer *trainer, of_error *error) {
    of_status status = open_feeders(trainer, error);
    if (status == OF_OK)
        status = of_validation_open(&trainer->validation, trainer->general,
                                    trainer->options.communicator, error);
    return status;
}

/* Whoever wants to be asked before signals end the process without a trace is asked from here on.
 */
static of_status settle(of_trainer *trainer, const of_train_options *options, of_error *error) {
    of_status status = of_trainer_settings_open(options, &trainer->options, error);
    return status == OF_OK && of_trainer_stopped(trainer)
               ? of_fail(error, OF_ERROR_IO, "interrupted before training began")
               : status;
}

/* Ranks agree after each part that may fail in one of them alone. */
of_status of_trainer_open(of_trainer *trainer, const of_train_options *options, of_error *error) {
    of_communicator *communicator = of_ranks_communicator(options->ranks);
    of_status status = settle(trainer, options, error);
    status = of_communicator_agree(communicator, status, error);
    if (status == OF_OK) {
        status = of_trainer_check_outputs(trainer, error);
        status = of_communicator_agree(communicator, status, error);
    }
    if (status == OF_OK) {
        status = of_trainer_load_data(trainer, error);
        status = of_communicator_agree(communicator, status, error);
    }
    if (status == OF_OK)
        status = of_trainer_choose_lanes(trainer, error);
    if (status == OF_OK)
        status = of_trainer_compare_data(trainer, error);
    if (status == OF_OK) {
        status = build(trainer, error);
        status = of_communicator_agree(communicator, status, error);
    }
    if (status == OF_OK)
        status = of_communicator_compare_kernels(communicator, plan_of(trainer), error);
    trainer->started = of_seconds();
    if (status == OF_OK) {
        status = start_state(trainer, error);
        status = of_communicator_agree(communicator, status, error);
    }
    if (status == OF_OK)
        status = of_trainer_share_state(trainer, error);
    if (status == OF_OK)
        status = of_trainer_divide_moments(trainer, error);
    if (status == OF_OK) {
        status = open_sets(trainer, error);
        status = of_communicator_agree(communicator, status, error);
    }
    if (status == OF_OK)
        status = of_validation_score_general(&trainer->validation, trainer->observer, error);
    if (status == OF_OK)
        of_trainer_tell_start(trainer);
    return status == OF_OK ? of_trainer_checkpoint(trainer, error) : status;
}

void of_trainer_close(of_trainer *trainer) {
    of_reduction_close(trainer->reduction);
    of_free(trainer->shards);
    of_feeder_close(trainer->feeder);
    of_feeder_close(trainer->general_feeder);
    of_validation_close(&trainer->validation);
    of_dataset_free(&trainer->data);
    of_dataset_free(&trainer->general_data);
    of_optimizer_close(&trainer->optimizer);
    of_training_free(trainer->plan);
    of_session_free(trainer->general);
    of_plan_free(trainer->general_plan);
    if (trainer->output != trainer->model)
        of_model_free(trainer->output);
    of_model_free(trainer->model);
    double *const batches[] = {
        trainer->logp,        trainer->contributions,  trainer->nll,
        trainer->loss,        trainer->inlier_general, trainer->general_logp,
        trainer->outlier_nll, trainer->outlier_loss,   trainer->outlier_general,
        trainer->general_nll};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        of_free(batches[i]);
    of_free(trainer->missing_pixels);
    of_free(trainer->missing);
    of_free(trainer->best);
    of_run_log_close(&trainer->log);
    of_file_lock_release(&trainer->lock);
    free(trainer->checkpoint_path);
    free(trainer->identity);
    of_trainer_settings_close(&trainer->options);
}
