/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves: checkpoints, and the weight file with what is to be known about it. */
#define _POSIX_C_SOURCE 200809L
#include "train/training_run.h"

#include "core/clock.h"
#include "core/error.h"
#include "model/json_reader.h"
#include "train/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static of_checkpoint describe_checkpoint(of_trainer *trainer) {
    return (of_checkpoint){.model = trainer->model,
                           .blocks = {{"first", trainer->optimizer.first},
                                      {"second", trainer->optimizer.second},
                                      {"average", trainer->optimizer.average},
                                      {"best", trainer->best}},
                           .block_count = 4,
                           .state = &trainer->state,
                           .identity = trainer->identity};
}

/* The clock is stopped for the moment: its reading belongs to the checkpoint. */
of_status of_trainer_checkpoint(of_trainer *trainer, of_error *error) {
    of_checkpoint checkpoint = describe_checkpoint(trainer);
    trainer->state.figures.seconds = of_trainer_seconds(trainer);
    trainer->started = trainer->checkpointed = of_seconds();
    of_status status = of_trainer_collect_moments(trainer, error);
    if (status != OF_OK) /* others may still be at it: no further message, the ranks are ended */
        return status;
    if (of_trainer_is_first(trainer))
        status = of_checkpoint_write(trainer->checkpoint_path, &checkpoint, error);
    of_trainer_release_moments(trainer);
    return of_communicator_agree(trainer->options.communicator, status, error);
}

/* No run gets as far as 2^53; beyond, sums of counters could overflow. */
static of_status check_state(const of_trainer *trainer, of_error *error) {
    const of_train_counters *counters = &trainer->state.counters;
    const of_train_figures *figures = &trainer->state.figures;
    uint64_t numbers[OF_TRAIN_COUNTERS];
    bool plausible = isfinite(figures->seconds) && figures->seconds >= 0 &&
                     (counters->has_best == 0 || isfinite(figures->best_criterion));
    memcpy(numbers, counters, sizeof numbers);
    for (size_t i = 0; i < OF_TRAIN_COUNTERS; i++)
        plausible = plausible && numbers[i] <= (uint64_t)1 << 53;
    return plausible ? OF_OK
                     : of_fail(error, OF_ERROR_FORMAT,
                               "%s: its counters or figures are none of a run: it is damaged",
                               trainer->checkpoint_path);
}

of_status of_trainer_resume(of_trainer *trainer, of_error *error) {
    of_checkpoint checkpoint = describe_checkpoint(trainer);
    of_status status = of_checkpoint_read(trainer->checkpoint_path, &checkpoint, error);
    return status == OF_OK ? check_state(trainer, error) : status;
}

const unsigned char *of_trainer_weights(const of_trainer *trainer) {
    return trainer->optimizer.average != NULL ? (const unsigned char *)trainer->optimizer.average
                                              : trainer->model->values;
}

/* ---- The weight file ---------------------------------------------------------------------- */

static bool add_figure(cJSON *object, const char *name, double value) {
    return !isfinite(value) || cJSON_AddNumberToObject(object, name, value) != NULL;
}

static bool add_text(cJSON *object, const char *name, const char *value) {
    if (value == NULL)
        return true;
    bool valid = of_utf8_valid(value, strlen(value));
    return cJSON_AddStringToObject(object, name, valid ? value : "(not UTF-8)") != NULL;
}

static bool add_classes(cJSON *object, const of_dataset *data) {
    cJSON *array = cJSON_AddArrayToObject(object, "classes");
    bool complete = array != NULL;
    for (size_t i = 0; complete && i < data->class_count; i++) {
        const char *name = data->class_names[i];
        bool valid = name != NULL && of_utf8_valid(name, strlen(name));
        complete = cJSON_AddItemToArray(array, cJSON_CreateString(valid ? name : ""));
    }
    return complete;
}

