/* SPDX-License-Identifier: Apache-2.0 */
/* What a run needs from the file system: outputs that can be written, and its sets of images. */
#define _POSIX_C_SOURCE 200809L
#include "train/training_run.h"

#include "core/atomic_file.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Outputs ------------------------------------------------------------------------------ */

static of_status check_writable(const char *path, of_error *error) {
    of_replacement file;
    of_status status = of_replace_begin(path, &file, error);
    if (status == OF_OK)
        of_replace_discard(&file);
    return status;
}

static bool is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Weights and checkpoints are work that may not be meant to be lost. */
static of_status check_replaced(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    bool resumable = is_file(trainer->checkpoint_path);
    if (options->overwrite || (options->resume && resumable))
        return OF_OK;
    if (resumable)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "resume",
                               "%s is there already: go on from it, or let it be overwritten",
                               trainer->checkpoint_path);
    if (is_file(options->out))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "overwrite",
                               "%s is there already%s: it is overwritten only if that is asked for",
                               options->out,
                               options->resume ? ", without a checkpoint to resume from" : "");
    if (options->resume)
        of_trainer_warn(trainer, "there is no %s to resume from: starting anew",
                        trainer->checkpoint_path);
    trainer->options.resume = false;
    return OF_OK;
}

of_status of_trainer_check_outputs(of_trainer *trainer, of_error *error) {
    of_trainer_settings *options = &trainer->options;
    size_t size = strlen(options->out) + sizeof ".checkpoint";
    trainer->checkpoint_path = malloc(size);
    if (trainer->checkpoint_path == NULL)
        return of_fail_memory(error, "a file name");
    (void)snprintf(trainer->checkpoint_path, size, "%s.checkpoint", options->out);
    if (!of_trainer_is_first(trainer))
        return OF_OK;
    of_status status = check_writable(options->out, error);
    if (status == OF_OK)
        status = check_writable(trainer->checkpoint_path, error);
    if (status == OF_OK)
        status = of_file_lock_take(trainer->checkpoint_path, &trainer->lock, error);
    if (status == OF_OK)
        status = check_replaced(trainer, error);
    return status == OF_OK ? of_run_log_open(options->log, &trainer->log, error) : status;
}

/* ---- Data --------------------------------------------------------------------------------- */

static bool tell_loaded(void *user, const char *source, uint64_t loaded, uint64_t expected) {
    const of_trainer *trainer = user;
    const of_train_observer *observer = trainer->observer;
    if (observer->loading != NULL)
        observer->loading(observer->user, source, loaded, expected);
    return !of_trainer_stopped(trainer);
}

static bool stop_loading(void *user) {
    return of_trainer_stopped(user);
}

static void tell_unreadable(void *user, const char *source, const char *path, const char *reason) {
    const of_train_observer *observer = ((const of_trainer *)user)->observer;
    if (observer->unreadable != NULL)
        observer->unreadable(observer->user, source, path, reason);
}

static unsigned count_sets(const of_trainer_settings *options) {
    unsigned general = options->general_data.count > 0 ? 1 : 0;
    return 1 + general + (options->valid.count > 0 ? 1 + (unsigned)options->out_of_count : 0);
}

/* An image of less than half the model's size would be mostly made up by enlarging it. */
static of_status load_set(of_trainer *trainer, const of_source_list *sources, bool trained_on,
                          bool with_classes, of_dataset *dataset, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_dataset_options wish = {.source = of_source_options_default(&options->architecture),
                               .cache_bytes = options->cache_bytes,
                               .sharers = count_sets(options) * options->ranks_here,
                               .with_classes = with_classes,
                               .on_loaded = tell_loaded,
                               .on_unreadable = tell_unreadable,
                               .user = trainer};
    wish.source.limit = options->limit;
    wish.source.strict = options->strict;
    wish.source.background = options->background;
    wish.source.seed = options->seed;
    wish.source.stop = stop_loading;
    wish.source.user = trainer;
    if (trained_on) {
        wish.source.min_height = (options->architecture.height + 1) / 2;
        wish.source.min_width = (options->architecture.width + 1) / 2;
    }
    of_status status = of_dataset_load(sources->items, sources->count, &wish, dataset, error);
    if (status == OF_OK)
        trainer->unreadable += dataset->unreadable;
    if (status == OF_OK && trained_on && dataset->count < 2)
        status =
            of_fail(error, OF_ERROR_ARGUMENT,
                    "%s: training needs at least two images, and there is one", sources->items[0]);
    return status;
}

static of_status load_held_out(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_validation *validation = &trainer->validation;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && options->valid.count > 0 && i <= options->out_of_count;
         i++) {
        const of_source_list out = {i > 0 ? &options->out_of[i - 1].source : NULL, 1, NULL};
        validation->sets[i].name = i == 0 ? "valid" : options->out_of[i - 1].name;
        validation->set_count = i + 1;
        status = load_set(trainer, i == 0 ? &options->valid : &out, false, false,
                          &validation->sets[i].data, error);
    }
    return status;
}

static of_status take_classes(of_trainer *trainer, of_error *error) {
    of_trainer_settings *options = &trainer->options;
    size_t classes = trainer->data.class_count;
    const of_architecture *init =
        options->init != NULL ? of_model_architecture(options->init) : NULL;
    if (!options->class_conditional)
        return OF_OK;
    if (init != NULL && init->classes > 0 && init->classes != classes)
        return of_fail(error, OF_ERROR_MISMATCH, "%s has %" PRIu32 " classes, %s has %zu",
                       options->init_name, init->classes, options->data.items[0], classes);
    options->architecture.classes = (uint32_t)classes;
    return OF_OK;
}

of_status of_trainer_load_data(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    of_status status = of_architecture_check(&options->architecture, error);
    if (status == OF_OK)
        status = load_set(trainer, &options->data, true, options->class_conditional, &trainer->data,
                          error);
    if (status == OF_OK && options->general_data.count > 0)
        status =
            load_set(trainer, &options->general_data, true, false, &trainer->general_data, error);
    if (status == OF_OK)
        status = load_held_out(trainer, error);
    return status == OF_OK ? take_classes(trainer, error) : status;
}
