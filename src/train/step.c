/* SPDX-License-Identifier: Apache-2.0 */
/* One step: gradients of the inlier batch, then of the general batch, into one sum; then the
 * optimizer. The general model sees the same noisy pixels. */
#include "train/training_run.h"

#include "core/clock.h"
#include "core/error.h"
#include "train/loss.h"
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static of_batch_loss inlier_loss(of_trainer *trainer, const of_feed *feed) {
    const of_trainer_settings *options = &trainer->options;
    return (of_batch_loss){.architecture = options->architecture,
                           .count = (size_t)options->batch,
                           .weight = options->label_weight,
                           .temperature = options->temperature,
                           .classes = feed->classes,
                           .general = trainer->inlier_general,
                           .nll = trainer->nll,
                           .loss = trainer->loss};
}

static of_status general_forward(of_trainer *trainer, const of_batch *batch, double *nll,
                                 of_error *error) {
    const of_likelihoods out = {.logp = nll};
    of_status status = of_session_forward(trainer->general, batch, &out, error);
    const of_architecture *general = of_plan_architecture(of_session_plan(trainer->general));
    for (size_t i = 0; status == OF_OK && i < batch->count; i++)
        nll[i] = of_nll(general, nll[i]);
    return status;
}

static of_status inlier_gradient(of_trainer *trainer, const of_feed *feed, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_batch_loss loss = inlier_loss(trainer, feed);
    const of_batch batch = {OF_PIXEL_F32, feed->pixels, feed->count};
    of_loss_gradient gradient = of_loss_nll;
    of_status status = OF_OK;
    if (options->architecture.classes > 0 && trainer->general != NULL) {
        gradient = of_loss_full_label;
        status = general_forward(trainer, &batch, trainer->inlier_general, error);
    }
    if (status != OF_OK)
        return status;
    const of_likelihoods out = {.logp = trainer->logp, .contributions = trainer->contributions};
    return of_training_gradient(trainer->plan, trainer->model, &batch, &out, gradient, &loss, false,
                                error);
}

/* Where general images are not moved, the frozen model's nll of an image is computed once, under
 * the scoring rule (u = 1/2), and kept: noise changes it by far less than the temperature. */
static of_status kept_general_nll(of_trainer *trainer, const of_feed *feed, of_error *error) {
    size_t missing = 0, bytes = trainer->general_data.image_bytes;
    double *nll = trainer->outlier_general; /* first of the missing images, then of all */
    for (size_t i = 0; i < feed->count; i++) {
        uint32_t image = feed->images[i];
        if (!isnan(trainer->general_nll[image]))
            continue;
        memcpy(trainer->missing_pixels + missing * bytes,
               of_dataset_image(&trainer->general_data, image), bytes);
        trainer->missing[missing++] = image;
    }
    const of_batch batch = {OF_PIXEL_U8, trainer->missing_pixels, missing};
    of_status status = missing == 0 ? OF_OK : general_forward(trainer, &batch, nll, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < missing; i++)
        trainer->general_nll[trainer->missing[i]] = nll[i];
    for (size_t i = 0; i < feed->count; i++)
        nll[i] = trainer->general_nll[feed->images[i]];
    return OF_OK;
}

/* The margin loss compares image i of the whole general batch with inlier i. */
static void pair_with_inliers(of_trainer *trainer, const of_feed *feed) {
    const of_trainer_settings *options = &trainer->options;
    for (size_t i = 0; i < feed->count; i++)
        trainer->outlier_general[i] =
            trainer->nll[of_lane_image(i, options->lanes, trainer->first_lane, trainer->own_lanes) %
                         options->batch];
}

