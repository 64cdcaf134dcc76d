/* SPDX-License-Identifier: Apache-2.0 */
/* Which scores the models at hand allow, and when an image is flagged. */
#include "core/error.h"
#include "detect/losses.h"
#include "model/named.h"
#include "score/calibration_pictures.h"
#include "score/score_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- What is there ----------------------------------------------------------------------------
 */

static const char *model_name(const of_detector *detector) {
    const char *file = detector->models[OF_PLACE_MODEL].file;
    return file[0] != '\0' ? file : "the model";
}

/* `what` ends with its verb: "p-values need". */
static of_status fail_uncalibrated(const of_detector *detector, const char *what, of_error *error) {
    if (detector->calibration_problem[0] != '\0')
        return of_fail(error, OF_ERROR_MISMATCH, "%.300s: %.400s", model_name(detector),
                       detector->calibration_problem);
    return of_fail_setting(error, OF_ERROR_ARGUMENT, "calibration",
                           "%s a calibration, and %.300s has none: calibrate it with "
                           "in-distribution images",
                           what, model_name(detector));
}

static of_status check_models(const of_detector *detector, unsigned needs, const char *name,
                              of_error *error) {
    if ((needs & OF_NEEDS_GENERAL) != 0 && !detector->has_general)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "general_model",
                               "score '%s' compares with a general model, and none is given", name);
    if ((needs & OF_NEEDS_CLASSES) != 0 && of_detector_architecture(detector)->classes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' is for class-conditional models, and %.300s has no classes",
                       name, model_name(detector));
    if ((needs & OF_NEEDS_ENSEMBLE) != 0 && detector->ensemble_count == 0)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "ensemble",
                               "score '%s' needs further models of the same data, and none is "
                               "given",
                               name);
    if ((needs & OF_NEEDS_WEBP) != 0 && !of_has_webp())
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "score '%s': this build has no WebP coder: use complexity", name);
    if ((needs & OF_NEEDS_SAME_SCALES) != 0 && !of_detector_same_scales(detector))
        return of_fail(error, OF_ERROR_MISMATCH,
                       "score '%s' needs models with the same number of scales", name);
    return OF_OK;
}

/* The calibration knows the general model that it wants by its fingerprint only. */
static void name_wanted_general(const of_detector *detector, of_error *error) {
    uint64_t wanted = of_calibration_describe(detector->calibration).general;
    char name[OF_MODEL_NAME_SIZE];
    if (error == NULL || wanted == 0 || wanted == of_detector_general_fingerprint(detector) ||
        !of_model_with_fingerprint(wanted, name, sizeof name))
        return;
    size_t used = strlen(error->message);
    (void)snprintf(error->message + used, sizeof error->message - used, " (it is installed: %s)",
                   name);
    (void)snprintf(error->setting, sizeof error->setting, "general_model");
}

static of_status check_calibration(const of_detector *detector, of_score score, of_error *error) {
    of_status status = of_calibration_check(detector->calibration, score,
                                            of_detector_general_fingerprint(detector),
                                            detector->members_fingerprint, error);
    if (status != OF_OK)
        name_wanted_general(detector, error);
    return status;
}

/* Does the model have it at all? */
static of_status check_known(const of_detector *detector, of_score score, const char *name,
                             of_error *error) {
    const of_score_row *row = of_score_row_of(score.kind);
    uint32_t scales = of_architecture_scale_count(of_detector_architecture(detector));
    if (row == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "there is no score number %d", (int)score.kind);
    if (row->per_scale && score.scale >= scales)
        return of_fail(error, OF_ERROR_ARGUMENT, "score '%s': the model has %" PRIu32 " scales",
                       name, scales);
    return OF_OK;
}

/* Is all there that it is computed from? */
static of_status check_computed(const of_detector *detector, of_score score, of_error *error) {
    char name[32], what[64];
    of_score_name(score, name, sizeof name);
    unsigned needs = of_score_needs(score);
    of_status status = check_known(detector, score, name, error);
    if (status == OF_OK)
        status = check_models(detector, needs, name, error);
    if (status != OF_OK || (needs & OF_NEEDS_CALIBRATION) == 0)
        return status;
    (void)snprintf(what, sizeof what, "score '%s' needs", name);
    if (detector->calibration == NULL)
        return fail_uncalibrated(detector, what, error);
    return score.kind == OF_SCORE_COMBINED ? check_calibration(detector, score, error) : OF_OK;
}

of_status of_detector_check_score(const of_detector *detector, of_score score, of_error *error) {
    if (detector == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "a score needs a detector");
    of_status status = check_computed(detector, score, error);
    return status == OF_OK ? of_losses_check(detector, score, error) : status;
}

static bool cuts_pictures(const of_detector *detector) {
    return detector->tiling.size > 0;
}