/* One source as "source", several as "sources". */
static bool describe_sources(cJSON *set, const of_source_list *sources) {
    if (sources->count == 1)
        return add_text(set, "source", sources->items[0]);
    cJSON *array = cJSON_AddArrayToObject(set, "sources");
    bool complete = array != NULL;
    for (size_t i = 0; complete && i < sources->count; i++) {
        cJSON *source = cJSON_CreateObject();
        complete = cJSON_AddItemToArray(array, source) &&
                   add_text(source, "source", sources->items[i]) &&
                   (sources->shares == NULL || add_figure(source, "share", sources->shares[i]));
    }
    return complete;
}

static bool describe_set(cJSON *object, const char *name, const of_source_list *sources,
                         const of_dataset *data) {
    char text[32];
    if (sources->count == 0)
        return true;
    cJSON *set = cJSON_AddObjectToObject(object, name);
    (void)snprintf(text, sizeof text, "%016" PRIx64, data->fingerprint);
    return set != NULL && describe_sources(set, sources) &&
           add_figure(set, "images", (double)data->count) && add_text(set, "fingerprint", text);
}

static bool describe_settings(cJSON *object, const char *identity) {
    cJSON *settings = cJSON_AddObjectToObject(object, "settings");
    bool complete = settings != NULL;
    while (complete && *identity != '\0') {
        char line[256];
        size_t length = strcspn(identity, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)length, identity);
        char *equals = strchr(line, '=');
        if (equals != NULL) {
            *equals = '\0';
            complete = cJSON_AddStringToObject(settings, line, equals + 1) != NULL;
        }
        identity += length + (identity[length] == '\n');
    }
    return complete;
}

static bool describe_run(const of_trainer *trainer, cJSON *object) {
    const of_trainer_settings *options = &trainer->options;
    const of_train_counters *counters = &trainer->state.counters;
    const of_train_figures *figures = &trainer->state.figures;
    bool best = trainer->best != NULL && counters->has_best != 0;
    bool complete =
        add_text(object, "outflow", of_version()) && add_text(object, "command", options->record) &&
        add_text(object, "init", options->init_name) &&
        describe_set(object, "data", &options->data, &trainer->data) &&
        describe_set(object, "general_data", &options->general_data, &trainer->general_data) &&
        add_text(object, "general_model", options->general_model) &&
        add_figure(object, "seed", (double)options->seed) &&
        add_figure(object, "images_seen", (double)counters->images) &&
        add_figure(object, "steps", (double)counters->step) &&
        add_figure(object, "skipped", (double)counters->skipped) &&
        add_figure(object, "seconds", of_trainer_seconds(trainer)) &&
        add_figure(object, "bits_per_dim", figures->last_bits) &&
        describe_settings(object, trainer->identity);
    if (complete && counters->validations > 0)
        complete = add_figure(object, "valid_bits_per_dim",
                              best ? figures->best_bits : figures->valid_bits);
    if (complete && options->architecture.classes > 0)
        complete = add_classes(object, &trainer->data);
    return complete;
}

static of_status describe_output(of_trainer *trainer, of_error *error) {
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;
    if (object != NULL && describe_run(trainer, object))
        text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (text == NULL)
        return of_fail_memory(error, "the description of a run");
    of_status status = of_model_set_metadata(trainer->output, "training", text, error);
    free(text);
    return status;
}

/* A block of trained values may hold anything where parameters are fixed. */
static void fill_output(of_trainer *trainer, const unsigned char *weights) {
    of_model *output = trainer->output;
    if (output == trainer->model)
        return;
    for (size_t i = 0; i < output->parameter_count; i++) {
        const of_parameter *parameter = &output->parameters[i];
        if (parameter->kind == OF_PARAMETER_TRAINED)
            memcpy(output->values + parameter->offset, weights + parameter->offset,
                   parameter->count * sizeof(float));
    }
}

