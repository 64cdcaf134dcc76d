/* SPDX-License-Identifier: Apache-2.0 */
/* A detector from its models: loading, compiling, and whether they fit each other. */
#define _POSIX_C_SOURCE 200809L
#include "detect/detector.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "detect/losses.h"
#include "model/model.h"
#include "model/named.h"
#include "ranks/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

of_detector_options of_detector_options_default(void) {
    return (of_detector_options){
        .size = sizeof(of_detector_options), .latency = true, .find_general = true};
}

of_detector_models of_detector_models_default(void) {
    return (of_detector_models){.size = sizeof(of_detector_models)};
}

/* ---- Loading ------------------------------------------------------------------------------- */

/* Models that are given up again once they are compiled. */
typedef struct loaded_models {
    of_model *models[OF_PLACES];
} loaded_models;

static of_status load(of_detector *detector, size_t place, const char *name, loaded_models *loaded,
                      of_error *error) {
    char path[OF_MODEL_PATH_SIZE];
    of_status status = of_model_locate(name, path, sizeof path, error);
    if (status == OF_OK) {
        detector->identities[place] = of_file_identify(path); /* before it is read, not after */
        status = of_model_load(path, &loaded->models[place], error);
    }
    if (status != OF_OK)
        return status;
    detector->files[place] = strdup(path);
    return detector->files[place] != NULL ? OF_OK : of_fail_memory(error, "a file name");
}

/* The general model that the file of the model brings along, if it does. */
static of_status load_bundled(of_detector *detector, loaded_models *loaded, of_error *error) {
    const char *file = detector->files[OF_PLACE_MODEL];
    of_status status = of_model_load_general(file, &loaded->models[OF_PLACE_GENERAL], error);
    if (status != OF_OK || loaded->models[OF_PLACE_GENERAL] == NULL)
        return status;
    detector->identities[OF_PLACE_GENERAL] = detector->identities[OF_PLACE_MODEL];
    detector->files[OF_PLACE_GENERAL] = strdup(file);
    return detector->files[OF_PLACE_GENERAL] != NULL ? OF_OK : of_fail_memory(error, "a file name");
}

/* The fingerprint of the general model that the model was calibrated with; 0: none. */
static uint64_t calibrated_general(const of_model *model) {
    of_calibration *calibration = NULL;
    if (of_calibration_read(model, &calibration, NULL) != OF_OK || calibration == NULL)
        return 0;
    uint64_t general = of_calibration_describe(calibration).general;
    of_calibration_free(calibration);
    return general;
}

/* One that is not installed is missed only by the scores that need it. */
static of_status load_installed(of_detector *detector, loaded_models *loaded, of_error *error) {
    char name[OF_MODEL_NAME_SIZE];
    uint64_t wanted = calibrated_general(loaded->models[OF_PLACE_MODEL]);
    if (wanted == 0 || !of_model_with_fingerprint(wanted, name, sizeof name))
        return OF_OK;
    detector->general_found = true;
    return load(detector, OF_PLACE_GENERAL, name, loaded, error);
}

static of_status load_general(of_detector *detector, const of_detector_options *options,
                              loaded_models *loaded, of_error *error) {
    if (options->general_model != NULL)
        return load(detector, OF_PLACE_GENERAL, options->general_model, loaded, error);
    of_status status = load_bundled(detector, loaded, error);
    return status == OF_OK && loaded->models[OF_PLACE_GENERAL] == NULL && options->find_general
               ? load_installed(detector, loaded, error)
               : status;
}

static of_status load_all(of_detector *detector, const of_detector_options *options,
                          loaded_models *loaded, of_error *error) {
    if (options->model == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "model", "a detector needs a model");
    of_status status = load(detector, OF_PLACE_MODEL, options->model, loaded, error);
    if (status == OF_OK)
        status = load_general(detector, options, loaded, error);
    for (size_t i = 0; status == OF_OK && i < options->ensemble_count; i++)
        status = load(detector, OF_PLACE_ENSEMBLE + i, options->ensemble[i], loaded, error);
    return status;
}

static void free_loaded(loaded_models *loaded) {
    for (size_t i = 0; i < OF_PLACES; i++)
        of_model_free(loaded->models[i]);
}

/* ---- Compiling ----------------------------------------------------------------------------- */

static const char *role_of(size_t place) {
    return place == OF_PLACE_GENERAL ? "the general model" : "a model of the ensemble";
}