static of_status outlier_gradient(of_trainer *trainer, const of_feed *feed, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    bool ratio = options->outlier_loss == OF_OUTLIER_RATIO;
    of_batch_loss loss = {.architecture = options->architecture,
                          .count = (size_t)options->general_batch,
                          .weight = options->outlier_weight,
                          .temperature = options->temperature,
                          .general = trainer->outlier_general,
                          .inlier = trainer->nll,
                          .inlier_count = options->batch,
                          .nll = trainer->outlier_nll,
                          .loss = trainer->outlier_loss};
    const of_batch batch = {OF_PIXEL_F32, feed->pixels, feed->count};
    of_status status = OF_OK;
    if (!ratio && of_trainer_is_split(trainer)) {
        pair_with_inliers(trainer, feed);
        loss.inlier = trainer->outlier_general;
        loss.inlier_count = feed->count;
    }
    if (ratio && trainer->general_nll != NULL)
        status = kept_general_nll(trainer, feed, error);
    else if (ratio)
        status = general_forward(trainer, &batch, trainer->outlier_general, error);
    if (status != OF_OK)
        return status;
    const of_likelihoods out = {.logp = trainer->general_logp};
    return of_training_gradient(trainer->plan, trainer->model, &batch, &out,
                                ratio ? of_loss_ratio : of_loss_margin, &loss, true, error);
}

static double sum_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* Adds the step to the running sums of the next report. */
static void account(of_trainer *trainer, bool general) {
    size_t batch = (size_t)trainer->options.batch;
    size_t outliers = (size_t)trainer->options.general_batch;
    const of_architecture *architecture = &trainer->options.architecture;
    uint32_t scales = of_architecture_scale_count(architecture);
    of_train_counters *counters = &trainer->state.counters;
    of_train_figures *figures = &trainer->state.figures;
    double nll = sum_of(trainer->nll, batch);
    double bits = nll / (double)batch /
                  ((double)of_architecture_dimensions(architecture) * 0.6931471805599453);
    figures->nll += nll;
    figures->loss += sum_of(trainer->loss, batch) / (double)batch;
    for (size_t i = 0; i < batch; i++)
        for (uint32_t s = 0; s < scales; s++)
            figures->contributions[s] += trainer->contributions[i * scales + s];
    counters->report_images += batch;
    counters->report_steps++;
    if (general) {
        double outlier = sum_of(trainer->outlier_loss, outliers);
        figures->outlier_loss += outlier;
        figures->loss += outlier / (double)outliers;
        figures->general_nll += sum_of(trainer->outlier_nll, outliers);
        counters->report_general += outliers;
    }
    double weight = counters->applied < 50 ? (double)counters->applied + 1 : 50;
    figures->recent_bits += (bits - figures->recent_bits) / weight;
}

static bool is_finite_step(const of_trainer *trainer, bool general, double norm) {
    const of_trainer_settings *options = &trainer->options;
    return isfinite(norm) && isfinite(sum_of(trainer->loss, (size_t)options->batch)) &&
           (!general || isfinite(sum_of(trainer->outlier_loss, (size_t)options->general_batch)));
}

static of_status skip(of_trainer *trainer, of_error *error) {
    of_train_counters *counters = &trainer->state.counters;
    counters->skipped++;
    if (++counters->skipped_in_row < OF_TRAIN_MOST_SKIPPED)
        return OF_OK;
    of_status status =
        of_fail_setting(error, OF_ERROR_NUMERIC, "rate",
                        "the loss or its gradient was not finite in %d steps in a row: a lower "
                        "rate, or clipping to a lower norm, may help; %s still holds the last good "
                        "state",
                        (int)OF_TRAIN_MOST_SKIPPED, trainer->checkpoint_path);
    return of_communicator_agree(trainer->options.communicator, status, error);
}

/* The loss is in nats an image, its gradient's norm is told and clipped in bits/dim: so one setting
 * of `clip` suits images of every size. */
static double nats_per_bit(const of_trainer *trainer) {
    return (double)of_architecture_dimensions(&trainer->options.architecture) * log(2.0);
}

