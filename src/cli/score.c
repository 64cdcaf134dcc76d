/* SPDX-License-Identifier: Apache-2.0 */
/* outflow score: likelihoods and scores of every image. */
#include "cli/processes.h"
#include "cli/rows.h"
#include "cli/score_columns.h"
#include "cli/score_pictures.h"
#include "cli/score_watch.h"
#include "cli/shared_options.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/output.h"
#include "cli/terminal/words.h"
#include "cli/tile_rows.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const of_command of_score_command = {
    .name = "score",
    .summary = "Score images: likelihood, each scale's part of it, anomaly scores",
    .operands = "SRC...",
    .details =
        "Prints one row for every image: path, label, bits_per_dim, logp, logp_scale0 and so on, "
        "nll, last; with a general model also logp_general, ratio and ratio-last; with classes "
        "predicted_class and logp_class0 and so on; with a calibrated model (outflow calibrate) "
        "typicality, combined and p_value. The last two columns say what was done to the picture: "
        "resized_from, WIDTHxHEIGHT if it was resized, and notes. A path is valid UTF-8: a byte "
        "that "
        "is not is written as \\xHH, and the backslash of such a text in a name as \\x5c.\n\n"
        "Scores are higher for more anomalous images: nll = -log-likelihood, of the mixture with "
        "classes; last and scale:N = minus that of one scale; ratio = nll - nll of the general "
        "model; ratio-last = the same on the last scale; class = the best class's ratio; "
        "complexity and complexity-webp = nll in bits - bits of the image as PNG or lossless WebP; "
        "ensemble = mean + variance of nll over several models (WAIC); typicality = |nll - mean "
        "nll of calibration images|; combined = how unusual all statistics together are among "
        "those of calibration images, too likely ones included. All but the complexities (bits) "
        "and combined (no unit) are in nats, "
        "and numbers read back exactly.\n\n"
        "p_value is conformal, (1 + #{calibration scores >= s}) / (n + 1): if calibration images "
        "and these are drawn alike, at most a share A of normal images has a p-value up to A.\n\n"
        "SRC is a folder, an image, a .tar, .tar.gz or .zip of images, a CIFAR-10/100 binary file, "
        "an IDX file, a .npy array, a MATLAB .mat file laid out as SVHN's, '-' for a list of paths "
        "on standard input, imglist:FILE or imglist:FILE:ROOT for a text file with a path below "
        "ROOT "
        "and a label a line, or synthetic:NAME or synthetic:NAME:COUNT, made on the fly: shapes, "
        "digits, textures, stripes, flat, noise, general. part:FROM-TO:SRC is a fixed part of a "
        "SRC: part:0-0.1:photos.tar a tenth that depends on the images' paths alone, "
        "part:0.1-1:photos.tar the rest. With several SRC, a column 'source' is added.\n\n"
        "--heatmaps DIR writes for the most anomalous images where that comes from: a PNG with the "
        "image and beside it what each position adds to the score (orange: more anomalous, blue: "
        "more normal), and a list, index.csv. 'class' and 'combined' "
        "show ratio (nll without a general model), other scores that are no sums over positions "
        "nll. Heat is relative to 0 for ratios, where both models agree, "
        "else to the image's own mean. Columns of index.csv: file, path of the image, score, and "
        "strongest_colour, the heat (nats a pixel) of the strongest orange or blue.\n\n"
        "Exit code 3: finished, but some files could not be read.",
    .examples = "outflow score -m in.safetensors -g general.safetensors --score ratio "
                "--threshold 0 -o scores.csv photos/\n"
                "outflow score -m calibrated.safetensors --fpr 0.01 photos/",
};

typedef struct score_settings {
    of_shared_settings shared;
    of_score_judging judging;
    const char *watch_command; /* for flagged images that arrive */
    const char *out, *report, *heatmaps, *tile_rows;
    uint64_t heatmap_count;
    char *command; /* as it was given, for the report */
    int format;
    bool with_heatmap_count, watch;
    of_text_list sources;
} score_settings;