/* `ensemble` compares densities of the same values. */
static of_status check_bin(const of_architecture *own, const of_architecture *member,
                           of_error *error) {
    if (own->input.bin == member->input.bin)
        return OF_OK;
    return of_fail(error, OF_ERROR_MISMATCH,
                   "the model's input.bin is %g, that of a model of the ensemble %g: use models of "
                   "the same input",
                   own->input.bin, member->input.bin);
}

static of_status check_sizes(const of_model *const models[OF_PLACES], of_error *error) {
    const of_architecture *own = of_model_architecture(models[OF_PLACE_MODEL]);
    of_status status = OF_OK;
    for (size_t i = OF_PLACE_GENERAL; status == OF_OK && i < OF_PLACES; i++) {
        if (models[i] == NULL)
            continue;
        const of_architecture *other = of_model_architecture(models[i]);
        status = of_architecture_check_images(own, other, role_of(i), error);
        if (status == OF_OK && i != OF_PLACE_GENERAL)
            status = check_bin(own, other, error);
    }
    return status;
}

static of_plan_options plan_options(const of_detector_options *options) {
    of_plan_options plan = of_plan_options_default();
    plan.threads = options->threads > 0 ? options->threads : of_ranks_threads(options->ranks);
    plan.isa = options->isa;
    plan.precision = options->precision;
    plan.micro_batch = options->micro_batch;
    plan.latency = options->latency;
    return plan;
}

static of_status compile_all(of_detector *detector, const of_model *const models[OF_PLACES],
                             const of_detector_options *options, of_error *error) {
    const of_plan_options plan = plan_options(options);
    of_status status = check_sizes(models, error);
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++) {
        if (models[i] == NULL)
            continue;
        status = of_plan_compile(models[i], &plan, &detector->plans[i], error);
        detector->models[i] = (of_detector_model){
            .file = detector->files[i] != NULL ? detector->files[i] : "",
            .architecture = *of_model_architecture(models[i]),
            .fingerprint = of_model_fingerprint(models[i]),
        };
    }
    return status;
}

/* ---- Calibration --------------------------------------------------------------------------- */

/* A file may say anything: contributions are read by its number of scales. */
static bool contradicts_general(const of_detector *detector) {
    of_calibration_info info = of_calibration_describe(detector->calibration);
    const of_detector_model *general = &detector->models[OF_PLACE_GENERAL];
    return detector->has_general && info.general == general->fingerprint &&
           info.general_scales != of_architecture_scale_count(&general->architecture);
}

static void read_calibration(of_detector *detector, const of_model *model) {
    of_error error;
    if (of_calibration_read(model, &detector->calibration, &error) != OF_OK)
        (void)snprintf(detector->calibration_problem, sizeof detector->calibration_problem,
                       "%.400s", error.message);
    if (detector->calibration == NULL || !contradicts_general(detector))
        return;
    (void)snprintf(detector->calibration_problem, sizeof detector->calibration_problem,
                   "calibration: does not fit the general model it names: calibrate again");
    of_calibration_free(detector->calibration);
    detector->calibration = NULL;
}

static of_status copy_training(of_detector *detector, const of_model *model, of_error *error) {
    const char *training = of_model_metadata(model, "training");
    detector->training = training != NULL ? strdup(training) : NULL;
    return training == NULL || detector->training != NULL
               ? OF_OK
               : of_fail_memory(error, "the record of a training");
}

