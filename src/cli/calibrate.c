/* SPDX-License-Identifier: Apache-2.0 */
/* outflow calibrate: what in-distribution images score, into the weight file. */
#include "cli/processes.h"
#include "cli/shared_options.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <outflow/output.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const of_command of_calibrate_command = {
    .name = "calibrate",
    .summary = "Learn what normal images score, for p-values and flags at a chosen rate",
    .operands = "",
    .details =
        "Scores in-distribution images and stores in the weight file what 'outflow score' needs "
        "for the scores typicality and combined, for p-values, and for --fpr. The file is replaced "
        "atomically (or, with --out, written anew); its tensors stay byte for byte as they are; an "
        "older calibration is "
        "replaced. No outlier is needed.\n\n"
        "The images must be drawn as the normal images to come are, and must not have been trained "
        "on: a model finds its training images a little likelier than others, so that too many "
        "others would be flagged. Take them from all over: archives are often sorted by class, so "
        "the first thousand are no fair sample, every tenth is (--every 10).\n\n"
        "At least 100 images are needed, and 1/A - 1 for a false-positive rate of A, twice that "
        "for typicality and combined, which are fitted to one half and counted on the other. "
        "1000 to 5000 serve well. A calibration made with a general model (and an ensemble) is "
        "good for that one only.\n\n"
        "SRC is what 'outflow score --help' says.\n\n"
        "Exit code 3: finished, but some files could not be read.",
    .examples = "outflow calibrate -m in.safetensors -g general.safetensors --data held-out.tar",
};

typedef struct calibrate_settings {
    of_shared_settings shared;
    const char *data, *out;
    bool remove, bundle, installed; /* installed: the model is given by its name */
} calibrate_settings;

static void declare(calibrate_settings *settings, of_option_table *table) {
    of_shared_model_option(&settings->shared, table);
    of_option_text(table, 0, "data", "SRC", &settings->data,
                   "In-distribution images that the model was not trained on.")
        ->role = OF_ROLE_READ;
    of_shared_general_option(&settings->shared, table);
    of_shared_ensemble_option(&settings->shared, table);
    of_shared_webp_option(&settings->shared, table);
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write the calibrated model to FILE and leave the weight file as it is; needed "
                   "for a model that is given by its name.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(table, 0, "bundle", &settings->bundle,
                   "Write the general model into FILE as well: who gets FILE needs nothing else, "
                   "and gives it as --model alone. Needs --out.");
    of_option_flag(table, 0, "remove", &settings->remove, "Remove the calibration instead.");
    of_shared_tiles_option(&settings->shared, table);
    of_shared_source_options(&settings->shared, table);
    of_shared_plan_options(&settings->shared, table);
}

/* ---- Reporting ---------------------------------------------------------------------------- */

static void print_score(const of_detector *detector, of_score score, FILE *file) {
    static const double rates[] = {0.5, 0.1, 0.05, 0.01, 0.001};
    char name[32];
    of_score_name(score, name, sizeof name);
    (void)fprintf(file, "%-16s", name);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        double threshold = of_detector_threshold(detector, score, rates[i]);
        if (isfinite(threshold))
            (void)fprintf(file, " %11.2f", threshold);
        else
            (void)fprintf(file, " %11s", "-");
    }
    (void)fputc('\n', file);
}

static void print_table(const of_detector *detector, const of_score *scores, size_t count,
                        FILE *file) {
    of_calibration_info info = of_calibration_describe(of_detector_describe(detector).calibration);
    if (info.tiling.size > 0)
        (void)fprintf(file,
                      "%" PRIu64 " pictures in tiles of %" PRIu32 " pixels, %" PRIu32 " apart; ",
                      info.pictures, info.tiling.size, info.tiling.stride);
    (void)fprintf(file, "%" PRIu64 " %s\nscores above these are flagged at a rate of\n",
                  info.images, info.tiling.size > 0 ? "tiles" : "images");
    (void)fprintf(file, "%-16s %11s %11s %11s %11s %11s\n", "score", "0.5", "0.1", "0.05", "0.01",
                  "0.001");
    for (size_t i = 0; i < count; i++)
        print_score(detector, scores[i], file);
}

