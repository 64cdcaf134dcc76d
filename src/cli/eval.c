/* SPDX-License-Identifier: Apache-2.0 */
/* outflow eval: how well each score separates other data from in-distribution data. */
#define _POSIX_C_SOURCE 200809L
#include "cli/eval_detectors.h"
#include "cli/eval_print.h"
#include "cli/processes.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <outflow/evaluate.h>

#include <stdlib.h>
#include <string.h>

const of_command of_eval_command = {
    .name = "eval",
    .summary = "Measure how well the scores separate other data from in-distribution data",
    .operands = "[NAME=SRC...]",
    .details =
        "Scores the in-distribution set and every out set, and prints for each out set the AUROC, "
        "average precisions and false positive rate of each score that the models allow (see "
        "'outflow score --help'); mean bits/dim and log-likelihood of each set; with a "
        "general model also the rank correlation of the two models' log-likelihoods. Outliers are "
        "the positive class; the convention is printed with the numbers.\n\n"
        "With a calibrated model also the share of each set that is flagged at a false-positive "
        "rate, with its exact 99 % interval for the in-distribution set.\n\n"
        "--report writes all of this with pictures: distributions, ROC curves, and heat maps that "
        "say where in an image a score comes from, relative to the in-distribution set.\n\n"
        "SRC is what 'outflow score --help' says. Out sets may be given with --out-of or as "
        "operands.\n\n"
        "Exit code 3: finished, but some files could not be read.",
    .examples = "outflow eval -m in.safetensors -g general.safetensors --in test.tar \\\n"
                "    --out-of street=street.tar --out-of noise=synthetic:noise:1000 "
                "--every 4 --json eval.json",
};

typedef struct eval_settings {
    of_shared_settings shared;
    const char *in, *json, *report, *figure, *masks;
    char *command; /* as it was given, for the report */
    double rate;
    of_text_list out_of, operands;
    bool compare_precision;
} eval_settings;

static void declare(eval_settings *settings, of_option_table *table) {
    of_shared_model_option(&settings->shared, table);
    of_option *in = of_option_text(table, 0, "in", "SRC", &settings->in, "In-distribution images.");
    in->required = true;
    in->role = OF_ROLE_READ;
    of_option_list(table, "out-of", "NAME=SRC", &settings->out_of,
                   "Images from elsewhere, under the name NAME; may be repeated.")
        ->role = OF_ROLE_READ;
    of_shared_general_option(&settings->shared, table);
    of_shared_ensemble_option(&settings->shared, table);
    of_shared_webp_option(&settings->shared, table);
    of_option_real(table, 0, "fpr", "A", &settings->rate, 0, 1,
                   "False-positive rate to flag images at; without it, 0.05 with a calibrated "
                   "model.");
    of_option_text(table, 'o', "json", "FILE", &settings->json,
                   "Write all numbers to FILE as JSON, in full precision; '-' writes them to "
                   "standard output in place of the tables.")
        ->role = OF_ROLE_WRITTEN;
    of_option_text(
        table, 0, "report", "FILE", &settings->report,
        "Write a report to FILE: one HTML page with the distributions of all scores, ROC "
        "curves, both models' likelihoods, and the most and least anomalous images with "
        "heat maps.")
        ->role = OF_ROLE_WRITTEN;
    of_option_text(table, 0, "figure", "FILE", &settings->figure,
                   "Write a figure to FILE as SVG: the distributions of nll and of the best score "
                   "that the models allow, of every set.")
        ->role = OF_ROLE_WRITTEN;
    of_shared_tiles_option(&settings->shared, table);
    of_option_text(table, 0, "masks", "DIR", &settings->masks,
                   "Compare heat with masks of the out sets' pictures: DIR/NAME/PATH or DIR/PATH, "
                   "with .png or _mask.png in place of the ending, white where the defect is. Adds "
                   "AUROC and AUPRO (up to a false-positive rate of 0.3) of pixels.");
    of_shared_source_options(&settings->shared, table);
    of_shared_plan_options(&settings->shared, table);
    of_shared_precision_option(&settings->shared, table);
    of_shared_lossy_option(&settings->shared, table);
    of_option_flag(
        table, 0, "compare-precision", &settings->compare_precision,
        "Run every set twice, in f32 and in --precision (without it, bf16), and report what "
        "changes: bits/dim of each set, nats of its images, AUROC of each score.");
}

