/* SPDX-License-Identifier: Apache-2.0 */
/* outflow eval: how well each score separates other data from in-distribution data. */
#define _POSIX_C_SOURCE 200809L
#include "cli/eval_compare.h"
#include "cli/processes.h"
#include "cli/report_write.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include "core/error.h"

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
    of_engine_settings engine;
    const char *in, *json, *report, *figure;
    int argc; /* of the verb, for the report */
    char **argv;
    double rate;
    of_text_list out_of, operands;
    bool compare_precision;
} eval_settings;

static void declare(eval_settings *settings, of_option_table *table) {
    of_engine_model_option(&settings->engine, table);
    of_option *in = of_option_text(table, 0, "in", "SRC", &settings->in, "In-distribution images.");
    in->required = true;
    in->role = OF_ROLE_READ;
    of_option_list(table, "out-of", "NAME=SRC", &settings->out_of,
                   "Images from elsewhere, under the name NAME; may be repeated.")
        ->role = OF_ROLE_READ;
    of_engine_general_option(&settings->engine, table);
    of_engine_ensemble_option(&settings->engine, table);
    of_engine_webp_option(&settings->engine, table);
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
    of_engine_source_options(&settings->engine, table);
    of_engine_plan_options(&settings->engine, table);
    of_engine_precision_option(&settings->engine, table);
    of_option_flag(table, 0, "compare-precision", &settings->compare_precision,
                   "Run every set twice, in f32 and in bf16, and report what changes: bits/dim of "
                   "each set, nats of its images, AUROC of each score.");
}

/* ---- The sets ----------------------------------------------------------------------------- */

static of_status check_new(const of_evaluation *evaluation, const of_eval_set *added,
                           of_error *error) {
    for (size_t i = 0; i < evaluation->set_count; i++) {
        const of_eval_set *set = &evaluation->sets[i];
        if (strcmp(set->name, added->name) == 0)
            return of_fail(error, OF_ERROR_ARGUMENT, "two sets are named '%s'%s", set->name,
                           i == 0 ? ", which is the in-distribution set's name" : "");
        if (strcmp(set->source, "-") == 0 && strcmp(added->source, "-") == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "standard input ('-') can be read for one set only");
    }
    return OF_OK;
}

static of_status add_set(of_evaluation *evaluation, const char *name, size_t length,
                         const char *source, of_error *error) {
    of_eval_set set = {.name = strndup(name, length), .source = source};
    if (set.name == NULL)
        return of_fail_memory(error, "a set's name");
    of_status status = check_new(evaluation, &set, error);
    if (status == OF_OK)
        evaluation->sets[evaluation->set_count++] = set;
    else
        free(set.name);
    return status;
}

static of_status add_out_sets(of_evaluation *evaluation, const of_text_list *list,
                              of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < list->count; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals[1] == '\0')
            return of_fail(error, OF_ERROR_ARGUMENT, "out set '%s' is not of the form NAME=SRC",
                           text);
        status = add_set(evaluation, text, (size_t)(equals - text), equals + 1, error);
    }
    return status;
}

static of_status declare_sets(const eval_settings *settings, of_evaluation *evaluation,
                              of_error *error) {
    size_t outs = settings->out_of.count + settings->operands.count;
    if (outs == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "no out set is given, --out-of NAME=SRC");
    evaluation->sets = calloc(outs + 1, sizeof *evaluation->sets);
    if (evaluation->sets == NULL)
        return of_fail_memory(error, "sets");
    of_status status = add_set(evaluation, "in", 2, settings->in, error);
    if (status == OF_OK)
        status = add_out_sets(evaluation, &settings->out_of, error);
    if (status == OF_OK)
        status = add_out_sets(evaluation, &settings->operands, error);
    return status;
}

/* ---- The run ------------------------------------------------------------------------------ */

