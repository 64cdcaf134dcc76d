/* SPDX-License-Identifier: Apache-2.0 */
/* A run from its first step to its end. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "core/options_read.h"
#include "train/training_run.h"

#include <stdio.h>
#include <unistd.h>

static bool is_over(const of_trainer *trainer) {
    bool late = of_trainer_is_split(trainer) ? trainer->decisions.late
                                             : of_trainer_time_passed(trainer) >= 1;
    return (trainer->total_images > 0 && trainer->state.counters.images >= trainer->total_images) ||
           late;
}

static bool is_stale(const of_trainer *trainer) {
    const of_trainer_settings *options = &trainer->options;
    return options->patience > 0 && trainer->state.counters.since_best >= options->patience;
}

static bool validates_now(const of_trainer *trainer, bool over) {
    const of_train_counters *counters = &trainer->state.counters;
    return trainer->validation.set_count > 0 && counters->validated_at != counters->images &&
           (over || counters->images >= counters->next_validation);
}

/* Reports and validates where it is time, or because the run is over. */
static of_status look(of_trainer *trainer, bool over, bool *interrupted, of_error *error) {
    const of_train_counters *counters = &trainer->state.counters;
    bool validates = validates_now(trainer, over);
    bool reports =
        counters->report_steps > 0 && (over || counters->step % trainer->options.log_every == 0);
    of_valid_report validation = {0};
    of_status status =
        validates ? of_trainer_validate(trainer, &validation, interrupted, error) : OF_OK;
    if (status != OF_OK || *interrupted || !(reports || validates))
        return status;
    return of_trainer_report(trainer, validates ? &validation : NULL, error);
}

static void tell_progress(const of_trainer *trainer) {
    const of_train_observer *observer = trainer->observer;
    if (observer->progressed != NULL)
        observer->progressed(observer->user, trainer->state.counters.images,
                             trainer->state.figures.recent_bits, trainer->state.figures.rate);
}

static bool is_stopped(const of_trainer *trainer) {
    return of_trainer_is_split(trainer) ? trainer->decisions.stop : of_trainer_stopped(trainer);
}

static of_status run_steps(of_trainer *trainer, of_train_end *end, of_error *error) {
    for (;;) {
        of_status status = of_trainer_decide(trainer, error);
        if (status != OF_OK)
            return status;
        bool over = is_over(trainer), interrupted = !over && is_stopped(trainer);
        /* what is due is done when the run goes on: whoever stops it may not wait long */
        status = interrupted ? OF_OK : look(trainer, over, &interrupted, error);
        if (status != OF_OK)
            return status;
        bool stops = interrupted || (!over && is_stopped(trainer));
        if (stops || over || is_stale(trainer)) {
            *end = stops ? OF_TRAIN_INTERRUPTED : over ? OF_TRAIN_FINISHED : OF_TRAIN_EARLY_STOP;
            return OF_OK;
        }
        status = of_trainer_step(trainer, error);
        if (status != OF_OK)
            return status;
        tell_progress(trainer);
    }
}

/* Weights first: they are what the run was for, and take less of a full disk. */
static of_status keep(of_trainer *trainer, of_train_end end, of_error *error) {
    of_status status = OF_OK;
    if (end != OF_TRAIN_INTERRUPTED)
        status = of_trainer_save(trainer, error);
    return status == OF_OK ? of_trainer_checkpoint(trainer, error) : status;
}

/* A weight file of a model that has learned nothing would look like any other. */
static of_status check_steps(const of_trainer *trainer, of_train_end end, of_error *error) {
    if (end == OF_TRAIN_INTERRUPTED || trainer->state.counters.step > 0)
        return OF_OK;
    if (of_trainer_is_first(trainer))
        (void)unlink(trainer->checkpoint_path);
    of_status status = of_fail_setting(
        error, OF_ERROR_ARGUMENT, "minutes",
        "the time was over before the first step: reading and preparing took %.1f s "
        "of %.1f s; nothing was trained, and nothing is written",
        of_trainer_seconds(trainer), 60 * trainer->options.minutes);
    return of_communicator_agree(trainer->options.communicator, status, error);
}

static void fill_result(const of_trainer *trainer, of_train_result *result) {
    const of_train_counters *counters = &trainer->state.counters;
    result->step = counters->step;
    result->images = counters->images;
    result->skipped = counters->skipped;
    result->unreadable = trainer->unreadable;
    result->bits_per_dim = result->end == OF_TRAIN_INTERRUPTED ? trainer->state.figures.recent_bits
                                                               : trainer->state.figures.last_bits;
    result->seconds = of_trainer_seconds(trainer);
    result->log_error = trainer->log_error;
    (void)snprintf(result->checkpoint, sizeof result->checkpoint, "%s", trainer->checkpoint_path);
}

static of_status run(const of_train_options *options, const of_train_observer *observer,
                     of_train_result *result, of_error *error) {
    of_trainer trainer = {.observer = observer};
    of_status status = of_trainer_open(&trainer, options, error);
    if (status == OF_OK)
        status = run_steps(&trainer, &result->end, error);
    if (status == OF_OK)
        status = check_steps(&trainer, result->end, error);
    if (status == OF_OK)
        status = keep(&trainer, result->end, error);
    if (status == OF_OK)
        fill_result(&trainer, result);
    if (status == OF_OK || !of_trainer_is_split(&trainer) || of_ranks_agreed(options->ranks))
        of_trainer_close(&trainer);
    return status;
}

of_status of_train(const of_train_options *options, const of_train_observer *observer,
                   of_train_result *result, of_error *error) {
    of_train_options own;
    of_train_observer watching = of_train_observer_default();
    const of_train_result nothing = {.end = OF_TRAIN_FINISHED};
    of_train_result made = nothing;
    of_status status = of_options_read(&watching, sizeof watching, sizeof watching, observer,
                                       "observer of training", error);
    if (status == OF_OK && result == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "a result has nowhere to go");
    if (status == OF_OK)
        status = of_train_options_read(options, &own, error);
    if (status == OF_OK)
        status = run(&own, &watching, &made, error);
    if (result != NULL)
        *result = status == OF_OK ? made : nothing;
    return status;
}