/* ---- The sets ----------------------------------------------------------------------------- */

typedef struct set_list {
    of_evaluation_set_options *items; /* the first is the in-distribution set; names are owned */
    size_t count;
} set_list;

static void free_sets(set_list *sets) {
    for (size_t i = 0; i < sets->count; i++)
        free((void *)sets->items[i].name);
    free(sets->items);
}

static of_status check_new(const set_list *sets, const of_evaluation_set_options *added,
                           of_error *error) {
    for (size_t i = 0; i < sets->count; i++) {
        const of_evaluation_set_options *set = &sets->items[i];
        if (strcmp(set->name, added->name) == 0)
            return of_fail(error, OF_ERROR_ARGUMENT, "two sets are named '%s'%s", set->name,
                           i == 0 ? ", which is the in-distribution set's name" : "");
        if (strcmp(set->source, "-") == 0 && strcmp(added->source, "-") == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "standard input ('-') can be read for one set only");
    }
    return OF_OK;
}

static of_status add_set(set_list *sets, const char *name, size_t length, const char *source,
                         of_error *error) {
    char *copy = strndup(name, length);
    const of_evaluation_set_options set = {copy, source};
    if (copy == NULL)
        return of_fail_memory(error, "a set's name");
    of_status status = check_new(sets, &set, error);
    if (status == OF_OK)
        sets->items[sets->count++] = set;
    else
        free(copy);
    return status;
}

static of_status add_out_sets(set_list *sets, const of_text_list *list, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < list->count; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals[1] == '\0')
            return of_fail(error, OF_ERROR_ARGUMENT, "out set '%s' is not of the form NAME=SRC",
                           text);
        status = add_set(sets, text, (size_t)(equals - text), equals + 1, error);
    }
    return status;
}

static of_status declare_sets(const eval_settings *settings, set_list *sets, of_error *error) {
    size_t outs = settings->out_of.count + settings->operands.count;
    if (outs == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "no out set is given, --out-of NAME=SRC");
    sets->items = calloc(outs + 1, sizeof *sets->items);
    if (sets->items == NULL)
        return of_fail_memory(error, "sets");
    of_status status = add_set(sets, "in", 2, settings->in, error);
    if (status == OF_OK)
        status = add_out_sets(sets, &settings->out_of, error);
    if (status == OF_OK)
        status = add_out_sets(sets, &settings->operands, error);
    return status;
}

/* What --compare-precision needs beyond what each set needs. */
static of_status check_comparison(const eval_settings *settings, bool precision_given,
                                  const set_list *sets, of_error *error) {
    of_precision given = (of_precision)settings->shared.precision;
    if (!settings->compare_precision)
        return OF_OK;
    if (precision_given && given != OF_PRECISION_BF16 && given != OF_PRECISION_INT8)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "--compare-precision compares f32 with --precision bf16 or int8");
    for (size_t i = 0; i < sets->count; i++)
        if (strcmp(sets->items[i].source, "-") == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "--compare-precision reads every set twice, which standard input ('-') "
                           "does not allow");
    return OF_OK;
}

/* ---- Running them ------------------------------------------------------------------------- */

/* Shows the progress of each set under its name. The watcher comes first: its own functions are
 * given a pointer to all of this. */
typedef struct set_watcher {
    of_watcher watcher;
    const set_list *sets;
    size_t begun;
    void (*start)(void *user, const char *source, uint64_t expected);
} set_watcher;

static void start_set(void *user, const char *source, uint64_t expected) {
    set_watcher *watcher = user;
    of_watcher_finish(&watcher->watcher);
    watcher->watcher.label = watcher->sets->items[watcher->begun++].name;
    watcher->start(user, source, expected);
}

/* What one evaluation needs. */
typedef struct eval_run {
    const eval_settings *settings;
    const set_list *sets;
    of_console *console;
    double rate;
} eval_run;

