/* SPDX-License-Identifier: Apache-2.0 */
/* outflow fit: from a folder of normal images to a detector. */
#include "cli/fit_words.h"
#include "cli/processes.h"
#include "cli/shared_options.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/config.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const of_command of_fit_command = {
    .name = "fit",
    .summary = "Make a detector from a folder of normal images",
    .operands = "FOLDER",
    .details =
        "Looks at the images, says what it is going to do and how long that takes, and does it: "
        "holds a part of them out, trains a model on the rest, calibrates it, measures it on what "
        "was held out, and writes one file. 'outflow score --model FILE new/' then scores new "
        "images and marks those that do not belong.\n\n"
        "FOLDER holds normal images alone, of the kind that is to be expected later; any SRC that "
        "'outflow score --help' lists but '-' will do. 20 different images are needed, 200 to "
        "train "
        "on, 1000 and more are better.\n\n"
        "A general model of the images' size is the start where one is installed (32x32); for "
        "another --size one is trained first. --general SRC, images of all kinds, makes the "
        "detector better: the model is then trained to tell them from the normal ones.\n\n"
        "Ctrl-C ends the training early: what was learned is calibrated and written. The same "
        "command with --resume goes on with it, also after a crash; until the detector is finished "
        "its parts are in the folder FILE.work.\n\n"
        "Exit codes: 0 finished or interrupted with a detector, 1 failure, 2 usage, 3 finished, "
        "but "
        "some files could not be read.",
    .examples = "outflow fit normal/ --out detector.safetensors\n"
                "outflow score --model detector.safetensors new/",
};

typedef struct fit_settings {
    of_fit_options fit;
    of_text_list general;
    const char *size, *tiles;
    char chosen_tiles[32]; /* for the settings file */
    uint64_t channels, threads;
    int isa;
    bool quiet, no_report;
} fit_settings;

static void declare(fit_settings *settings, of_option_table *table) {
    of_fit_options *fit = &settings->fit;
    of_option *out = of_option_text(table, 'o', "out", "FILE", &fit->out,
                                    "The detector's file; the settings are kept beside it in "
                                    "FILE.settings.json.");
    out->required = true;
    out->role = OF_ROLE_WRITTEN;
    of_option_real(table, 0, "minutes", "T", &fit->minutes, 1e-3, 1e6,
                   "About how long it may take; without it, 10.");
    of_option_list(table, "general", "SRC", &settings->general,
                   "Images of all kinds, to train against; may be repeated.")
        ->role = OF_ROLE_READ;
    of_option_model(table, 'g', "general-model", &fit->general_model,
                    "Start from this model of images in general; without it, from an installed one "
                    "of the images' size.");
    of_option_real(table, 0, "fpr", "A", &fit->rate, 1e-6, 0.999999,
                   "Share of normal images that may be marked; without it, 0.05.");
    of_option_text(table, 0, "report", "FILE", &fit->report,
                   "Where the report goes, an HTML page; without it, to the --out file's name with "
                   ".html after it.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(table, 0, "no-report", &settings->no_report, "Write no report.");
    of_option_flag(table, 0, "dry-run", &fit->plan_only, "Say what would be done, and do nothing.");
    of_option_flag(table, 0, "resume", &fit->resume,
                   "Go on with an interrupted run; without one, start.");
    of_option_flag(
        table, 0, "overwrite", &fit->overwrite,
        "Start anew even if there is a detector or an unfinished run, and replace them.");
    of_option_text(table, 0, "size", "HxW", &settings->size,
                   "Image size of the model; without it, 32x32.");
    of_option_text(table, 0, "tiles", "SIZE[:STRIDE]|auto|none", &settings->tiles,
                   "Cut pictures into windows of SIZE pixels, learn from those and score whole "
                   "pictures by them; none: reduce whole pictures; without it, auto: tiles for "
                   "textures and where reducing loses much detail.");
    of_option_count(table, 0, "channels", &settings->channels, 1, 3,
                    "1 (grey) or 3 (colour); without it, as the images are.");
    of_option_count(
        table, 0, "images", &fit->images, 1, 0x1p53,
        "Train on N images, with repetitions, instead of by the clock: a run that can be "
        "repeated bit for bit.");
    of_option_count(table, 0, "most", &fit->most_images, OF_FIT_LEAST, 0x1p40,
                    "Look at N images at most, chosen by their paths; without it, 50000.");
    of_option_count(table, 's', "seed", &fit->seed, 0, 0x1p53,
                    "Seed of the parts and of training; without it, 0.");
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
                     "Instruction set of the hand-written kernels; without it, OUTFLOW_ISA or the "
                     "best one. Convolutions follow OUTFLOW_ISA alone.");
    of_option_config(table);
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Say nothing but warnings and errors.");
}

/* ---- Telling what happens ----------------------------------------------------------------- */

static void tell_stage(void *user, of_fit_stage stage, uint64_t images, double seconds) {
    static const char *const labels[] = {"look",      "train general", "train",
                                         "calibrate", "measure",       "report"};
    of_watcher *watch = user;
    of_progress *progress = &watch->console->progress;
    of_progress_finish(progress);
    of_progress_start(progress, of_console_progress_stream(watch->console), labels[stage], "images",
                      images);
    if (seconds > 0)
        of_progress_end_in(progress, seconds);
}