/* What scores lose in integers, if it was measured with these models. */
static void read_losses(of_detector *detector, const of_model *const models[OF_PLACES],
                        const of_detector_options *options) {
    const of_model *model = models[OF_PLACE_MODEL], *general = models[OF_PLACE_GENERAL];
    const of_losses_models used = {
        .model = detector->models[OF_PLACE_MODEL].fingerprint,
        .general = general != NULL ? detector->models[OF_PLACE_GENERAL].fingerprint : 0,
        .own_ranges = of_model_metadata(model, "quantization"),
        .ranges = general != NULL ? of_model_metadata(general, "quantization") : NULL};
    detector->lossy_scores = options->lossy_scores;
    detector->in_integers =
        of_plan_describe(detector->plans[OF_PLACE_MODEL]).precision == OF_PRECISION_INT8;
    of_losses_read(model, &used, &detector->losses);
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* Of a batch's images, where a micro-batch for every thread does not take more. */
static const size_t BATCH_BYTES = (size_t)256 << 20;

/* Keeps every thread of the plan busy while the next batch is decoded. */
static size_t choose_batch(const of_plan *plan) {
    of_plan_info info = of_plan_describe(plan);
    size_t round = (size_t)info.threads * info.micro_batch; /* one micro-batch a thread */
    size_t image = of_architecture_dimensions(of_plan_architecture(plan));
    size_t most = BATCH_BYTES / (image > 0 ? image : 1);
    return of_round_up(most < 64 ? most + 1 : 64, round > 0 ? round : 1);
}

/* As it is asked for, else as the pictures of the calibration were cut. */
static of_status choose_tiling(of_detector *detector, const of_detector_options *options,
                               of_error *error) {
    if (options->whole)
        return OF_OK;
    if (options->tiles.size == 0 && options->tiles.stride == 0) {
        if (detector->calibration != NULL)
            detector->tiling = of_calibration_describe(detector->calibration).tiling;
        return OF_OK;
    }
    of_tiling asked = options->tiles;
    if (asked.stride == 0)
        asked.stride = asked.size > 1 ? asked.size / 2 : 1;
    detector->tiling = asked;
    return of_tiling_check(&asked, error);
}

static of_status build(of_detector *detector, const of_model *const models[OF_PLACES],
                       const of_detector_options *options, of_error *error) {
    detector->webp = options->webp;
    detector->ranks = options->ranks;
    detector->has_general = models[OF_PLACE_GENERAL] != NULL;
    of_status status = compile_all(detector, models, options, error);
    if (status == OF_OK)
        status = of_runner_pool_create(&detector->pool, error);
    if (status == OF_OK)
        status = copy_training(detector, models[OF_PLACE_MODEL], error);
    if (status != OF_OK)
        return status;
    detector->members_fingerprint =
        of_ensemble_fingerprint(models + OF_PLACE_ENSEMBLE, detector->ensemble_count);
    detector->batch = choose_batch(detector->plans[OF_PLACE_MODEL]);
    read_calibration(detector, models[OF_PLACE_MODEL]);
    read_losses(detector, models, options);
    of_judging_read(models[OF_PLACE_MODEL], detector->has_general, &detector->judging);
    return choose_tiling(detector, options, error);
}

static of_status check_ensemble(size_t count, const void *list, of_error *error) {
    if (count > OF_ENSEMBLE_MOST)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "ensemble",
                               "an ensemble has at most %d models", OF_ENSEMBLE_MOST + 1);
    return count == 0 || list != NULL
               ? OF_OK
               : of_fail_setting(error, OF_ERROR_ARGUMENT, "ensemble",
                                 "the list of the ensemble's models is NULL");
}

/* The ranks have the same models and kernels, or none goes on. */
static of_status agree(const of_detector *detector, of_status status, of_error *error) {
    status = of_ranks_agree(detector->ranks, status, error);
    return status == OF_OK
               ? of_ranks_compare_kernels(detector->ranks, detector->plans[OF_PLACE_MODEL], error)
               : status;
}

of_status of_detector_open(const of_detector_options *options, of_detector **detector,
                           of_error *error) {
    of_detector_options own = of_detector_options_default();
    loaded_models loaded = {.models = {NULL}};
    of_status status =
        of_options_read(&own, sizeof own, offsetof(of_detector_options, find_general), options,
                        "of_detector_options", error);
    if (status == OF_OK && detector == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "of_detector_open: no place for the detector");
    if (status == OF_OK)
        status = check_ensemble(own.ensemble_count, own.ensemble, error);
    if (status != OF_OK)
        return status;
    of_detector *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "a detector");
    made->ranks = own.ranks;
    made->ensemble_count = own.ensemble_count;
    status = load_all(made, &own, &loaded, error);
    if (status == OF_OK)
        status = build(made, (const of_model *const *)loaded.models, &own, error);
    status = agree(made, status, error);
    free_loaded(&loaded);
    if (status == OF_OK)
        *detector = made;
    else
        of_detector_free(made);
    return status;
}

static of_status take_name(of_detector *detector, size_t place, const char *name, of_error *error) {
    if (name == NULL || detector->given[place] == NULL)
        return OF_OK;
    detector->files[place] = strdup(name);
    return detector->files[place] != NULL ? OF_OK : of_fail_memory(error, "a file name");
}

