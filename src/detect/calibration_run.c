/* SPDX-License-Identifier: Apache-2.0 */
/* Calibrating a detector: in-distribution images through it, into its calibration. */
#include "core/batch_check.h"
#include "core/error.h"
#include "core/options_read.h"
#include "data/formats/reader.h"
#include "detect/batch.h"
#include "detect/calibration_tiles.h"
#include "model/json_reader.h"
#include "score/calibration.h"

#include <outflow/output.h>
#include <stdio.h>
#include <string.h>

/* ---- Training data -----------------------------------------------------------------------------
 */

static bool names(const cJSON *set, const char *source) {
    const cJSON *named = cJSON_GetObjectItemCaseSensitive(set, "source");
    return cJSON_IsString(named) && of_sources_overlap(named->valuestring, source);
}

bool of_detector_was_trained_on(const of_detector *detector, const char *source) {
    const char *training = detector->training;
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

static void warn_of_training_data(const of_detector *detector, const char *source,
                                  const of_stream_observer *observer) {
    char text[1024];
    if (observer->warn == NULL || !of_detector_was_trained_on(detector, source))
        return;
    (void)snprintf(text, sizeof text,
                   "%.600s is what the model was trained on: p-values of other images will be too "
                   "small; calibrate with held-out images",
                   source);
    of_plain_text(text); /* a source may be called anything; a warning is one line */
    observer->warn(observer->user, text);
}

/* ---- Collecting --------------------------------------------------------------------------------
 */

static unsigned needs_of(const of_detector *detector) {
    return OF_NEEDS_PNG | (detector->webp ? OF_NEEDS_WEBP : 0);
}

static of_status add_batch(void *user, const of_scored_batch *batch, of_error *error) {
    of_calibrator *calibrator = user;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(batch); i++) {
        of_image_likelihood image = of_scored_likelihood(batch, i);
        status = of_calibrator_add(calibrator, &image, error);
    }
    return status;
}

/* A calibration serves every precision, so that it holds all scores. */
static of_status check_precision(const of_detector *detector, of_error *error) {
    of_score score;
    char name[32];
    if (of_detector_lossy_scores(detector, &score, 1) == 0)
        return OF_OK;
    of_score_name(score, name, sizeof name);
    return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "lossy_scores",
                           "a calibration holds all scores, and precision int8 does not keep '%s': "
                           "calibrate in f32, which serves int8 as well, or allow lossy scores",
                           name);
}

static of_status open_calibrator(const of_detector *detector, const char *source,
                                 of_calibrator **calibrator, of_error *error) {
    const of_calibrated_models models = {
        .architecture = of_detector_architecture(detector),
        .general = detector->has_general ? &detector->models[OF_PLACE_GENERAL].architecture : NULL,
        .member_count = detector->ensemble_count,
        .model_fingerprint = detector->models[OF_PLACE_MODEL].fingerprint,
        .general_fingerprint = of_detector_general_fingerprint(detector),
        .members_fingerprint = detector->members_fingerprint,
        .webp = detector->webp,
        .source = source,
    };
    if (detector->webp && !of_has_webp())
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "webp",
                               "this build of the library has no WebP coder (libwebp)");
    of_status status = check_precision(detector, error);
    return status == OF_OK ? of_calibrator_create_for(&models, calibrator, error) : status;
}

/* The detector uses it from now on. */
static of_status adopt(of_detector *detector, of_calibrator *calibrator, of_error *error) {
    of_calibration *calibration;
    of_status status = of_calibrator_finish(calibrator, &calibration, error);
    if (status != OF_OK)
        return status;
    of_calibration_free(detector->calibration);
    detector->calibration = calibration;
    detector->calibration_problem[0] = '\0';
    return OF_OK;
}

static of_status calibrate_images(of_detector *detector, const char *source,
                                  const of_stream_options *stream, of_calibrator *calibrator,
                                  of_stream_result *result, of_error *error) {
    of_status status =
        of_detector_stream(detector, source, stream, add_batch, calibrator, result, error);
    if (status == OF_OK && result->images == 0)
        status = of_stream_fail_empty(source, result, error);
    return status == OF_OK ? adopt(detector, calibrator, error) : status;
}

of_status of_detector_calibrate(of_detector *detector, const char *source,
                                const of_stream_options *options, of_stream_result *result,
                                of_error *error) {
    of_stream_options stream = of_stream_options_default();
    of_stream_observer observer = of_stream_observer_default();
    of_stream_result own = {0};
    of_calibrator *calibrator = NULL;
    if (result != NULL)
        *result = own;
    if (detector == NULL || source == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_calibrate: detector and source are both needed");
    of_status status =
        of_options_read(&stream, sizeof stream, offsetof(of_stream_options, max_pixels), options,
                        "of_stream_options", error);
    if (status == OF_OK)
        status = of_options_read(&observer, sizeof observer, sizeof observer, stream.observer,
                                 "of_stream_observer", error);
    if (status == OF_OK)
        status = open_calibrator(detector, stream.recorded_as != NULL ? stream.recorded_as : source,
                                 &calibrator, error);
    if (status != OF_OK)
        return status;
    stream.needs |= needs_of(detector);
    warn_of_training_data(detector, source, &observer);
    status = detector->tiling.size > 0
                 ? of_calibrate_pictures(detector, source, &stream, calibrator, &own, error)
                 : calibrate_images(detector, source, &stream, calibrator, &own, error);
    of_calibrator_free(calibrator);
    if (result != NULL)
        *result = own;
    return status;
}

of_status of_detector_calibrate_pixels(of_detector *detector, const of_batch *batch,
                                       const char *source, of_error *error) {
    of_calibrator *calibrator = NULL;
    if (detector == NULL || batch == NULL || (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_calibrate_pixels: detector and images are both needed");
    of_status status = of_batch_check(batch, "of_detector_calibrate_pixels", error);
    if (status == OF_OK)
        status = open_calibrator(detector, source, &calibrator, error);
    if (status == OF_OK)
        status = of_scored_batch_visit(detector, batch, needs_of(detector), add_batch, calibrator,
                                       error);
    if (status == OF_OK)
        status = adopt(detector, calibrator, error);
    of_calibrator_free(calibrator);
    return status;
}