static of_status print_tables(const of_evaluation *evaluation, of_error *error) {
    of_output *output = NULL;
    of_status status = of_output_open(NULL, &output, error);
    if (status != OF_OK)
        return status;
    of_evaluation_print(evaluation, of_output_file(output));
    return of_console_commit(&output, error);
}

/* The sets once more, in bfloat16. */
static of_status run_in_bf16(const eval_settings *settings, of_console *console,
                             of_evaluation *bf16, of_error *error) {
    of_engine_settings in_bf16 = settings->engine;
    of_engine engine;
    in_bf16.precision = OF_PRECISION_BF16;
    of_status status = of_engine_open(&in_bf16, console, &engine, error);
    if (status != OF_OK)
        return status;
    bf16->engine = &engine;
    status = of_evaluation_run(bf16, error);
    bf16->engine = NULL;
    of_engine_close(&engine);
    return status;
}

static of_status run_sets(const eval_settings *settings, of_console *console,
                          of_evaluation *evaluation, of_evaluation *bf16, of_error *error) {
    of_precision precision;
    of_isa isa = (of_isa)settings->engine.isa;
    if (!settings->compare_precision)
        return of_evaluation_run(evaluation, error);
    /* before the first half of the work */
    of_status status = of_precision_resolve(OF_PRECISION_BF16, isa, &precision, error);
    if (status == OF_OK)
        status = of_evaluation_run(evaluation, error);
    if (status == OF_OK)
        status = run_in_bf16(settings, console, bf16, error);
    if (status == OF_OK)
        status = of_comparison_check(evaluation, bf16, error);
    evaluation->bf16 = bf16;
    return status;
}

/* A rate that is asked for must be possible for the score that decides by default. */
static of_status choose_rate(const eval_settings *settings, const of_engine *engine,
                             of_evaluation *evaluation, of_error *error) {
    const double usual = 0.05;
    const of_score combined = {OF_SCORE_COMBINED, 0};
    if (settings->rate == 0) {
        evaluation->rate = engine->calibration != NULL ? usual : 0;
        if (engine->calibration_problem[0] != '\0')
            of_log_write(&engine->console->log, OF_LOG_WARNING, "not calibrated: %s",
                         engine->calibration_problem);
        return OF_OK;
    }
    evaluation->rate = settings->rate;
    of_status status = of_scoring_check_p_value(engine, combined, error);
    return status == OF_OK
               ? of_calibration_check_rate(engine->calibration, combined, settings->rate, error)
               : status;
}

/* Files that are asked for. */
typedef struct eval_outputs {
    of_output *json, *report, *figure; /* NULL: not asked for */
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

static FILE *file_of(const of_output *output) {
    return output != NULL ? of_output_file(output) : NULL;
}

static of_status write_outputs(const eval_settings *settings, const of_evaluation *evaluation,
                               eval_outputs *outputs, of_error *error) {
    const of_report_wish wish = {.argc = settings->argc,
                                 .argv = settings->argv,
                                 .compared = true,
                                 .page = file_of(outputs->report),
                                 .figure = file_of(outputs->figure)};
    of_status status = OF_OK;
    if (outputs->json != NULL)
        status = of_evaluation_write_json(evaluation, of_output_file(outputs->json), error);
    if (status == OF_OK && evaluation->gallery != NULL)
        status = of_report_make(evaluation, &wish, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->json, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->report, error);
    if (status == OF_OK)
        status = of_console_commit(&outputs->figure, error);
    return status;
}

/* Images are kept only for a report. */
static of_status open_gallery(of_evaluation *evaluation, of_gallery *gallery, of_error *error) {
    of_evaluation_begin(evaluation);
    of_status status = of_gallery_open(gallery, evaluation->engine, evaluation->set_count,
                                       of_report_main_score(evaluation), true, error);
    if (status == OF_OK)
        evaluation->gallery = gallery;
    return status;
}

/* Files are opened first, so that a path that cannot be written fails before the work. */
static of_status run_and_write(const eval_settings *settings, of_console *console,
                               of_evaluation *evaluation, of_evaluation *bf16, of_error *error) {
    eval_outputs outputs = {0};
    of_gallery gallery = {0};
    bool tables = settings->json == NULL || strcmp(settings->json, "-") != 0;
    of_status status = open_outputs(settings, &outputs, error);
    if (status == OF_OK && (outputs.report != NULL || outputs.figure != NULL))
        status = open_gallery(evaluation, &gallery, error);
    if (status == OF_OK)
        status = run_sets(settings, console, evaluation, bf16, error);
    if (status == OF_OK)
        status = write_outputs(settings, evaluation, &outputs, error);
    if (status == OF_OK && tables)
        status = print_tables(evaluation, error);
    of_output_discard(outputs.json);
    of_output_discard(outputs.report);
    of_output_discard(outputs.figure);
    evaluation->gallery = NULL;
    of_gallery_close(&gallery);
    return status;
}

static int exit_code(const of_evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->set_count; i++)
        if (evaluation->sets[i].tally.unreadable > 0)
            return OF_EXIT_UNREADABLE;
    return OF_EXIT_FINE;
}