static of_status evaluate(const eval_run *run, const of_detector *detector, bool keep_images,
                          of_evaluation **evaluation, of_error *error) {
    set_watcher watcher = {.watcher = of_watcher_make(run->console, "in", true), .sets = run->sets};
    of_stream_observer observer = of_watcher_observer(&watcher.watcher);
    const of_stream_options stream = of_shared_stream_options(&run->settings->shared, &observer);
    of_evaluation_options options = of_evaluation_options_default();
    watcher.start = observer.started;
    observer.started = start_set;
    options.sets = run->sets->items;
    options.set_count = run->sets->count;
    options.compared = true;
    options.rate = run->rate;
    options.keep_images = keep_images;
    options.stream = &stream;
    options.masks = run->settings->masks;
    of_status status = of_evaluate(detector, &options, evaluation, error);
    of_watcher_finish(&watcher.watcher);
    return status;
}

/* A rate that is asked for must be possible for the score that decides by default. */
static of_status choose_rate(eval_run *run, const of_detector *detector, of_error *error) {
    const double usual = 0.05;
    const of_flag_rule rule = {{OF_SCORE_COMBINED, 0}, .rate = run->settings->rate};
    of_detector_info info = of_detector_describe(detector);
    run->rate = run->settings->rate;
    if (run->rate > 0)
        return of_detector_check_rule(detector, &rule, error);
    run->rate = info.calibration != NULL ? usual : 0;
    if (info.calibration_problem[0] != '\0')
        of_log_write(&run->console->log, OF_LOG_WARNING, "not calibrated: %s",
                     info.calibration_problem);
    return OF_OK;
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* Files that are asked for. */
typedef struct eval_outputs {
    of_output *json, *report, *figure;
} eval_outputs;

static of_status open_output(const char *path, of_output **output, of_error *error) {
    path = of_processes_output(path);
    return path != NULL ? of_output_open(path, output, error) : OF_OK;
}

static of_status open_outputs(const eval_settings *settings, eval_outputs *outputs,
                              of_error *error) {
    of_status status = open_output(settings->json, &outputs->json, error);
    if (status == OF_OK)
        status = open_output(settings->report, &outputs->report, error);
    if (status == OF_OK)
        status = open_output(settings->figure, &outputs->figure, error);
    return status;
}

static void discard_outputs(eval_outputs *outputs) {
    of_output_discard(outputs->json);
    of_output_discard(outputs->report);
    of_output_discard(outputs->figure);
}

static of_status write_report(const eval_run *run, of_evaluation *evaluation, FILE *file,
                              of_error *error) {
    of_watcher watcher = of_watcher_make(run->console, "heat", false);
    const of_stream_observer observer = of_watcher_observer(&watcher);
    of_report_options options = of_report_options_default();
    options.command = run->settings->command;
    options.observer = &observer;
    of_status status = of_evaluation_write_report(evaluation, &options, file, error);
    of_watcher_finish(&watcher);
    return status;
}

static of_status write_outputs(const eval_run *run, of_evaluation *evaluation,
                               const of_evaluation *reduced, eval_outputs *outputs,
                               of_error *error) {
    of_status status = OF_OK;
    if (outputs->json != NULL)
        status =
            of_evaluation_write_json(evaluation, reduced, of_output_file(outputs->json), error);
    if (status == OF_OK && outputs->report != NULL)
        status = write_report(run, evaluation, of_output_file(outputs->report), error);
    if (status == OF_OK && outputs->figure != NULL)
        status = of_evaluation_write_figure(evaluation, of_output_file(outputs->figure), error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->json, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->report, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->figure, error);
    return status;
}

static of_status print_tables(const of_evaluation *evaluation, const of_evaluation *reduced,
                              const of_eval_detectors *detectors, of_error *error) {
    of_detector_info info = of_detector_describe(detectors->detector);
    of_precision other = detectors->reduced != NULL
                             ? of_detector_describe(detectors->reduced).plan.precision
                             : OF_PRECISION_F32;
    of_output *output = NULL;
    of_status status = of_output_open(NULL, &output, error);
    if (status != OF_OK)
        return status;
    of_eval_print(evaluation, reduced, other, &info.plan, of_output_file(output));
    return of_console_commit(&output, error);
}

/* ---- The verb ----------------------------------------------------------------------------- */

/* Files are opened first, so that a path that cannot be written fails before the work. */
static of_status run_and_write(eval_run *run, const of_eval_detectors *detectors,
                               of_evaluation **evaluation, of_evaluation **reduced,
                               of_error *error) {
    const eval_settings *settings = run->settings;
    eval_outputs outputs = {NULL, NULL, NULL};
    bool tables = settings->json == NULL || strcmp(settings->json, "-") != 0;
    of_status status = choose_rate(run, detectors->detector, error);
    if (status == OF_OK)
        status = open_outputs(settings, &outputs, error);
    if (status == OF_OK)
        status = evaluate(run, detectors->detector, outputs.report != NULL, evaluation, error);
    if (status == OF_OK && detectors->reduced != NULL)
        status = evaluate(run, detectors->reduced, false, reduced, error);
    if (status == OF_OK && detectors->reduced != NULL)
        status = of_evaluation_check_pair(*evaluation, *reduced, error);
    if (status == OF_OK)
        status = write_outputs(run, *evaluation, *reduced, &outputs, error);
    if (status == OF_OK && tables)
        status = print_tables(*evaluation, *reduced, detectors, error);
    discard_outputs(&outputs);
    return status;
}

static int exit_code(const of_evaluation *evaluation) {
    for (size_t i = 0; i < of_evaluation_set_count(evaluation); i++)
        if (of_evaluation_get_set(evaluation, i).stream.unreadable > 0)
            return OF_EXIT_UNREADABLE;
    return OF_EXIT_FINE;
}

static int eval_with(const eval_settings *settings, const set_list *sets, of_console *console) {
    eval_run run = {.settings = settings, .sets = sets, .console = console};
    of_eval_detectors detectors = {NULL, NULL};
    of_evaluation *evaluation = NULL, *reduced = NULL;
    of_error error;
    of_shared_begin(&settings->shared, console);
    of_status status =
        of_eval_detectors_open(&settings->shared, settings->compare_precision, &detectors, &error);
    if (status == OF_OK)
        of_shared_say_general(console, detectors.detector);
    if (status == OF_OK)
        of_shared_say_lossy(console, detectors.detector);
    if (status == OF_OK)
        status = run_and_write(&run, &detectors, &evaluation, &reduced, &error);
    int code = status == OF_OK ? exit_code(evaluation) : of_processes_fail(console, &error);
    of_evaluation_free(evaluation);
    of_evaluation_free(reduced);
    of_eval_detectors_close(&detectors);
    return code;
}

static int check_and_evaluate(const eval_settings *settings, const of_option_table *table,
                              set_list *sets, of_console *console) {
    of_error error;
    if (of_option_given(table, "fpr") && !(settings->rate > 0 && settings->rate < 1))
        return of_usage_error(console, &of_eval_command, "--fpr lies between 0 and 1");
    if (settings->shared.webp && !of_has_webp())
        return of_usage_error(console, &of_eval_command,
                              "--webp: this build has no WebP coder: install libwebp-dev and "
                              "configure again");
    of_status status = of_shared_check_background(&settings->shared, &error);
    if (status == OF_OK)
        status = of_shared_check_tiles(&settings->shared, &error);
    if (status == OF_OK)
        status = declare_sets(settings, sets, &error);
    if (status == OF_OK)
        status = check_comparison(settings, of_option_given(table, "precision"), sets, &error);
    return status == OF_OK ? eval_with(settings, sets, console)
                           : of_usage_fail(console, &of_eval_command, &error);
}

int of_verb_eval(int argc, char **argv, of_console *console) {
    eval_settings settings = {.command = of_command_line(argc, argv)};
    of_option_table table = {.count = 0};
    set_list sets = {NULL, 0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_eval_command, &table, argc, argv, &settings.operands, console, &code))
        code = check_and_evaluate(&settings, &table, &sets, console);
    free_sets(&sets);
    free(settings.command);
    of_text_list_free(&settings.out_of);
    of_text_list_free(&settings.operands);
    of_shared_settings_free(&settings.shared);
    return code;
}