static void tell_progress(void *user, uint64_t images, double bits_per_dim) {
    of_watcher *watch = user;
    char note[48] = "";
    if (!isnan(bits_per_dim))
        (void)snprintf(note, sizeof note, "%.3f bits/dim", bits_per_dim);
    of_progress_update(&watch->console->progress, images, note);
}

static void tell_plan(void *user, const of_fit_plan *plan) {
    of_watcher *watch = user;
    of_watcher_finish(watch);
    of_fit_tell_plan(&watch->console->log, plan);
}

static of_fit_observer observe(of_watcher *watch) {
    of_fit_observer observer = of_fit_observer_default();
    observer.user = watch;
    observer.stage = tell_stage;
    observer.progressed = tell_progress;
    observer.planned = tell_plan;
    observer.unreadable = of_watcher_tell_unreadable;
    observer.warn = of_watcher_tell_warning;
    observer.stop = of_watcher_is_stopped;
    return observer;
}

/* ---- The verb ----------------------------------------------------------------------------- */

/* What was chosen is part of what repeats the run. */
static void keep_tiles(fit_settings *settings, of_option_table *table, const of_tiling *tiles) {
    if (tiles->size == 0)
        return;
    (void)snprintf(settings->chosen_tiles, sizeof settings->chosen_tiles, "%" PRIu32 ":%" PRIu32,
                   tiles->size, tiles->stride);
    of_option_choose(table, "tiles", settings->chosen_tiles);
}

static int finish(fit_settings *settings, of_option_table *table, const of_text_list *operands,
                  const of_fit_result *result, const of_console *console) {
    of_error error;
    if (result->planned_only)
        return OF_EXIT_FINE;
    keep_tiles(settings, table, &result->tiles);
    if (of_config_save(&of_fit_command, table, operands, settings->fit.out, &error) != OF_OK)
        of_log_write(&console->log, OF_LOG_WARNING, "the settings of this run are not kept: %s",
                     error.message);
    of_fit_tell_result(&console->log, &settings->fit, result);
    return result->unreadable > 0 && !result->interrupted ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

static int fit_with(fit_settings *settings, of_option_table *table, const of_text_list *operands,
                    of_console *console) {
    of_error error;
    of_watcher watch = of_watcher_make(console, "", false);
    const of_fit_observer observer = observe(&watch);
    of_fit_result result;
    if (settings->quiet)
        of_console_quiet(console);
    of_processes_show(console, settings->fit.threads);
    of_status status = of_fit(&settings->fit, &observer, &result, &error);
    of_watcher_finish(&watch);
    return status == OF_OK ? finish(settings, table, operands, &result, console)
                           : of_console_fail(console, &error);
}

static of_status take_tiles(fit_settings *settings, of_error *error) {
    const char *text = settings->tiles;
    if (text == NULL || strcmp(text, "auto") == 0)
        return OF_OK;
    settings->fit.whole = strcmp(text, "none") == 0;
    return settings->fit.whole ? OF_OK : of_tiling_parse(text, &settings->fit.tiles, NULL, error);
}

static of_status take_settings(fit_settings *settings, const of_text_list *operands, char **report,
                               of_error *error) {
    of_fit_options *fit = &settings->fit;
    fit->source = operands->items[0];
    fit->general_data = settings->general.items;
    fit->general_count = settings->general.count;
    fit->threads = (unsigned)settings->threads;
    fit->channels = (uint32_t)settings->channels;
    fit->isa = (of_isa)settings->isa;
    if (settings->size != NULL &&
        of_size_parse(settings->size, &fit->height, &fit->width, error) != OF_OK)
        return error->status;
    if (take_tiles(settings, error) != OF_OK)
        return error->status;
    if (settings->no_report) {
        fit->report = NULL;
    } else if (fit->report == NULL) {
        size_t size = strlen(fit->out) + sizeof ".html";
        *report = malloc(size);
        if (*report == NULL)
            return of_fail_memory(error, "a file name");
        (void)snprintf(*report, size, "%s.html", fit->out);
        fit->report = *report;
    }
    return of_fit_options_check(fit, error);
}

static int check_and_fit(fit_settings *settings, of_option_table *table,
                         const of_text_list *operands, of_console *console) {
    of_error error;
    char *report = NULL;
    if (operands->count != 1)
        return of_usage_error(console, &of_fit_command,
                              operands->count == 0 ? "no FOLDER of normal images is given"
                                                   : "one FOLDER is expected: put links to others "
                                                     "into it");
    int code = take_settings(settings, operands, &report, &error) == OF_OK
                   ? fit_with(settings, table, operands, console)
                   : of_usage_fail(console, &of_fit_command, &error);
    free(report);
    return code;
}

int of_verb_fit(int argc, char **argv, of_console *console) {
    fit_settings settings = {.fit = of_fit_options_default()};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    char *command = of_command_line(argc, argv);
    settings.fit.record = command;
    if (of_options_parse(&of_fit_command, &table, argc, argv, &operands, console, &code))
        code = check_and_fit(&settings, &table, &operands, console);
    free(command);
    of_text_list_free(&operands);
    of_text_list_free(&settings.general);
    of_option_config_free(&table);
    return code;
}