static int eval_with(const eval_settings *settings, of_evaluation *evaluation, of_evaluation *bf16,
                     of_console *console) {
    of_error error;
    of_engine engine;
    if (settings->engine.quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_status status = of_engine_open(&settings->engine, console, &engine, &error);
    if (status == OF_OK) {
        evaluation->engine = &engine;
        status = choose_rate(settings, &engine, evaluation, &error);
        if (status == OF_OK)
            status = run_and_write(settings, console, evaluation, bf16, &error);
        evaluation->engine = NULL;
        of_engine_close(&engine);
    }
    return status == OF_OK ? exit_code(evaluation) : of_processes_fail(console, &error);
}

/* What --compare-precision needs beyond what each set needs. */
static of_status declare_comparison(const eval_settings *settings, bool precision_given,
                                    const of_evaluation *evaluation, of_evaluation *bf16,
                                    of_error *error) {
    if (!settings->compare_precision)
        return OF_OK;
    if (precision_given)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "--compare-precision and --precision exclude each other: it runs both");
    for (size_t i = 0; i < evaluation->set_count; i++)
        if (strcmp(evaluation->sets[i].source, "-") == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "--compare-precision reads every set twice, which standard input ('-') "
                           "does not allow");
    return declare_sets(settings, bf16, error);
}

static of_status declare_all(const eval_settings *settings, const of_option_table *table,
                             of_evaluation *evaluation, of_evaluation *bf16, of_error *error) {
    of_status status = declare_sets(settings, evaluation, error);
    if (status == OF_OK)
        status = declare_comparison(settings, of_option_given(table, "precision"), evaluation, bf16,
                                    error);
    return status;
}

int of_verb_eval(int argc, char **argv, of_console *console) {
    eval_settings settings = {.argc = argc, .argv = argv};
    of_option_table table = {.count = 0};
    of_evaluation evaluation = {0}, bf16 = {0};
    of_error error;
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_eval_command, &table, argc, argv, &settings.operands, console,
                         &code)) {
        bool rate_given = of_option_given(&table, "fpr");
        if (rate_given && !(settings.rate > 0 && settings.rate < 1))
            code = of_usage_error(console, &of_eval_command, "--fpr lies between 0 and 1");
        else if (settings.engine.webp && !of_has_webp())
            code = of_usage_error(console, &of_eval_command,
                                  "--webp: this build has no WebP coder: install libwebp-dev and "
                                  "configure again");
        else if (declare_all(&settings, &table, &evaluation, &bf16, &error) != OF_OK)
            code = of_usage_fail(console, &of_eval_command, &error);
        else
            code = eval_with(&settings, &evaluation, &bf16, console);
    }
    of_evaluation_free(&bf16);
    of_evaluation_free(&evaluation);
    of_text_list_free(&settings.out_of);
    of_text_list_free(&settings.operands);
    of_text_list_free(&settings.engine.ensemble);
    return code;
}
