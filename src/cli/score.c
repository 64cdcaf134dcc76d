/* SPDX-License-Identifier: Apache-2.0 */
/* outflow score: likelihoods and scores of every image. */
#include "cli/processes.h"
#include "cli/rows.h"
#include "cli/score_pictures.h"
#include "cli/terminal/words.h"
#include "cli/verbs.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const of_command of_score_command = {
    .name = "score",
    .summary = "Score images: likelihood, each scale's part of it, anomaly scores",
    .operands = "SRC...",
    .details =
        "Prints one row for every image: path, label, bits_per_dim, logp, logp_scale0 and so on, "
        "nll, last; with a general model also logp_general, ratio and ratio-last; with classes "
        "predicted_class and logp_class0 and so on; with a calibrated model (outflow calibrate) "
        "typicality, combined and p_value.\n\n"
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
        "on standard input, or synthetic:NAME or synthetic:NAME:COUNT, made on the fly: shapes, "
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
    of_engine_settings engine;
    const char *score_name, *out, *report, *heatmaps;
    uint64_t heatmap_count;
    int argc; /* of the verb, for the report */
    char **argv;
    int format;
    double threshold, rate;
    bool with_threshold, with_rate, with_heatmap_count;
    of_text_list sources;
} score_settings;

static void declare(score_settings *settings, of_option_table *table) {
    of_engine_model_option(&settings->engine, table);
    of_engine_general_option(&settings->engine, table);
    of_engine_ensemble_option(&settings->engine, table);
    of_option_text(table, 0, "score", "NAME", &settings->score_name,
                   "Add a column 'score': nll, last, scale:N, ratio, ratio-last, complexity, "
                   "complexity-webp, class, mixture, ensemble, typicality or combined; p_value is "
                   "that of this score. Without it, p_value is that of combined.");
    of_option_choice(table, "format", "csv|jsonl|table", &settings->format,
                     "Form of the rows; without it, csv.");
    of_option_real(table, 0, "threshold", "X", &settings->threshold, -1e308, 1e308,
                   "Add a column 'anomalous': 1 if the score is at or above X, or not finite. "
                   "Without --score, that is combined with a calibrated model, else ratio with a "
                   "general model, else nll.");
    of_option_real(table, 0, "fpr", "A", &settings->rate, 0, 1,
                   "Add a column 'anomalous': 1 if p_value is at most A, which flags a share of at "
                   "most A of normal images. Needs a calibrated model.");
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write to FILE, which appears only when it is complete.")
        ->role = OF_ROLE_WRITTEN;
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
    of_engine_source_options(&settings->engine, table);
    of_engine_plan_options(&settings->engine, table);
    of_engine_precision_option(&settings->engine, table);
}

/* What the visitor of a source's batches needs. */
typedef struct score_run {
    of_engine *engine;
    of_rows rows;
    of_output *output;
    of_score_pictures pictures;
    const char *source;
    size_t source_number;
} score_run;

static of_status write_batch(void *user, const of_scored_batch *batch, of_error *error) {
    score_run *run = user;
    for (size_t i = 0; i < batch->count; i++) {
        of_image_likelihood likelihood = of_scored_image(batch, i);
        of_rows_write(&run->rows, run->source, &batch->items[i], &likelihood);
    }
    of_status status = of_score_pictures_collect(&run->pictures, run->source_number, batch, error);
    return status == OF_OK ? of_console_flush(run->output, error) : status;
}

/* The score that is judged: what was asked for, else the best there is. */
static of_status choose_score(const score_settings *settings, const of_engine *engine,
                              of_score *score, of_error *error) {
    const of_score combined = {OF_SCORE_COMBINED, 0};
    bool has_general = engine->general != NULL;
    if (settings->score_name != NULL)
        return of_score_parse(settings->score_name, &engine->architecture, has_general, score,
                              error);
    *score = (of_score){has_general ? OF_SCORE_RATIO : OF_SCORE_NLL, 0};
    if (settings->with_rate || of_scoring_check(engine, combined, NULL) == OF_OK)
        *score = combined;
    return OF_OK;
}

