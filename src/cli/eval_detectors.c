/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_detectors.h"

#include "cli/processes.h"

#include <stdlib.h>

/* Models, and what they are called. */
typedef struct eval_models {
    of_model *model, *general;
    of_model *members[OF_ENSEMBLE_MOST];
    size_t member_count;
} eval_models;

static of_status load_members(const of_text_list *names, eval_models *loaded, of_error *error) {
    of_status status = OF_OK;
    if (names->count > OF_ENSEMBLE_MOST)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "ensemble",
                               "an ensemble has at most %d models", OF_ENSEMBLE_MOST + 1);
    for (size_t i = 0; status == OF_OK && i < names->count; i++) {
        status = of_model_open(names->items[i], &loaded->members[i], error);
        loaded->member_count += status == OF_OK;
    }
    return status;
}

/* Without a general model of its own, that of the model's file, if it is a bundle. */
static of_status load(const of_shared_settings *settings, eval_models *loaded, of_error *error) {
    of_status status = of_model_open(settings->model, &loaded->model, error);
    if (status == OF_OK)
        status = settings->general != NULL
                     ? of_model_open(settings->general, &loaded->general, error)
                     : of_model_load_general(settings->model, &loaded->general, error);
    if (status == OF_OK)
        status = load_members(&settings->ensemble, loaded, error);
    return of_ranks_agree(of_processes_ranks(), status, error);
}

static void unload(eval_models *loaded) {
    of_model_free(loaded->model);
    of_model_free(loaded->general);
    for (size_t i = 0; i < loaded->member_count; i++)
        of_model_free(loaded->members[i]);
}

static of_status compile(const of_shared_settings *settings, const eval_models *loaded,
                         of_precision precision, of_detector **detector, of_error *error) {
    of_detector_options options = of_shared_detector_options(settings);
    const of_detector_models models = {.size = sizeof models,
                                       .model = loaded->model,
                                       .general_model = loaded->general,
                                       .ensemble = (const of_model *const *)loaded->members,
                                       .ensemble_count = loaded->member_count};
    options.precision = precision;
    if (options.general_model == NULL)
        options.general_model = options.model;
    return of_detector_create(&models, &options, detector, error);
}

static of_status open_both(const of_shared_settings *settings, of_eval_detectors *detectors,
                           of_error *error) {
    eval_models loaded = {.member_count = 0};
    const of_precision given = (of_precision)settings->precision;
    const of_precision reduced = given == OF_PRECISION_F32 ? OF_PRECISION_BF16 : given;
    of_status status = load(settings, &loaded, error);
    if (status == OF_OK)
        status = compile(settings, &loaded, reduced, &detectors->reduced, error);
    if (status == OF_OK)
        status = compile(settings, &loaded, OF_PRECISION_F32, &detectors->detector, error);
    unload(&loaded);
    return status;
}

of_status of_eval_detectors_open(const of_shared_settings *settings, bool compared,
                                 of_eval_detectors *detectors, of_error *error) {
    const of_detector_options options = of_shared_detector_options(settings);
    *detectors = (of_eval_detectors){NULL, NULL};
    of_status status = compared ? open_both(settings, detectors, error)
                                : of_detector_open(&options, &detectors->detector, error);
    if (status != OF_OK)
        of_eval_detectors_close(detectors);
    return status;
}

void of_eval_detectors_close(of_eval_detectors *detectors) {
    of_detector_free(detectors->detector);
    of_detector_free(detectors->reduced);
    *detectors = (of_eval_detectors){NULL, NULL};
}