static void declare(score_settings *settings, of_option_table *table) {
    of_shared_model_option(&settings->shared, table);
    of_shared_general_option(&settings->shared, table);
    of_shared_ensemble_option(&settings->shared, table);
    of_option_text(table, 0, "score", "NAME", &settings->judging.name,
                   "Add a column 'score': nll, last, scale:N, ratio, ratio-last, complexity, "
                   "complexity-webp, class, mixture, ensemble, typicality or combined; p_value is "
                   "that of this score. Without it, p_value is that of combined.");
    of_shared_tiles_option(&settings->shared, table);
    of_option_text(table, 0, "tile-rows", "FILE", &settings->tile_rows,
                   "Write a row for every window to FILE, as CSV: its place, size and scores, and "
                   "its p-value among windows.")
        ->role = OF_ROLE_WRITTEN;
    of_option_choice(table, "format", "csv|jsonl|table", &settings->format,
                     "Form of the rows; without it, csv.");
    of_option_real(table, 0, "threshold", "X", &settings->judging.threshold, -1e308, 1e308,
                   "Add a column 'anomalous': 1 if the score is at or above X, or not finite. "
                   "Without --score, that is combined with a calibrated model, else ratio with a "
                   "general model, else nll.");
    of_option_real(table, 0, "fpr", "A", &settings->judging.rate, 0, 1,
                   "Add a column 'anomalous': 1 if p_value is at most A, which flags a share of at "
                   "most A of normal images. Needs a calibrated model.");
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write to FILE, which appears only when it is complete.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(
        table, 0, "watch", &settings->watch,
        "Afterwards score what arrives in the folder SRC, until Ctrl-C. Rows are appended "
        "to the file of --out, each at once.");
    of_option_text(
        table, 0, "on-flagged", "COMMAND", &settings->watch_command,
        "With --watch: run the shell command COMMAND for each flagged image that arrives, "
        "with the row as a JSON object on its standard input.");
    of_option_text(table, 0, "report", "FILE", &settings->report,
                   "Write a report to FILE: one HTML page with the distributions of all scores, "
                   "what --fpr or --threshold flags, and the most and least anomalous images of "
                   "each SRC with heat maps and p-values.")
        ->role = OF_ROLE_WRITTEN;
    of_option_text(table, 0, "heatmaps", "DIR", &settings->heatmaps,
                   "Write heat maps of the most anomalous images to the folder DIR, which is made "
                   "if it is not there.");
    of_option_count(table, 0, "heatmap-count", &settings->heatmap_count, 0, 1e9,
                    "Number of heat maps; 0: of all images, which stay in memory until then; "
                    "without it, 20.");
    of_shared_source_options(&settings->shared, table);
    of_shared_plan_options(&settings->shared, table);
    of_shared_precision_option(&settings->shared, table);
    of_shared_lossy_option(&settings->shared, table);
}

/* What the visitor of a source's batches needs. */
typedef struct score_run {
    const score_settings *settings;
    of_console *console;
    const of_detector *detector;
    of_score score; /* what is judged */
    of_rows rows;
    of_tile_rows tile_rows;
    of_output *output;
    of_score_pictures pictures;
    size_t source; /* number of the one that is being read */
    of_score_watch watch;
} score_run;

static of_status write_batch(void *user, const of_scored_batch *batch, of_error *error) {
    score_run *run = user;
    const char *source = run->settings->sources.items[run->source];
    for (size_t i = 0; i < of_scored_count(batch); i++) {
        of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        const of_item item = of_score_watch_name(&run->watch, of_scored_item(batch, i));
        if (of_rows_write(&run->rows, source, &item, &likelihood))
            of_score_watch_flagged(&run->watch, &item);
    }
    of_status status = of_score_pictures_collect(&run->pictures, run->source, batch, error);
    if (status == OF_OK)
        status = of_console_flush(run->output, error);
    run->watch.output_failed = status != OF_OK;
    return status;
}

