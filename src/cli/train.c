/* SPDX-License-Identifier: Apache-2.0 */
/* outflow train: weights from images. */
#include "cli/processes.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/config.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/words.h"
#include "cli/train_settings.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const of_command of_train_command = {
    .name = "train",
    .summary = "Train a model on images, from scratch or from another model",
    .operands = "",
    .details =
        "Writes the weight file when training is done. Until then the run's state is kept in "
        "FILE.checkpoint, written every few minutes, at the end, and on Ctrl-C, SIGTERM or SIGHUP, "
        "after "
        "which the program exits with 0. The same command with --resume goes on from there as if "
        "nothing had happened, bit for bit, also after a crash. Results do not depend on "
        "--threads.\n\n"
        "A ratio detector takes two models: a general one, trained on images of all kinds, and one "
        "that starts from it (--init) and is trained on the normal images, best with "
        "--outlier-loss ratio.\n\n"
        "SRC is what 'outflow score --help' lists. Several --data, --general-data or --valid form "
        "one set each, in their order.\n\n"
        "Exit codes: 0 trained or interrupted with a checkpoint, 1 failure, 2 usage, 3 trained, "
        "but some files could not be read.",
    .examples = "outflow train --data cifar100-train.tar --flip --lr 2e-3 --warmup 100 --images "
                "150000 --out general.safetensors\n"
                "outflow train --data cifar10-train.tar --flip --lr 1e-3 --epochs 4 "
                "--init general.safetensors --general-model general.safetensors --general-data "
                "cifar100-train.tar --outlier-loss ratio --out in.safetensors --log in.jsonl\n"
                "outflow train --data cifar100-train.tar --data fashion-train.tar --data-share 2 "
                "--data-share 1 --hold-out 0.05 --images 150000 --out wide.safetensors",
};

/* ---- Telling what happens ----------------------------------------------------------------- */

typedef struct watcher {
    of_watcher common;
    uint64_t resumed_images, total_images;
    const char *loading; /* the source; NULL: none */
    uint64_t loaded;     /* of it */
    char note[96];
} watcher;

static void tell_loading(void *user, const char *source, uint64_t loaded, uint64_t expected) {
    watcher *watch = user;
    of_progress *progress = &watch->common.console->progress;
    bool begins = watch->loading != source || loaded < watch->loaded;
    if (begins) {
        char label[48];
        of_progress_finish(progress);
        (void)snprintf(label, sizeof label, "load %s", source);
        of_progress_start(progress, of_console_progress_stream(watch->common.console), label,
                          "images", expected);
    }
    watch->loading = source;
    watch->loaded = loaded;
    of_progress_update(progress, loaded, NULL);
}

static void tell_memory(const of_log *log, const of_train_start *start) {
    char weights[OF_NUMBER_SIZE], gradients[OF_NUMBER_SIZE], activations[OF_NUMBER_SIZE];
    char optimizer[OF_NUMBER_SIZE], data[OF_NUMBER_SIZE];
    of_log_write(
        log, OF_LOG_INFO,
        "memory: %s weights, %s gradients, %s activations (%.0f %% of the hidden ones kept), "
        "%s optimizer, %s images",
        of_bytes_text(start->memory.weights, weights),
        of_bytes_text(start->memory.gradients, gradients),
        of_bytes_text(start->memory.activations, activations), 100 * start->memory.kept_share,
        of_bytes_text(start->memory.optimizer, optimizer), of_bytes_text(start->data_bytes, data));
}

static void tell_start(void *user, const of_train_start *start) {
    watcher *watch = user;
    const of_log *log = &watch->common.console->log;
    of_watcher_finish(&watch->common);
    of_log_write(log, OF_LOG_INFO, "model: %s, %zu parameters, %zu of them trained",
                 start->architecture_json, start->parameters, start->trained);
    of_log_write(
        log, OF_LOG_INFO,
        "data: %zu image%s, %zu general, %zu for validation; %u thread%s, %u image%s each at "
        "a time, %s, %s",
        start->images, of_plural(start->images), start->general_images, start->valid_images,
        start->threads, of_plural(start->threads), start->micro_batch,
        of_plural(start->micro_batch), of_isa_name(start->isa),
        of_precision_name(start->precision));
    if (start->lanes > 1)
        of_log_write(log, OF_LOG_INFO, "a batch is divided among %u lanes of %u rank%s",
                     start->lanes, start->ranks, start->ranks == 1 ? "" : "s");
    tell_memory(log, start);
    if (start->resumed_step > 0)
        of_log_write(log, OF_LOG_INFO, "resumed at step %" PRIu64 ", %" PRIu64 " image%s",
                     start->resumed_step, start->resumed_images, of_plural(start->resumed_images));
    watch->resumed_images = start->resumed_images;
    watch->total_images = start->total_images;
    of_progress_start(&watch->common.console->progress,
                      of_console_progress_stream(watch->common.console), "train", "images",
                      start->total_images > start->resumed_images
                          ? start->total_images - start->resumed_images
                          : 0);
    if (start->total_seconds > 0)
        of_progress_end_in(&watch->common.console->progress,
                           start->total_seconds - start->passed_seconds);
}

static void tell_progress(void *user, uint64_t images, double bits_per_dim, double rate) {
    watcher *watch = user;
    (void)snprintf(watch->note, sizeof watch->note, "%.3f bits/dim, lr %.2g", bits_per_dim, rate);
    of_progress_update(&watch->common.console->progress, images - watch->resumed_images,
                       watch->note);
}