static of_status update(of_trainer *trainer, double norm, of_error *error) {
    of_train_counters *counters = &trainer->state.counters;
    const of_trainer_settings *options = &trainer->options;
    of_schedule schedule = {options->schedule, options->rate, options->warmup,
                            (trainer->total_images + options->batch - 1) / options->batch,
                            of_trainer_time_passed(trainer)};
    double rate = of_schedule_rate(&schedule, counters->step);
    double clip = options->optimizer.clip * nats_per_bit(trainer);
    of_optimizer_apply(&trainer->optimizer, trainer->model,
                       of_training_gradient_view(trainer->plan).values, of_clip_scale(clip, norm),
                       rate, counters->applied);
    of_status status = of_trainer_share_weights(trainer, error);
    if (status != OF_OK)
        return status;
    of_optimizer_average(&trainer->optimizer, trainer->model, counters->applied);
    counters->applied++;
    counters->skipped_in_row = 0;
    trainer->state.figures.rate = rate;
    trainer->state.figures.grad_norm = norm / nats_per_bit(trainer);
    return of_training_refresh(trainer->plan, trainer->model, error);
}

static of_status gradients(of_trainer *trainer, const of_feed *feed, const of_feed *general,
                           double *norm, of_error *error) {
    if (general == NULL)
        of_trainer_begin_reduction(trainer);
    of_status status = inlier_gradient(trainer, feed, error), reduced;
    status = of_trainer_gather_batch(trainer, status, error);
    if (status == OF_OK && general != NULL) {
        of_trainer_begin_reduction(trainer);
        status = outlier_gradient(trainer, general, error);
        status = of_trainer_gather_general(trainer, status, error);
    }
    if ((reduced = of_trainer_end_reduction(trainer, error)) != OF_OK)
        return reduced;
    if (status == OF_OK)
        status = of_training_finish_gradient(trainer->plan, trainer->model, error);
    *norm = (double)NAN;
    if (status == OF_OK)
        *norm =
            of_optimizer_norm(&trainer->optimizer, of_training_gradient_view(trainer->plan).values);
    return status == OF_ERROR_NUMERIC ? OF_OK : status;
}

/* Checkpoints are written between gradient and update: the weights have just shown that they give
 * finite numbers. A run that goes on from there takes this step again. */
static bool is_due(const of_trainer *trainer) {
    if (of_trainer_is_split(trainer))
        return trainer->decisions.due;
    return of_seconds() - trainer->checkpointed >= trainer->options.checkpoint_every;
}

/* The one before is whole, so a disk that is full for a while ends nothing. */
static of_status checkpoint(of_trainer *trainer, of_error *error) {
    of_error failure;
    of_status status = of_trainer_checkpoint(trainer, &failure);
    if (status != OF_ERROR_IO)
        return status == OF_OK ? OF_OK : of_error_copy(error, &failure);
    of_trainer_warn(trainer, "%s: the checkpoint before is kept; tried again in %.0f s",
                    failure.message, trainer->options.checkpoint_every);
    return OF_OK;
}

of_status of_trainer_step(of_trainer *trainer, of_error *error) {
    of_train_counters *counters = &trainer->state.counters;
    const of_feed *feed = of_feeder_next(trainer->feeder), *general = NULL;
    double norm;
    if (trainer->general_feeder != NULL)
        general = of_feeder_next(trainer->general_feeder);
    of_status status = gradients(trainer, feed, general, &norm, error);
    if (status != OF_OK)
        return status;
    if (!is_finite_step(trainer, general != NULL, norm)) {
        status = skip(trainer, error);
    } else if (!is_due(trainer) || (status = checkpoint(trainer, error)) == OF_OK) {
        account(trainer, general != NULL);
        status = update(trainer, norm, error);
    }
    counters->step++;
    counters->images += trainer->options.batch;
    counters->general_images += general != NULL ? trainer->options.general_batch : 0;
    return status;
}