/* ---- Running ------------------------------------------------------------------------------ */

static void add_result(of_stream_result *sum, const of_stream_result *more) {
    sum->images += more->images;
    sum->unreadable += more->unreadable;
    sum->seconds += more->seconds;
}

static void note_unreadable(void *user, const char *path, const char *reason) {
    const score_run *run = user;
    of_score_pictures_note_unreadable(&run->pictures, run->source, path, reason);
}

static of_status score_sources(score_run *run, of_stream_result *sum, of_error *error) {
    const of_text_list *sources = &run->settings->sources;
    of_watcher watcher = of_watcher_make(run->console, "score", sources->count > 1);
    watcher.unreadable = note_unreadable;
    watcher.user = run;
    const of_stream_observer observer = of_watcher_observer(&watcher);
    of_stream_options options = of_shared_stream_options(&run->settings->shared, &observer);
    of_status status = OF_OK;
    options.needs = of_score_columns_needs(&run->rows) | of_score_pictures_needs(&run->pictures);
    if (run->pictures.heated != NULL || run->pictures.evaluation != NULL)
        options.tile_heat = &run->score;
    if (run->tile_rows.output != NULL) {
        options.tile_visit = of_tile_rows_write;
        options.tile_user = &run->tile_rows;
    }
    for (size_t i = 0; status == OF_OK && i < sources->count; i++) {
        of_stream_result own = {0};
        run->source = i;
        run->tile_rows.source = sources->items[i];
        status = of_detector_stream(run->detector, sources->items[i], &options, write_batch, run,
                                    &own, error);
        add_result(sum, &own);
        if (status == OF_OK && sum->images == 0 && of_warnings_take(&watcher.warnings, error))
            status = OF_ERROR_FORMAT;
        of_watcher_finish(&watcher);
        of_score_pictures_finish_source(&run->pictures, i, &own);
    }
    return status == OF_OK && sum->images == 0 && !run->settings->watch
               ? of_stream_fail_empty(sources->items[run->source], sum, error)
               : status;
}

/* Until it ends, rows that arrive are added to `sum`. */
static of_status watch(score_run *run, of_stream_result *sum, of_error *error) {
    if (!run->settings->watch)
        return OF_OK;
    of_status status = of_score_watch_run(&run->watch, error);
    sum->images += run->watch.images;
    sum->unreadable += run->watch.unreadable;
    return status;
}

static void summarise(const of_console *console, const of_stream_result *sum, const of_rows *rows) {
    char anomalous[48] = "";
    if (rows->with_flag)
        (void)snprintf(anomalous, sizeof anomalous, "%" PRIu64 " anomalous, ", rows->anomalous);
    of_log_write(&console->log, OF_LOG_INFO,
                 "%" PRIu64 " image%s, %" PRIu64 " unreadable, %" PRIu64
                 " non-finite, %s%.1f images/s",
                 sum->images, of_plural(sum->images), sum->unreadable, rows->non_finite, anomalous,
                 sum->seconds > 0 ? (double)sum->images / sum->seconds : 0.0);
}

/* A camera that has moved is the commonest outlier: it changes all images a little. */
static void summarise_drift(const score_run *run) {
    const of_calibration *calibration = of_detector_describe(run->detector).calibration;
    of_drift_summary drift = of_drift_summarise(&run->rows.drift, calibration, run->rows.p_score);
    if (drift.drifted)
        of_log_write(&run->console->log, OF_LOG_WARNING,
                     "the images as a whole score unlike those of the calibration (Kolmogorov "
                     "distance %.2f, p %.1e): if they should be normal ones, what makes them has "
                     "changed; if so for good, calibrate again",
                     drift.distance, drift.significance);
    else if (drift.images > 0)
        of_log_write(&run->console->log, OF_LOG_INFO,
                     "as a whole, Kolmogorov distance %.3f from the calibration's images (p %.2g)",
                     drift.distance, drift.significance);
}