/* p-values where the calibration allows them; an error where they are asked for and it does not. */
static of_status add_p_value(const score_settings *settings, const of_engine *engine,
                             of_score score, of_rows *rows, of_error *error) {
    of_error reason;
    of_status status = of_scoring_check_p_value(engine, score, &reason);
    if (settings->with_rate) {
        if (status == OF_OK)
            status = of_calibration_check_rate(engine->calibration, score, settings->rate, &reason);
        if (status != OF_OK)
            return of_error_copy(error, &reason);
        of_rows_add_p_value(rows, score);
        of_rows_add_rate(rows, score, settings->rate);
    } else if (status == OF_OK) {
        of_rows_add_p_value(rows, score);
    } else if (engine->calibration != NULL || engine->calibration_problem[0] != '\0') {
        of_log_write(&engine->console->log, OF_LOG_WARNING, "no p-values: %s", reason.message);
    }
    return OF_OK;
}

static of_status add_judgement(const score_settings *settings, const of_engine *engine,
                               of_rows *rows, of_error *error) {
    const of_score combined = {OF_SCORE_COMBINED, 0};
    bool asked = settings->score_name != NULL || settings->with_threshold || settings->with_rate;
    of_score score;
    of_status status = choose_score(settings, engine, &score, error);
    if (status == OF_OK && asked)
        status = of_scoring_check(engine, score, error);
    if (status != OF_OK)
        return status;
    if (asked)
        of_rows_add_score(rows, score);
    if (settings->with_threshold)
        of_rows_add_threshold(rows, score, settings->threshold);
    return add_p_value(settings, engine, asked ? score : combined, rows, error);
}

static of_status add_columns(const score_settings *settings, const of_engine *engine, of_rows *rows,
                             of_error *error) {
    static const of_score_kind calibrated[] = {OF_SCORE_TYPICALITY, OF_SCORE_COMBINED};
    if (engine->general != NULL)
        of_rows_add_general(rows, engine->comparable_scales);
    if (engine->architecture.classes > 0)
        of_rows_add_classes(rows);
    for (size_t i = 0; i < 2; i++)
        if (of_scoring_check(engine, (of_score){calibrated[i], 0}, NULL) == OF_OK)
            of_rows_add_named(rows, (of_score){calibrated[i], 0});
    of_status status = add_judgement(settings, engine, rows, error);
    if (status == OF_OK && settings->sources.count > 1)
        of_rows_add_source(rows);
    return status;
}

/* Images are coded only where a column needs it. */
static bool needs(const of_rows *rows, unsigned need) {
    for (size_t i = 0; i < rows->count; i++) {
        bool scored =
            rows->columns[i].kind == OF_COLUMN_SCORE || rows->columns[i].kind == OF_COLUMN_P_VALUE;
        if (scored && (of_score_needs(rows->columns[i].score) & need) != 0)
            return true;
    }
    return false;
}

static void add_tally(of_tally *tally, const of_tally *more) {
    tally->images += more->images;
    tally->unreadable += more->unreadable;
    tally->seconds += more->seconds;
}

static of_status score_sources(const score_settings *settings, score_run *run, of_tally *tally,
                               of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < settings->sources.count; i++) {
        of_tally own = {0};
        run->source = settings->sources.items[i];
        run->source_number = i;
        of_run pass = {.source = run->source,
                       .label = "score",
                       .several = settings->sources.count > 1,
                       .visit = write_batch,
                       .user = run};
        status = of_engine_run(run->engine, &pass, &own, error);
        add_tally(tally, &own);
        of_score_pictures_finish_source(&run->pictures, i, &own);
    }
    return status == OF_OK && tally->images == 0
               ? of_engine_fail_empty(run->source, tally->unreadable, error)
               : status;
}

static void summarise(of_console *console, const of_tally *tally, const of_rows *rows) {
    char anomalous[48] = "";
    if (rows->with_flag)
        (void)snprintf(anomalous, sizeof anomalous, "%" PRIu64 " anomalous, ", rows->anomalous);
    of_log_write(&console->log, OF_LOG_INFO,
                 "%" PRIu64 " image%s, %" PRIu64 " unreadable, %" PRIu64
                 " non-finite, %s%.1f images/s",
                 tally->images, of_plural(tally->images), tally->unreadable, rows->non_finite,
                 anomalous, tally->seconds > 0 ? (double)tally->images / tally->seconds : 0.0);
}