of_status of_detector_check_p_value(const of_detector *detector, of_score score, of_error *error) {
    of_status status = of_detector_check_score(detector, score, error);
    if (status != OF_OK)
        return status;
    if (detector->calibration == NULL)
        return fail_uncalibrated(detector, "p-values need", error);
    status = check_calibration(detector, score, error);
    return status == OF_OK && cuts_pictures(detector)
               ? of_calibration_check_tiling(detector->calibration, &detector->tiling, error)
               : status;
}

/* ---- Choosing ---------------------------------------------------------------------------------
 */

/* Those that can be computed and are kept by the precision, or are not. */
static size_t list_scores(const of_detector *detector, bool kept, of_score *scores, size_t most) {
    uint32_t scales = of_architecture_scale_count(of_detector_architecture(detector));
    size_t count = 0;
    for (size_t i = 0; i < OF_SCORE_KINDS; i++) {
        const of_score_row *row = &of_score_table[i];
        if ((row->needs & OF_NEEDS_WEBP) != 0 && !detector->webp)
            continue;
        for (uint32_t scale = 0; scale < (row->per_scale ? scales : 1); scale++) {
            of_score score = {row->kind, scale};
            if (check_computed(detector, score, NULL) != OF_OK ||
                (of_losses_check(detector, score, NULL) == OF_OK) != kept)
                continue;
            if (count < most)
                scores[count] = score;
            count++;
        }
    }
    return count;
}

size_t of_detector_scores(const of_detector *detector, of_score *scores, size_t most) {
    return list_scores(detector, true, scores, most);
}

size_t of_detector_lossy_scores(const of_detector *detector, of_score *scores, size_t most) {
    return list_scores(detector, false, scores, most);
}

/* The precision does not change what is meant: a default that it does not keep is refused. */
of_score of_detector_default_score(const of_detector *detector) {
    const of_score combined = {OF_SCORE_COMBINED, 0};
    if (detector->judging.given && check_computed(detector, detector->judging.score, NULL) == OF_OK)
        return detector->judging.score;
    if (check_computed(detector, combined, NULL) == OF_OK)
        return combined;
    return (of_score){detector->has_general ? OF_SCORE_RATIO : OF_SCORE_NLL, 0};
}

of_status of_detector_find_score(const of_detector *detector, const char *name, of_score *score,
                                 of_error *error) {
    if (detector == NULL || score == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_find_score: detector and a place for the score are needed");
    of_score found = of_detector_default_score(detector);
    of_status status = OF_OK;
    if (name != NULL)
        status = of_score_parse(name, of_detector_architecture(detector), detector->has_general,
                                &found, error);
    if (status == OF_OK)
        status = of_detector_check_score(detector, found, error);
    if (status == OF_OK)
        *score = found;
    return status;
}

/* ---- Values ------------------------------------------------------------------------------------
 */

double of_detector_value(const of_detector *detector, of_score score,
                         const of_image_likelihood *image) {
    if (image->tiles != NULL) {
        size_t i = of_tile_summary_find(image->tiles, score);
        return i < image->tiles->score_count ? image->tiles->maxima[i] : (double)NAN;
    }
    return detector->calibration != NULL
               ? of_calibrated_value(detector->calibration, score, image)
               : of_score_value(score, of_detector_architecture(detector), image);
}

double of_detector_p_value(const of_detector *detector, of_score score, double value) {
    if (of_detector_check_p_value(detector, score, NULL) != OF_OK)
        return NAN;
    return cuts_pictures(detector)
               ? of_calibration_picture_p_value(detector->calibration, score, value)
               : of_calibration_p_value(detector->calibration, score, value);
}

double of_detector_tile_p_value(const of_detector *detector, of_score score, double value) {
    return detector->calibration != NULL &&
                   of_detector_check_score(detector, score, NULL) == OF_OK &&
                   check_calibration(detector, score, NULL) == OF_OK
               ? of_calibration_p_value(detector->calibration, score, value)
               : (double)NAN;
}

double of_detector_threshold(const of_detector *detector, of_score score, double rate) {
    if (of_detector_check_p_value(detector, score, NULL) != OF_OK)
        return NAN;
    return cuts_pictures(detector)
               ? of_calibration_picture_threshold(detector->calibration, score, rate)
               : of_calibration_threshold(detector->calibration, score, rate);
}

of_status of_detector_check_rule(const of_detector *detector, const of_flag_rule *rule,
                                 of_error *error) {
    if (rule == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_detector_check_rule: a rule is needed");
    if (rule->rate == 0)
        return of_detector_check_score(detector, rule->score, error);
    of_status status = of_detector_check_p_value(detector, rule->score, error);
    if (status != OF_OK)
        return status;
    return cuts_pictures(detector)
               ? of_calibration_check_picture_rate(detector->calibration, rule->score, rule->rate,
                                                   error)
               : of_calibration_check_rate(detector->calibration, rule->score, rule->rate, error);
}

bool of_detector_flags(const of_detector *detector, const of_flag_rule *rule, double value) {
    if (rule->rate > 0)
        return of_detector_p_value(detector, rule->score, value) <= rule->rate;
    return !isfinite(value) || value >= rule->threshold;
}