static of_status open_pictures(score_run *run, of_error *error) {
    const score_settings *settings = run->settings;
    run->pictures = (of_score_pictures){.report = of_processes_output(settings->report),
                                        .heatmaps = of_processes_output(settings->heatmaps),
                                        .heatmap_count = settings->heatmap_count,
                                        .command = settings->command,
                                        .sources = &settings->sources,
                                        .score = run->score,
                                        .rate = settings->judging.rate,
                                        .with_threshold = settings->judging.with_threshold,
                                        .threshold = settings->judging.threshold};
    return run->pictures.report != NULL || run->pictures.heatmaps != NULL
               ? of_score_pictures_open(&run->pictures, run->detector, error)
               : OF_OK;
}

static of_status open_tile_rows(score_run *run, of_error *error) {
    const char *path = of_processes_output(run->settings->tile_rows);
    unsigned needs = of_score_columns_needs(&run->rows) | of_score_pictures_needs(&run->pictures);
    if (path == NULL)
        return OF_OK;
    if (of_detector_tiling(run->detector).size == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "--tile-rows needs --tiles, or a model that is calibrated by tiles");
    return of_tile_rows_open(&run->tile_rows, path, run->detector, run->score, needs, error);
}

static of_status open_run(score_run *run, of_error *error) {
    const score_settings *settings = run->settings;
    const char *out = of_processes_output(settings->out);
    of_status status = settings->watch ? of_output_open_append(out, &run->output, error)
                                       : of_output_open(out, &run->output, error);
    if (status == OF_OK && settings->watch) /* nothing arrives unseen between here and the end */
        status = of_score_watch_open(&run->watch, error);
    if (status == OF_OK)
        status = of_rows_open(&run->rows, of_output_file(run->output),
                              (of_row_format)settings->format, run->detector, error);
    if (status == OF_OK)
        status = of_score_columns_add(&run->rows, &settings->judging, settings->sources.count > 1,
                                      run->console, &run->score, error);
    if (status == OF_OK && settings->watch)
        status = of_rows_continue(&run->rows, out, error);
    run->watch.options.needs = of_score_columns_needs(&run->rows);
    if (status == OF_OK)
        status = open_pictures(run, error);
    return status == OF_OK ? open_tile_rows(run, error) : status;
}

static of_status run_score(score_run *run, of_stream_result *sum, of_error *error) {
    of_status status = open_run(run, error);
    if (status == OF_OK)
        status = score_sources(run, sum, error);
    if (status == OF_OK)
        status = watch(run, sum, error);
    if (status == OF_OK)
        status = of_score_pictures_make(&run->pictures, run->console, error);
    if (status == OF_OK)
        status = of_tile_rows_commit(&run->tile_rows, error);
    if (status == OF_OK)
        status = of_console_commit(&run->output, error);
    if (status == OF_OK) {
        summarise(run->console, sum, &run->rows);
        summarise_drift(run);
    }
    of_score_watch_close(&run->watch);
    of_output_discard(run->output);
    of_score_pictures_close(&run->pictures);
    of_tile_rows_close(&run->tile_rows);
    of_rows_close(&run->rows);
    return status;
}

/* A file that says at which rate to judge is taken at its word, unless something else is asked for.
 */
static void take_rate(score_settings *settings, const of_detector *detector, of_console *console) {
    double rate = of_detector_describe(detector).rate;
    const of_flag_rule rule = {.score = of_detector_default_score(detector), .rate = rate};
    if (settings->judging.with_rate || settings->judging.with_threshold ||
        settings->judging.name != NULL || rate <= 0 ||
        of_detector_check_rule(detector, &rule, NULL) != OF_OK)
        return;
    settings->judging.rate = rate;
    settings->judging.with_rate = true;
    of_log_write(&console->log, OF_LOG_INFO,
                 "images that score like fewer than %g %% of normal ones are marked anomalous, as "
                 "the model's file says; --fpr chooses another share",
                 100 * rate);
}

