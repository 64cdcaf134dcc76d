/* SPDX-License-Identifier: Apache-2.0 */
/* outflow calibrate: what in-distribution images score, into the weight file. */
#include "cli/scoring.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "data/formats/reader.h"
#include "model/json_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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
    of_engine_settings engine;
    const char *data, *out;
    bool remove, installed; /* installed: the model is given by its name */
} calibrate_settings;

static void declare(calibrate_settings *settings, of_option_table *table) {
    of_engine_model_option(&settings->engine, table);
    of_option_text(table, 0, "data", "SRC", &settings->data,
                   "In-distribution images that the model was not trained on.")
        ->role = OF_ROLE_READ;
    of_engine_general_option(&settings->engine, table);
    of_engine_ensemble_option(&settings->engine, table);
    of_engine_webp_option(&settings->engine, table);
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write the calibrated model to FILE and leave the weight file as it is; needed "
                   "for a model that is given by its name.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(table, 0, "remove", &settings->remove, "Remove the calibration instead.");
    of_engine_source_options(&settings->engine, table);
    of_engine_plan_options(&settings->engine, table);
}

/* ---- Collecting --------------------------------------------------------------------------- */

static of_status add_batch(void *user, const of_scored_batch *batch, of_error *error) {
    of_calibrator *calibrator = user;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < batch->count; i++) {
        of_image_likelihood image = of_scored_image(batch, i);
        status = of_calibrator_add(calibrator, &image, error);
    }
    return status;
}

/* The models' identities and shapes are all that the calibrator takes of them. */
static of_status create_calibrator(const calibrate_settings *settings, of_calibrator **calibrator,
                                   of_error *error) {
    const of_engine_settings *engine = &settings->engine;
    of_model *model = NULL, *general = NULL, *members[OF_STREAM_MEMBERS] = {NULL};
    of_calibration_options options = of_calibration_options_default();
    options.members = (const of_model *const *)members;
    options.member_count = engine->ensemble.count;
    options.webp = engine->webp;
    options.source = settings->data;
    of_status status = of_model_load(engine->model, &model, error);
    if (status == OF_OK && engine->general != NULL)
        status = of_model_load(engine->general, &general, error);
    for (size_t i = 0; status == OF_OK && i < engine->ensemble.count; i++) {
        char named[OF_MODEL_PATH_SIZE];
        status = of_model_load(of_model_file(engine->ensemble.items[i], named), &members[i], error);
    }
    options.model = model;
    options.general = general;
    if (status == OF_OK)
        status = of_calibrator_create(&options, calibrator, error);
    of_model_free(model);
    of_model_free(general);
    for (size_t i = 0; i < OF_STREAM_MEMBERS; i++)
        of_model_free(members[i]);
    return status;
}

static of_status run_images(const calibrate_settings *settings, of_engine *engine,
                            of_calibrator *calibrator, of_tally *tally, of_error *error) {
    of_run run = {
        .source = settings->data, .label = "calibrate", .visit = add_batch, .user = calibrator};
    engine->with_png = true;
    engine->with_webp = settings->engine.webp;
    of_status status = of_engine_run(engine, &run, tally, error);
    return status == OF_OK && tally->images == 0
               ? of_engine_fail_empty(settings->data, tally->unreadable, error)
               : status;
}

/* ---- Reporting ---------------------------------------------------------------------------- */

static bool names(const cJSON *set, const char *source) {
    const cJSON *named = cJSON_GetObjectItemCaseSensitive(set, "source");
    return cJSON_IsString(named) && of_sources_overlap(named->valuestring, source);
}

/* Is this a source, or does it overlap one, that the model says it was trained on? */
static bool is_training_data(const char *training, const char *source) {
    cJSON *object = NULL;
    if (training == NULL ||
        of_json_parse_object(training, strlen(training), 10000, "training", &object, NULL) != OF_OK)
        return false;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(object, "data"), *item;
    bool same = names(data, source);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(data, "sources")) same =
        same || names(item, source);
    cJSON_Delete(object);
    return same;
}

static of_status warn_of_training_data(const calibrate_settings *settings, of_console *console,
                                       of_error *error) {
    of_model *model;
    of_status status = of_model_load(settings->engine.model, &model, error);
    if (status != OF_OK)
        return status;
    if (is_training_data(of_model_metadata(model, "training"), settings->data))
        of_log_write(&console->log, OF_LOG_WARNING,
                     "%s is what the model was trained on: p-values of other images will be too "
                     "small; calibrate with held-out images",
                     settings->data);
    of_model_free(model);
    return OF_OK;
}