static void tell_validating(void *user, uint64_t done, uint64_t total) {
    watcher *watch = user;
    char note[160];
    (void)snprintf(note, sizeof note, "%s, validating %" PRIu64 "/%" PRIu64, watch->note, done,
                   total);
    of_progress_update(&watch->common.console->progress, watch->common.console->progress.done,
                       note);
}

static void tell_validation(const watcher *watch, const of_train_report *report) {
    const of_valid_report *valid = report->validation;
    const of_log *log = &watch->common.console->log;
    of_log_write(log, OF_LOG_INFO,
                 "step %" PRIu64 ", %" PRIu64
                 " images: %.4f bits/dim in training, %.4f on held-out images%s",
                 report->step, report->images, report->bits_per_dim, valid->bits_per_dim,
                 valid->best ? " (best)" : "");
    for (size_t i = 0; i < valid->out_of_count; i++) {
        const of_valid_set *set = &valid->out_of[i];
        if (isnan(set->auroc_ratio))
            of_log_write(log, OF_LOG_INFO, "  %s: AUROC nll %.4f, last %.4f", set->name,
                         set->auroc_nll, set->auroc_last);
        else
            of_log_write(log, OF_LOG_INFO, "  %s: AUROC nll %.4f, last %.4f, ratio %.4f", set->name,
                         set->auroc_nll, set->auroc_last, set->auroc_ratio);
    }
}

static of_status take_report(void *user, const of_train_report *report, of_error *error) {
    (void)error;
    watcher *watch = user;
    if (report->validation != NULL)
        tell_validation(watch, report);
    return OF_OK;
}

/* ---- The verb ----------------------------------------------------------------------------- */

static void summarise(const of_console *console, const of_train_settings *settings,
                      const of_train_result *result) {
    static const char *const ends[] = {"trained", "stopped early", "interrupted"};
    of_log_write(&console->log, OF_LOG_INFO,
                 "%s after %" PRIu64 " step%s, %" PRIu64 " image%s, %.1f s; %.4f bits/dim, %" PRIu64
                 " skipped step%s, %" PRIu64 " unreadable file%s",
                 ends[result->end], result->step, of_plural(result->step), result->images,
                 of_plural(result->images), result->seconds, result->bits_per_dim, result->skipped,
                 of_plural(result->skipped), result->unreadable, of_plural(result->unreadable));
    if (result->end == OF_TRAIN_INTERRUPTED)
        of_log_write(&console->log, OF_LOG_INFO,
                     "the run's state is in %s: go on with the same command and --resume",
                     result->checkpoint);
    else
        of_log_write(&console->log, OF_LOG_INFO, "wrote %s", settings->train.out);
}

/* Ranks but the first are only asked. */
static of_train_observer observe(watcher *watch) {
    of_train_observer observer = of_train_observer_default();
    observer.user = watch;
    observer.stop = of_watcher_is_stopped;
    if (of_ranks_rank(of_processes_ranks()) > 0)
        return observer;
    observer.started = tell_start;
    observer.progressed = tell_progress;
    observer.loading = tell_loading;
    observer.validating = tell_validating;
    observer.report = take_report;
    observer.unreadable = of_watcher_tell_unreadable;
    observer.warn = of_watcher_tell_warning;
    return observer;
}

/* The run is done, so that this is no more than a pity if it fails. */
static void save_settings(const of_train_settings *settings, const of_option_table *table,
                          const of_console *console) {
    const of_text_list none = {0};
    of_error error;
    if (of_ranks_rank(of_processes_ranks()) == 0 &&
        of_config_save(&of_train_command, table, &none, settings->train.out, &error) != OF_OK)
        of_log_write(&console->log, OF_LOG_WARNING, "the settings of this run are not kept: %s",
                     error.message);
}

static int train_with(of_train_settings *settings, const of_option_table *table,
                      of_console *console) {
    of_error error;
    watcher watch = {.common = of_watcher_make(console, "", false)};
    of_train_result result;
    of_train_observer observer = observe(&watch);
    if (settings->quiet)
        of_console_quiet(console);
    of_processes_show(console, settings->train.threads);
    settings->train.ranks = of_processes_ranks();
    of_status status = of_train_settings_settle(settings, table, &error);
    status = of_ranks_agree(settings->train.ranks, status, &error);
    watch.common.warnings.several = of_train_sources_count(&settings->train) > 1;
    if (status == OF_OK)
        status = of_train(&settings->train, &observer, &result, &error);
    of_watcher_finish(&watch.common);
    if (status != OF_OK)
        return of_processes_fail(console, &error);
    summarise(console, settings, &result);
    save_settings(settings, table, console);
    if (result.log_error.status != OF_OK)
        return of_processes_fail(console, &result.log_error);
    return result.unreadable > 0 && result.end != OF_TRAIN_INTERRUPTED ? OF_EXIT_UNREADABLE
                                                                       : OF_EXIT_FINE;
}

int of_verb_train(int argc, char **argv, of_console *console) {
    of_train_settings settings;
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    of_error error;
    int code;
    of_train_settings_declare(&settings, &table);
    char *command = of_command_line(argc, argv);
    if (of_options_parse(&of_train_command, &table, argc, argv, &operands, console, &code)) {
        settings.train.record = command;
        if (operands.count > 0)
            code = of_usage_error(console, &of_train_command,
                                  "'%s' is no option: give images with "
                                  "--data SRC",
                                  operands.items[0]);
        else if (of_train_settings_check(&settings, &error) != OF_OK)
            code = of_usage_fail(console, &of_train_command, &error);
        else
            code = train_with(&settings, &table, console);
    }
    free(command);
    of_text_list_free(&operands);
    of_train_settings_free(&settings);
    of_option_config_free(&table);
    return code;
}