/* Thresholds of all scores; a dash where it would take more images. */
static of_status print_thresholds(const of_detector *detector, of_error *error) {
    of_output *output = NULL;
    size_t count = of_detector_scores(detector, NULL, 0);
    of_score *scores = calloc(count, sizeof *scores);
    if (scores == NULL)
        return of_fail_memory(error, "scores");
    of_status status = of_output_open(NULL, &output, error);
    if (status == OF_OK) {
        (void)of_detector_scores(detector, scores, count);
        print_table(detector, scores, count, of_output_file(output));
        status = of_console_commit(&output, error);
    }
    free(scores);
    return status;
}

/* ---- The verb ----------------------------------------------------------------------------- */

static of_status run_calibrate(const calibrate_settings *settings, of_console *console,
                               of_detector *detector, of_stream_result *result, of_error *error) {
    of_watcher watcher = of_watcher_make(console, "calibrate", false);
    const of_stream_observer observer = of_watcher_observer(&watcher);
    const of_stream_options options = of_shared_stream_options(&settings->shared, &observer);
    of_save_options save = of_save_options_default();
    of_status status = of_detector_calibrate(detector, settings->data, &options, result, error);
    of_watcher_finish(&watcher);
    save.bundle = settings->bundle;
    if (status == OF_OK)
        status = of_detector_save(
            detector, settings->out != NULL ? settings->out : settings->shared.model, &save, error);
    return status == OF_OK && !settings->shared.quiet ? print_thresholds(detector, error) : status;
}

static int calibrate_with(const calibrate_settings *settings, of_console *console) {
    of_error error;
    of_detector *detector = NULL;
    of_stream_result result = {0};
    const of_detector_options options = of_shared_detector_options(&settings->shared);
    of_shared_begin(&settings->shared, console);
    of_status status = of_detector_open(&options, &detector, &error);
    if (status == OF_OK)
        of_shared_say_general(console, detector);
    if (status == OF_OK)
        status = run_calibrate(settings, console, detector, &result, &error);
    of_detector_free(detector);
    if (status != OF_OK)
        return of_console_fail(console, &error);
    return result.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

static int remove_calibration(const calibrate_settings *settings, of_console *console) {
    of_error error;
    const char *model = settings->shared.model;
    of_status status = of_calibration_store_copy(
        NULL, model, settings->out != NULL ? settings->out : model, &error);
    return status == OF_OK ? OF_EXIT_FINE : of_console_fail(console, &error);
}

static int check_and_calibrate(const calibrate_settings *settings, const of_text_list *operands,
                               of_console *console) {
    of_error error;
    const of_command *command = &of_calibrate_command;
    if (operands->count > 0)
        return of_usage_error(console, command, "unexpected operand '%s': images are --data SRC",
                              operands->items[0]);
    if (of_shared_check_tiles(&settings->shared, &error) != OF_OK)
        return of_usage_fail(console, command, &error);
    if (settings->remove == (settings->data != NULL))
        return of_usage_error(console, command, "give either --data SRC or --remove");
    if (settings->installed && settings->out == NULL)
        return of_shared_fail_installed(&settings->shared, console, command);
    if (settings->bundle && (settings->out == NULL || settings->remove))
        return of_usage_error(console, command, "--bundle needs --out FILE and --data SRC");
    if (settings->shared.webp && !of_has_webp())
        return of_usage_error(console, command,
                              "--webp: this build has no WebP coder: install libwebp-dev and "
                              "configure again");
    if (of_shared_check_background(&settings->shared, &error) != OF_OK)
        return of_usage_fail(console, command, &error);
    return settings->remove ? remove_calibration(settings, console)
                            : calibrate_with(settings, console);
}

int of_verb_calibrate(int argc, char **argv, of_console *console) {
    calibrate_settings settings = {.remove = false};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_calibrate_command, &table, argc, argv, &operands, console, &code)) {
        settings.installed = of_option_names_installed(&table, "model");
        code = check_and_calibrate(&settings, &operands, console);
    }
    of_text_list_free(&operands);
    of_text_list_free(&settings.shared.ensemble);
    return code;
}