static void print_score(const of_calibration *calibration, of_score score, FILE *file) {
    static const double rates[] = {0.5, 0.1, 0.05, 0.01, 0.001};
    char name[32];
    of_score_name(score, name, sizeof name);
    (void)fprintf(file, "%-16s", name);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        double threshold = of_calibration_threshold(calibration, score, rates[i]);
        if (isfinite(threshold))
            (void)fprintf(file, " %11.2f", threshold);
        else
            (void)fprintf(file, " %11s", "-");
    }
    (void)fputc('\n', file);
}

/* Thresholds of all scores; a dash where it would take more images. */
static of_status print_thresholds(const of_engine *engine, const of_calibration *calibration,
                                  of_error *error) {
    of_output *output = NULL;
    of_calibration_info info = of_calibration_describe(calibration);
    of_status status = of_output_open(NULL, &output, error);
    if (status != OF_OK)
        return status;
    FILE *file = of_output_file(output);
    (void)fprintf(file, "%" PRIu64 " images\nscores above these are flagged at a rate of\n",
                  info.images);
    (void)fprintf(file, "%-16s %11s %11s %11s %11s %11s\n", "score", "0.5", "0.1", "0.05", "0.01",
                  "0.001");
    of_engine calibrated = *engine;
    of_score scores[OF_SCORES_MOST];
    calibrated.calibration = (of_calibration *)calibration;
    calibrated.general_fingerprint = info.general;
    calibrated.members_fingerprint = info.members;
    size_t count = of_scoring_list(&calibrated, scores);
    for (size_t i = 0; i < count; i++)
        print_score(calibration, scores[i], file);
    return of_console_commit(&output, error);
}

/* ---- The verb ----------------------------------------------------------------------------- */

/* A NULL calibration removes the one there is. */
static of_status store(const calibrate_settings *settings, const of_calibration *calibration,
                       of_error *error) {
    const char *model = settings->engine.model;
    return of_calibration_store_copy(calibration, model,
                                     settings->out != NULL ? settings->out : model, error);
}

static of_status calibrate_engine(const calibrate_settings *settings, of_engine *engine,
                                  of_tally *tally, of_error *error) {
    of_calibrator *calibrator = NULL;
    of_calibration *calibration = NULL;
    of_status status = warn_of_training_data(settings, engine->console, error);
    if (status == OF_OK)
        status = create_calibrator(settings, &calibrator, error);
    if (status == OF_OK)
        status = run_images(settings, engine, calibrator, tally, error);
    if (status == OF_OK)
        status = of_calibrator_finish(calibrator, &calibration, error);
    if (status == OF_OK)
        status = store(settings, calibration, error);
    if (status == OF_OK && !settings->engine.quiet)
        status = print_thresholds(engine, calibration, error);
    of_calibration_free(calibration);
    of_calibrator_free(calibrator);
    return status;
}

static int calibrate_with(const calibrate_settings *settings, of_console *console) {
    of_error error;
    of_engine engine;
    of_tally tally = {0};
    if (settings->engine.quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_status status = of_engine_open(&settings->engine, console, &engine, &error);
    if (status == OF_OK) {
        status = calibrate_engine(settings, &engine, &tally, &error);
        of_engine_close(&engine);
    }
    if (status != OF_OK)
        return of_console_fail(console, &error);
    return tally.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

static int remove_calibration(const calibrate_settings *settings, of_console *console) {
    of_error error;
    return store(settings, NULL, &error) == OF_OK ? OF_EXIT_FINE : of_console_fail(console, &error);
}

static int check_and_calibrate(const calibrate_settings *settings, const of_text_list *operands,
                               of_console *console) {
    const of_command *command = &of_calibrate_command;
    if (operands->count > 0)
        return of_usage_error(console, command, "unexpected operand '%s': images are --data SRC",
                              operands->items[0]);
    if (settings->remove == (settings->data != NULL))
        return of_usage_error(console, command, "give either --data SRC or --remove");
    if (settings->installed && settings->out == NULL)
        return of_usage_error(console, command,
                              "%s is installed for all: give --out FILE for a copy, or this path "
                              "to change it",
                              settings->engine.model);
    if (settings->engine.webp && !of_has_webp())
        return of_usage_error(console, command,
                              "--webp: this build has no WebP coder: install libwebp-dev and "
                              "configure again");
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
    of_text_list_free(&settings.engine.ensemble);
    return code;
}