static int score_with(score_settings *settings, of_console *console) {
    of_error error;
    of_detector *detector = NULL;
    of_stream_result sum = {0};
    const of_detector_options options = of_shared_detector_options(&settings->shared);
    of_shared_begin(&settings->shared, console);
    of_status status = of_detector_open(&options, &detector, &error);
    if (status == OF_OK) {
        take_rate(settings, detector, console);
        of_shared_say_general(console, detector);
        of_shared_say_lossy(console, detector);
        score_run run = {.settings = settings, .console = console, .detector = detector};
        run.watch = (of_score_watch){.console = console,
                                     .rows = &run.rows,
                                     .folder = settings->sources.items[0],
                                     .command = settings->watch_command,
                                     .options = of_shared_stream_options(&settings->shared, NULL),
                                     .visit = write_batch,
                                     .user = &run};
        status = run_score(&run, &sum, &error);
        of_detector_free(detector);
    }
    if (status != OF_OK)
        return of_processes_fail(console, &error);
    return sum.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

/* What can be said about --score before a model is loaded: its spelling. The model's file may bring
 * a general one along. */
static of_status check_score_name(const score_settings *settings, of_error *error) {
    of_architecture any = of_architecture_default();
    any.scales = UINT32_MAX;
    any.classes = 1;
    of_score score;
    return settings->judging.name == NULL
               ? OF_OK
               : of_score_parse(settings->judging.name, &any, true, &score, error);
}

static bool reads_input_twice(const of_text_list *sources) {
    size_t times = 0;
    for (size_t i = 0; i < sources->count; i++)
        times += strcmp(sources->items[i], "-") == 0;
    return times > 1;
}

static int check_and_score(score_settings *settings, of_console *console) {
    of_error error;
    if (settings->sources.count == 0)
        return of_usage_error(console, &of_score_command, "no SRC is given");
    if (reads_input_twice(&settings->sources))
        return of_usage_error(console, &of_score_command, "standard input ('-') is given twice");
    if (settings->judging.with_rate && settings->judging.with_threshold)
        return of_usage_error(console, &of_score_command,
                              "--fpr and --threshold exclude each other");
    if (settings->judging.with_rate && !(settings->judging.rate > 0 && settings->judging.rate < 1))
        return of_usage_error(console, &of_score_command, "--fpr lies between 0 and 1");
    if (settings->watch && (settings->sources.count != 1 || settings->report != NULL ||
                            settings->heatmaps != NULL || of_processes_ranks() != NULL))
        return of_usage_error(console, &of_score_command,
                              "--watch takes one folder, in one process, without --report and "
                              "--heatmaps");
    if (settings->watch_command != NULL &&
        (!settings->watch || (!settings->judging.with_rate && !settings->judging.with_threshold)))
        return of_usage_error(console, &of_score_command,
                              "--on-flagged needs --watch, and --fpr or --threshold");
    if (settings->with_heatmap_count && settings->heatmaps == NULL)
        return of_usage_error(console, &of_score_command,
                              "--heatmap-count needs a folder, --heatmaps DIR");
    if (of_shared_check_background(&settings->shared, &error) != OF_OK ||
        of_shared_check_tiles(&settings->shared, &error) != OF_OK ||
        check_score_name(settings, &error) != OF_OK)
        return of_usage_fail(console, &of_score_command, &error);
    return score_with(settings, console);
}

int of_verb_score(int argc, char **argv, of_console *console) {
    score_settings settings = {.heatmap_count = 20};
    of_option_table table = {.count = 0};
    int code;
    declare(&settings, &table);
    settings.command = of_command_line(argc, argv);
    if (of_options_parse(&of_score_command, &table, argc, argv, &settings.sources, console,
                         &code)) {
        settings.judging.with_threshold = of_option_given(&table, "threshold");
        settings.judging.with_rate = of_option_given(&table, "fpr");
        settings.with_heatmap_count = of_option_given(&table, "heatmap-count");
        code = check_and_score(&settings, console);
    }
    free(settings.command);
    of_text_list_free(&settings.sources);
    of_shared_settings_free(&settings.shared);
    return code;
}