of_status of_trainer_save(of_trainer *trainer, of_error *error) {
    bool best = trainer->best != NULL && trainer->state.counters.has_best != 0;
    fill_output(trainer, best ? (const unsigned char *)trainer->best : of_trainer_weights(trainer));
    of_status status = describe_output(trainer, error);
    if (status == OF_OK && of_trainer_is_first(trainer))
        status = of_model_save(trainer->output, trainer->options.out, error);
    return of_communicator_agree(trainer->options.communicator, status, error);
}

/* ---- Validation --------------------------------------------------------------------------- */

/* With an outlier loss likelihood is given up for separation: what counts then is how well the
 * ratio separates. */
static double criterion_of(const of_trainer *trainer, const of_valid_report *report) {
    double sum = 0;
    if (trainer->options.outlier_loss == OF_OUTLIER_NONE || report->out_of_count == 0)
        return -report->bits_per_dim;
    for (size_t i = 0; i < report->out_of_count; i++)
        sum +=
            trainer->general != NULL ? report->out_of[i].auroc_ratio : report->out_of[i].auroc_nll;
    return sum / (double)report->out_of_count;
}

static void judge(of_trainer *trainer, of_valid_report *report) {
    of_train_counters *counters = &trainer->state.counters;
    of_train_figures *figures = &trainer->state.figures;
    double criterion = criterion_of(trainer, report);
    /* bits/dim are those of finite images: without the worst ones they would look better */
    report->best = isfinite(criterion) && report->valid_non_finite == 0 &&
                   (counters->has_best == 0 || criterion > figures->best_criterion);
    counters->since_best = report->best ? 0 : counters->since_best + 1;
    counters->validations++;
    counters->validated_at = counters->images;
    figures->valid_bits = report->bits_per_dim;
    report->since_best = counters->since_best;
    if (!report->best)
        return;
    counters->has_best = 1;
    figures->best_criterion = criterion;
    figures->best_bits = report->bits_per_dim;
    if (trainer->best != NULL)
        memcpy(trainer->best, of_trainer_weights(trainer), trainer->model->value_bytes);
}

static of_status validate_output(of_trainer *trainer, of_valid_report *report, bool *interrupted,
                                 of_error *error) {
    of_plan_options wish = of_plan_options_default();
    of_plan *plan = NULL;
    of_session *session = NULL;
    wish.threads = trainer->options.threads;
    wish.isa = trainer->options.isa;
    wish.latency = false; /* batches have images for all threads */
    of_status status = of_plan_compile(trainer->output, &wish, &plan, error);
    if (status == OF_OK)
        status = of_session_create(plan, 0, &session, error);
    if (status == OF_OK)
        status = of_validation_run(&trainer->validation, session, trainer->observer, report,
                                   interrupted, error);
    of_session_free(session);
    of_plan_free(plan);
    return status;
}

/* Averaged weights need a plan of their own. */
static of_status validate_weights(of_trainer *trainer, of_valid_report *report, bool *interrupted,
                                  of_error *error) {
    if (trainer->optimizer.average == NULL)
        return of_validation_run(&trainer->validation, of_training_session(trainer->plan),
                                 trainer->observer, report, interrupted, error);
    fill_output(trainer, of_trainer_weights(trainer));
    return validate_output(trainer, report, interrupted, error);
}

of_status of_trainer_validate(of_trainer *trainer, of_valid_report *report, bool *interrupted,
                              of_error *error) {
    of_train_counters *counters = &trainer->state.counters;
    of_status status = validate_weights(trainer, report, interrupted, error);
    if (status != OF_OK || *interrupted)
        return status;
    judge(trainer, report);
    uint64_t every = trainer->options.valid_every;
    if (counters->next_validation <= counters->images)
        counters->next_validation +=
            ((counters->images - counters->next_validation) / every + 1) * every;
    return report->best && trainer->best != NULL ? of_trainer_save(trainer, error) : OF_OK;
}