static of_status open_pictures(const score_settings *settings, score_run *run, of_error *error) {
    run->pictures = (of_score_pictures){.report = of_processes_output(settings->report),
                                        .heatmaps = of_processes_output(settings->heatmaps),
                                        .heatmap_count = settings->heatmap_count,
                                        .argc = settings->argc,
                                        .argv = settings->argv,
                                        .sources = &settings->sources,
                                        .rate = settings->rate,
                                        .with_threshold = settings->with_threshold,
                                        .threshold = settings->threshold};
    if (run->pictures.report == NULL && run->pictures.heatmaps == NULL)
        return OF_OK;
    of_status status = choose_score(settings, run->engine, &run->pictures.score, error);
    return status == OF_OK ? of_score_pictures_open(&run->pictures, run->engine, error) : status;
}

static of_status open_run(const score_settings *settings, score_run *run, of_error *error) {
    of_engine *engine = run->engine;
    of_status status = of_output_open(of_processes_output(settings->out), &run->output, error);
    if (status == OF_OK)
        status =
            of_rows_open(&run->rows, of_output_file(run->output), (of_row_format)settings->format,
                         &engine->architecture, engine->calibration, error);
    if (status == OF_OK)
        status = add_columns(settings, engine, &run->rows, error);
    if (status == OF_OK)
        status = open_pictures(settings, run, error);
    unsigned more = of_score_pictures_needs(&run->pictures);
    engine->with_png = needs(&run->rows, OF_NEEDS_PNG) || (more & OF_NEEDS_PNG) != 0;
    engine->with_webp = needs(&run->rows, OF_NEEDS_WEBP) || (more & OF_NEEDS_WEBP) != 0;
    return status;
}

static of_status run_score(const score_settings *settings, of_engine *engine, of_tally *tally,
                           of_error *error) {
    score_run run = {.engine = engine};
    of_status status = open_run(settings, &run, error);
    if (status == OF_OK)
        status = score_sources(settings, &run, tally, error);
    if (status == OF_OK)
        status = of_score_pictures_make(&run.pictures, error);
    if (status == OF_OK)
        status = of_console_commit(&run.output, error);
    if (status == OF_OK)
        summarise(engine->console, tally, &run.rows);
    of_output_discard(run.output);
    of_score_pictures_close(&run.pictures);
    of_rows_close(&run.rows);
    return status;
}

static int score_with(score_settings *settings, of_console *console) {
    of_error error;
    of_engine engine;
    of_tally tally = {0};
    if (settings->engine.quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_status status = of_engine_open(&settings->engine, console, &engine, &error);
    if (status == OF_OK) {
        status = run_score(settings, &engine, &tally, &error);
        of_engine_close(&engine);
    }
    if (status != OF_OK)
        return of_processes_fail(console, &error);
    return tally.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

/* What can be said about --score before a model is loaded: its spelling, and whether it needs a
 * general model. */
static of_status check_score_name(const score_settings *settings, of_error *error) {
    of_architecture any = of_architecture_default();
    any.scales = UINT32_MAX;
    any.classes = 1;
    of_score score;
    return settings->score_name == NULL
               ? OF_OK
               : of_score_parse(settings->score_name, &any, settings->engine.general != NULL,
                                &score, error);
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
    if (settings->with_rate && settings->with_threshold)
        return of_usage_error(console, &of_score_command,
                              "--fpr and --threshold exclude each other");
    if (settings->with_rate && !(settings->rate > 0 && settings->rate < 1))
        return of_usage_error(console, &of_score_command, "--fpr lies between 0 and 1");
    if (settings->with_heatmap_count && settings->heatmaps == NULL)
        return of_usage_error(console, &of_score_command,
                              "--heatmap-count needs a folder, --heatmaps DIR");
    if (check_score_name(settings, &error) != OF_OK)
        return of_usage_fail(console, &of_score_command, &error);
    return score_with(settings, console);
}

int of_verb_score(int argc, char **argv, of_console *console) {
    score_settings settings = {.argc = argc, .argv = argv, .heatmap_count = 20};
    of_option_table table = {.count = 0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_score_command, &table, argc, argv, &settings.sources, console,
                         &code)) {
        settings.with_threshold = of_option_given(&table, "threshold");
        settings.with_rate = of_option_given(&table, "fpr");
        settings.with_heatmap_count = of_option_given(&table, "heatmap-count");
        code = check_and_score(&settings, console);
    }
    of_text_list_free(&settings.sources);
    of_text_list_free(&settings.engine.ensemble);
    return code;
}
