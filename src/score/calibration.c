/* SPDX-License-Identifier: Apache-2.0 */
/* A calibration in use: values, p-values, and whether it belongs to the models at hand. */
#include "score/calibration.h"

#include "core/error.h"
#include "score/score_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static const char metadata_key[] = "calibration";

/* Sums do not depend on the order; the multiplication keeps two alike from cancelling. */
uint64_t of_ensemble_fingerprint(const of_model *const *members, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (of_model_fingerprint(members[i]) | 1) * 0x9e3779b97f4a7c15u;
    return sum;
}

static const of_conformal *find_table(const of_calibration *calibration, of_score score) {
    for (size_t i = 0; i < calibration->score_count; i++) {
        of_score known = calibration->scores[i].score;
        if (known.kind == score.kind && known.scale == score.scale)
            return &calibration->scores[i].table;
    }
    return NULL;
}

/* ---- Does it belong to these models? ------------------------------------------------------ */

static of_status check_general(const of_calibration *calibration, const char *name, uint64_t given,
                               of_error *error) {
    if (given == calibration->general)
        return OF_OK;
    if (given == 0)
        return of_fail_setting(error, OF_ERROR_MISMATCH, "general_model",
                               "score '%s': the model was calibrated together with a general model "
                               "(%016" PRIx64 "): give it, or calibrate again without one",
                               name, calibration->general);
    if (calibration->general == 0)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "score '%s': the model was calibrated without a general model: calibrate "
                       "again with this one",
                       name);
    return of_fail_setting(
        error, OF_ERROR_MISMATCH, "general_model",
        "score '%s': the model was calibrated with another general model (%016" PRIx64
        ", not %016" PRIx64 "): give that one, or calibrate again with this one",
        name, calibration->general, given);
}

of_status of_calibration_check(const of_calibration *calibration, of_score score, uint64_t general,
                               uint64_t members, of_error *error) {
    char name[32];
    if (calibration == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_calibration_check: a calibration is needed");
    of_score_name(score, name, sizeof name);
    bool uses_general = of_score_needs_general(score) ||
                        (score.kind == OF_SCORE_COMBINED && calibration->general != 0);
    of_status status = uses_general ? check_general(calibration, name, general, error) : OF_OK;
    if (status != OF_OK)
        return status;
    if (score.kind == OF_SCORE_ENSEMBLE && members != calibration->members)
        return of_fail_setting(
            error, OF_ERROR_MISMATCH, "ensemble",
            "score 'ensemble': the model was calibrated %s: calibrate again with this "
            "ensemble",
            calibration->members == 0 ? "without an ensemble" : "with another ensemble");
    if (find_table(calibration, score) == NULL)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "score '%s' was not calibrated: calibrate the model again for it", name);
    return OF_OK;
}

of_status of_calibration_check_rate(const of_calibration *calibration, of_score score, double rate,
                                    of_error *error) {
    if (calibration == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibration_check_rate: a calibration is needed");
    const of_conformal *table = find_table(calibration, score);
    char name[32];
    of_score_name(score, name, sizeof name);
    if (!(rate > 0 && rate < 1))
        return of_fail(error, OF_ERROR_ARGUMENT, "a false-positive rate lies between 0 and 1");
    if (table == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "score '%s' was not calibrated", name);
    if ((1 + (double)table->non_finite) / ((double)table->images + 1) <= rate)
        return OF_OK;
    double share = (of_score_needs(score) & OF_NEEDS_CALIBRATION) != 0 ? 2 : 1;
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "a false-positive rate of %g is below 1/(n + 1) with the n = %" PRIu64
                   " calibration scores of '%s': it takes at least %.0f calibration images, and "
                   "there are %" PRIu64,
                   rate, table->images, name, share * ceil(1 / rate - 1), calibration->images);
}

/* ---- Values ------------------------------------------------------------------------------- */

double of_calibrated_value(const of_calibration *calibration, of_score score,
                           const of_image_likelihood *image) {
    const of_architecture *architecture = &calibration->architecture;
    const of_score_row *row = of_score_row_of(score.kind);
    double statistics[OF_STATISTICS_MOST];
    if (row == NULL || row->fitted == NULL)
        return of_score_value(score, architecture, image);
    bool complete = of_statistics_fill(&calibration->layout, image, statistics);
    const of_score complexity = {OF_SCORE_COMPLEXITY, 0}, ratio = {OF_SCORE_RATIO, 0};
    const of_fitted_input input = {
        .statistics = complete ? statistics : NULL,
        .nll = of_nll(architecture, image->logp),
        .complexity = of_score_value(complexity, architecture, image),
        .ratio = of_score_value(ratio, architecture, image),
    };
    return row->fitted(calibration, &input);
}

double of_calibration_p_value(const of_calibration *calibration, of_score score, double value) {
    const of_conformal *table = find_table(calibration, score);
    return table != NULL ? of_conformal_p_value(table, value) : (double)NAN;
}

double of_calibration_threshold(const of_calibration *calibration, of_score score, double rate) {
    const of_conformal *table = find_table(calibration, score);
    return table != NULL ? of_conformal_threshold(table, rate) : (double)NAN;
}

/* ---- In a model --------------------------------------------------------------------------- */

of_status of_calibration_read(const of_model *model, of_calibration **calibration,
                              of_error *error) {
    if (model == NULL || calibration == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibration_read: a required argument is NULL");
    const char *text = of_model_metadata(model, metadata_key);
    *calibration = NULL;
    if (text == NULL)
        return OF_OK;
    of_calibration *read;
    of_status status = of_calibration_parse(text, of_model_architecture(model), &read, error);
    if (status != OF_OK)
        return status;
    if (read->model != of_model_fingerprint(model)) {
        of_calibration_free(read);
        return of_fail(error, OF_ERROR_MISMATCH,
                       "the calibration was made with other weights than the file has now: "
                       "calibrate again");
    }
    *calibration = read;
    return OF_OK;
}

of_status of_calibration_attach(const of_calibration *calibration, of_model *model,
                                of_error *error) {
    if (calibration == NULL || model == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibration_attach: a required argument is NULL");
    if (calibration->model != of_model_fingerprint(model))
        return of_fail(error, OF_ERROR_MISMATCH,
                       "the calibration was made with other weights than the model has");
    char *text = of_calibration_print(calibration);
    if (text == NULL)
        return of_fail_memory(error, "the text of a calibration");
    of_status status = of_model_set_metadata(model, metadata_key, text, error);
    free(text);
    return status;
}
