/* SPDX-License-Identifier: Apache-2.0 */
/* outflow score: likelihoods and scores of every image. */
#include "cli/engine.h"
#include "cli/output.h"
#include "cli/rows.h"
#include "cli/verbs.h"
#include "core/error.h"

#include <inttypes.h>
#include <string.h>

const of_command of_score_command = {
    .name = "score",
    .summary = "Score images: likelihood, each scale's part of it, anomaly scores",
    .operands = "SRC...",
    .details =
        "Prints one row for every image: path, label, bits_per_dim, logp, logp_scale0 and so on, "
        "nll, last; with a general model also logp_general, ratio and ratio-last. Scores are "
        "higher for more anomalous images: nll = -log-likelihood, last and scale:N = minus that "
        "of one scale, ratio = nll - nll of the general model, ratio-last = the same on the last "
        "scale. Numbers are in nats and read back exactly.\n\n"
        "SRC is a folder, an image, a .tar, .tar.gz or .zip of images, a CIFAR-10/100 binary file, "
        "an IDX file, a .npy array, a MATLAB .mat file laid out as SVHN's, '-' for a list of paths "
        "on standard input, or synthetic:NAME or synthetic:NAME:COUNT, made on the fly: shapes, "
        "digits, textures, stripes, flat, noise, general. part:FROM-TO:SRC is a fixed part of a "
        "SRC: part:0-0.1:photos.tar a tenth that depends on the images' paths alone, "
        "part:0.1-1:photos.tar the rest. With several SRC, a column 'source' is added.\n\n"
        "Exit code 3: finished, but some files could not be read.",
    .examples = "outflow score -m in.safetensors -g general.safetensors --score ratio "
                "--threshold 0 -o scores.csv photos/",
};

typedef struct score_settings {
    of_engine_settings engine;
    const char *score_name, *out;
    int format;
    double threshold;
    bool with_threshold;
    of_text_list sources;
} score_settings;

static void declare(score_settings *settings, of_option_table *table) {
    of_engine_model_option(&settings->engine, table);
    of_engine_general_option(&settings->engine, table);
    of_option_text(table, 0, "score", "NAME", &settings->score_name,
                   "Add a column 'score': nll, last, scale:N, ratio or ratio-last.");
    of_option_choice(table, "format", "csv|jsonl|table", &settings->format,
                     "Form of the rows; without it, csv.");
    of_option_real(table, 0, "threshold", "X", &settings->threshold, -1e308, 1e308,
                   "Add a column 'anomalous': 1 if the score is at or above X, or not finite. "
                   "Without --score, that is ratio with a general model, else nll.");
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write to FILE, which appears only when it is complete.");
    of_engine_source_options(&settings->engine, table);
    of_engine_plan_options(&settings->engine, table);
    of_engine_precision_option(&settings->engine, table);
}

/* What the visitor of a source's batches needs. */
typedef struct score_run {
    of_rows rows;
    of_output output;
    const char *source;
} score_run;

static of_status write_batch(void *user, const of_scored_batch *batch, of_error *error) {
    score_run *run = user;
    for (size_t i = 0; i < batch->count; i++) {
        of_image_likelihood likelihood = of_scored_image(batch, i);
        of_rows_write(&run->rows, run->source, &batch->items[i], &likelihood);
    }
    return of_output_flush(&run->output, error);
}

static of_status add_columns(const score_settings *settings, const of_engine *engine, of_rows *rows,
                             of_error *error) {
    bool has_general = engine->general != NULL;
    const char *name = settings->score_name;
    if (name == NULL && settings->with_threshold)
        name = has_general ? "ratio" : "nll";
    if (has_general)
        of_rows_add_general(rows, engine->comparable_scales);
    if (name != NULL) {
        of_score score;
        of_status status = of_score_parse(name, &engine->architecture, has_general, &score, error);
        if (status != OF_OK)
            return status;
        if (score.kind == OF_SCORE_RATIO_LAST && !engine->comparable_scales)
            return of_fail(error, OF_ERROR_MISMATCH,
                           "score 'ratio-last' needs models with the same number of scales");
        of_rows_add_score(rows, score);
        if (settings->with_threshold)
            of_rows_add_threshold(rows, score, settings->threshold);
    }
    if (settings->sources.count > 1)
        of_rows_add_source(rows);
    return OF_OK;
}

static of_status score_sources(const score_settings *settings, of_engine *engine, score_run *run,
                               of_tally *tally, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < settings->sources.count; i++) {
        run->source = settings->sources.items[i];
        of_run pass = {run->source, "score", settings->engine.limit, write_batch, run};
        status = of_engine_run(engine, &pass, tally, error);
    }
    return status == OF_OK && tally->images == 0
               ? of_engine_fail_empty(run->source, tally->unreadable, error)
               : status;
}

static void summarise(of_console *console, const of_tally *tally, uint64_t non_finite) {
    of_log_write(&console->log, OF_LOG_INFO,
                 "%" PRIu64 " images, %" PRIu64 " unreadable, %" PRIu64
                 " non-finite, %.1f images/s",
                 tally->images, tally->unreadable, non_finite,
                 tally->seconds > 0 ? (double)tally->images / tally->seconds : 0.0);
}

static of_status run_score(const score_settings *settings, of_engine *engine, of_tally *tally,
                           of_error *error) {
    score_run run = {0};
    of_status status = of_output_open(settings->out, &run.output, error);
    if (status != OF_OK)
        return status;
    of_rows_open(&run.rows, run.output.file, (of_row_format)settings->format,
                 &engine->architecture);
    status = add_columns(settings, engine, &run.rows, error);
    if (status == OF_OK)
        status = score_sources(settings, engine, &run, tally, error);
    if (status == OF_OK)
        status = of_output_commit(&run.output, error);
    of_output_discard(&run.output);
    if (status == OF_OK)
        summarise(engine->console, tally, run.rows.non_finite);
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
        return of_console_fail(console, &error);
    return tally.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

/* What can be said about --score before a model is loaded: its spelling, and whether it needs a
 * general model. */
static of_status check_score_name(const score_settings *settings, of_error *error) {
    of_architecture any = of_architecture_default();
    any.scales = UINT32_MAX;
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
    if (check_score_name(settings, &error) != OF_OK)
        return of_usage_error(console, &of_score_command, "%s", error.message);
    return score_with(settings, console);
}

int of_verb_score(int argc, char **argv, of_console *console) {
    score_settings settings = {0};
    of_option_table table = {.count = 0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_score_command, &table, argc, argv, &settings.sources, console,
                         &code)) {
        settings.with_threshold = of_option_given(&table, "threshold");
        code = check_and_score(&settings, console);
    }
    of_text_list_free(&settings.sources);
    return code;
}