/* Names of models that are in memory: only what they are called. */
static of_status take_names(const of_detector_options *options, of_detector *detector,
                            of_error *error) {
    of_status status = take_name(detector, OF_PLACE_MODEL, options->model, error);
    if (status == OF_OK)
        status = take_name(detector, OF_PLACE_GENERAL, options->general_model, error);
    for (size_t i = 0; status == OF_OK && options->ensemble != NULL &&
                       i < detector->ensemble_count && i < options->ensemble_count;
         i++)
        status = take_name(detector, OF_PLACE_ENSEMBLE + i, options->ensemble[i], error);
    return status;
}

static of_status take_models(const of_detector_models *given, of_detector *detector,
                             of_error *error) {
    of_detector_models own = of_detector_models_default();
    of_status status =
        of_options_read(&own, sizeof own, sizeof own, given, "of_detector_models", error);
    if (status == OF_OK && own.model == NULL)
        status = of_fail_setting(error, OF_ERROR_ARGUMENT, "model", "a detector needs a model");
    if (status == OF_OK)
        status = check_ensemble(own.ensemble_count, own.ensemble, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < own.ensemble_count; i++)
        if (own.ensemble[i] == NULL)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, "ensemble",
                                   "model %zu of the ensemble is NULL", i + 1);
    detector->given[OF_PLACE_MODEL] = own.model;
    detector->given[OF_PLACE_GENERAL] = own.general_model;
    detector->ensemble_count = own.ensemble_count;
    for (size_t i = 0; i < own.ensemble_count; i++)
        detector->given[OF_PLACE_ENSEMBLE + i] = own.ensemble[i];
    return OF_OK;
}

of_status of_detector_create(const of_detector_models *models, const of_detector_options *options,
                             of_detector **detector, of_error *error) {
    of_detector_options own = of_detector_options_default();
    of_status status =
        of_options_read(&own, sizeof own, offsetof(of_detector_options, find_general), options,
                        "of_detector_options", error);
    if (status == OF_OK && detector == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "of_detector_create: no place for the detector");
    if (status != OF_OK)
        return status;
    of_detector *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "a detector");
    made->ranks = own.ranks;
    status = take_models(models, made, error);
    if (status == OF_OK)
        status = take_names(&own, made, error);
    if (status == OF_OK)
        status = build(made, made->given, &own, error);
    status = agree(made, status, error);
    if (status == OF_OK)
        *detector = made;
    else
        of_detector_free(made);
    return status;
}

void of_detector_free(of_detector *detector) {
    if (detector == NULL)
        return;
    of_runner_pool_free(detector->pool);
    for (size_t i = 0; i < OF_PLACES; i++) {
        of_plan_free(detector->plans[i]);
        free(detector->files[i]);
        free(detector->quantizations[i]);
    }
    free(detector->losses_text);
    free(detector->training);
    of_calibration_free(detector->calibration);
    free(detector);
}

/* ---- What it is made of --------------------------------------------------------------------- */

of_detector_info of_detector_describe(const of_detector *detector) {
    return (of_detector_info){
        .model = &detector->models[OF_PLACE_MODEL],
        .general_model = detector->has_general ? &detector->models[OF_PLACE_GENERAL] : NULL,
        .ensemble = &detector->models[OF_PLACE_ENSEMBLE],
        .ensemble_count = detector->ensemble_count,
        .plan = of_plan_describe(detector->plans[OF_PLACE_MODEL]),
        .calibration = detector->calibration,
        .calibration_problem = detector->calibration_problem,
        .general_found = detector->general_found,
        .rate = detector->judging.given ? detector->judging.rate : 0,
    };
}

of_tiling of_detector_tiling(const of_detector *detector) {
    return detector->tiling;
}

const of_architecture *of_detector_architecture(const of_detector *detector) {
    return &detector->models[OF_PLACE_MODEL].architecture;
}

uint64_t of_detector_general_fingerprint(const of_detector *detector) {
    return detector->has_general ? detector->models[OF_PLACE_GENERAL].fingerprint : 0;
}

bool of_detector_same_scales(const of_detector *detector) {
    return detector->has_general &&
           of_architecture_scale_count(of_detector_architecture(detector)) ==
               of_architecture_scale_count(&detector->models[OF_PLACE_GENERAL].architecture);
}
