/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/scoring.h"

#include "core/error.h"

#include <stdio.h>
#include <string.h>

/* `what` ends with its verb: "p-values need". */
static of_status fail_uncalibrated(const of_engine *engine, const char *what, of_error *error) {
    const char *model = engine->settings->model;
    if (engine->calibration_problem[0] != '\0')
        return of_fail(error, OF_ERROR_MISMATCH, "%.300s: %.400s", model,
                       engine->calibration_problem);
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "%s a calibration, and %.300s has none: run 'outflow calibrate --model FILE "
                   "--data SRC' with in-distribution images",
                   what, model);
}

static of_status check_models(const of_engine *engine, of_score score, const char *name,
                              of_error *error) {
    unsigned needs = of_score_needs(score);
    if ((needs & OF_NEEDS_GENERAL) != 0 && engine->general == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' compares with a general model: give --general-model", name);
    if ((needs & OF_NEEDS_CLASSES) != 0 && engine->architecture.classes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' is for class-conditional models, and %.300s has no classes",
                       name, engine->settings->model);
    if ((needs & OF_NEEDS_ENSEMBLE) != 0 && engine->member_count == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' needs further models of the same data: give --ensemble", name);
    if ((needs & OF_NEEDS_WEBP) != 0 && !of_has_webp())
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "score '%s': this build has no WebP coder: use complexity", name);
    if (score.kind == OF_SCORE_RATIO_LAST && !engine->comparable_scales)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "score 'ratio-last' needs models with the same number of scales");
    return OF_OK;
}

/* The library knows the general model that is wanted by its fingerprint only. */
static of_status name_general(const of_engine *engine, of_status status, of_error *error) {
    uint64_t wanted = of_calibration_describe(engine->calibration).general;
    char name[128];
    if (status == OF_OK || error == NULL || wanted == 0 || wanted == engine->general_fingerprint ||
        !of_model_with_fingerprint(wanted, name, sizeof name))
        return status;
    size_t used = strlen(error->message);
    (void)snprintf(error->message + used, sizeof error->message - used,
                   " (it is installed: --general-model %s)", name);
    error->setting[0] = '\0';
    return status;
}

static of_status check_calibration(const of_engine *engine, of_score score, of_error *error) {
    of_status status = of_calibration_check(engine->calibration, score, engine->general_fingerprint,
                                            engine->members_fingerprint, error);
    return name_general(engine, status, error);
}

of_status of_scoring_check(const of_engine *engine, of_score score, of_error *error) {
    char name[32];
    of_score_name(score, name, sizeof name);
    of_status status = check_models(engine, score, name, error);
    if (status != OF_OK || (of_score_needs(score) & OF_NEEDS_CALIBRATION) == 0)
        return status;
    if (engine->calibration == NULL)
        return fail_uncalibrated(engine,
                                 score.kind == OF_SCORE_COMBINED ? "score 'combined' needs"
                                                                 : "score 'typicality' needs",
                                 error);
    return score.kind == OF_SCORE_COMBINED ? check_calibration(engine, score, error) : OF_OK;
}

of_status of_scoring_check_p_value(const of_engine *engine, of_score score, of_error *error) {
    of_status status = of_scoring_check(engine, score, error);
    if (status != OF_OK)
        return status;
    if (engine->calibration == NULL)
        return fail_uncalibrated(engine, "p-values need", error);
    return check_calibration(engine, score, error);
}

size_t of_scoring_list(const of_engine *engine, of_score scores[OF_SCORES_MOST]) {
    static const of_score_kind kinds[] = {
        OF_SCORE_NLL,        OF_SCORE_LAST,       OF_SCORE_SCALE,      OF_SCORE_RATIO,
        OF_SCORE_RATIO_LAST, OF_SCORE_CLASS,      OF_SCORE_COMPLEXITY, OF_SCORE_COMPLEXITY_WEBP,
        OF_SCORE_ENSEMBLE,   OF_SCORE_TYPICALITY, OF_SCORE_COMBINED};
    size_t count = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint32_t scales =
            kinds[i] == OF_SCORE_SCALE ? of_architecture_scale_count(&engine->architecture) : 1;
        if (kinds[i] == OF_SCORE_COMPLEXITY_WEBP && !engine->settings->webp)
            continue;
        for (uint32_t scale = 0; scale < scales; scale++) {
            of_score score = {kinds[i], scale};
            if (of_scoring_check(engine, score, NULL) == OF_OK)
                scores[count++] = score;
        }
    }
    return count;
}

double of_scoring_value(const of_engine *engine, of_score score, const of_image_likelihood *image) {
    return engine->calibration != NULL ? of_calibrated_value(engine->calibration, score, image)
                                       : of_score_value(score, &engine->architecture, image);
}
