/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/calibration_tiles.h"

#include "core/error.h"
#include "core/memory.h"
#include "score/calibration_pictures.h"

#include <stdlib.h>
#include <string.h>

enum { TILES_OF_PICTURE = 64 };

/* ---- Tiles -------------------------------------------------------------------------------------
 */

/* At most TILES_OF_PICTURE of a picture, evenly spaced in their order. */
static bool is_sampled(const of_tile *tile) {
    uint64_t count = (uint64_t)tile->down * tile->across, most = TILES_OF_PICTURE;
    return count <= most || tile->number * most / count != (tile->number + 1) * most / count;
}

static of_status add_tiles(void *user, const of_scored_batch *tiles, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(tiles); i++) {
        if (!is_sampled(&of_scored_item(tiles, i)->tile))
            continue;
        of_image_likelihood image = of_scored_likelihood(tiles, i);
        status = of_calibrator_add(user, &image, error);
    }
    return status;
}

static of_status ignore_picture(void *user, const of_scored_batch *batch, of_error *error) {
    (void)user, (void)batch, (void)error;
    return OF_OK;
}

static of_status fit_tiles(const of_detector *detector, const char *source,
                           const of_stream_options *options, of_calibrator *calibrator,
                           of_calibration **calibration, of_stream_result *result,
                           of_error *error) {
    of_stream_options stream = *options;
    stream.every = 2 * (options->every > 0 ? options->every : 1);
    stream.tile_visit = add_tiles;
    stream.tile_user = calibrator;
    of_status status =
        of_detector_stream(detector, source, &stream, ignore_picture, NULL, result, error);
    if (status == OF_OK && result->images == 0)
        status = of_stream_fail_empty(source, result, error);
    return status == OF_OK ? of_calibrator_finish(calibrator, calibration, error) : status;
}

/* ---- Pictures ----------------------------------------------------------------------------------
 */

typedef struct picture_values {
    const of_detector *detector;
    const of_calibration *calibration;
    double *rows; /* [pictures][scores] */
    size_t count, capacity;
} picture_values;

static bool make_room(picture_values *values, size_t scores) {
    size_t capacity = values->capacity > 0 ? 2 * values->capacity : 256, bytes;
    if (values->count < values->capacity)
        return true;
    if (!of_multiply(capacity, scores * sizeof *values->rows, &bytes))
        return false;
    double *rows = realloc(values->rows, bytes);
    if (rows == NULL)
        return false;
    values->rows = rows;
    values->capacity = capacity;
    return true;
}

static of_status add_pictures(void *user, const of_scored_batch *batch, of_error *error) {
    picture_values *values = user;
    size_t scores = of_calibration_score_count(values->calibration);
    for (size_t i = 0; i < of_scored_count(batch); i++) {
        of_image_likelihood picture = of_scored_likelihood(batch, i);
        if (!make_room(values, scores))
            return of_fail_memory(error, "the scores of calibration pictures");
        double *row = values->rows + values->count++ * scores;
        for (size_t s = 0; s < scores; s++)
            row[s] = of_detector_value(values->detector,
                                       of_calibration_score(values->calibration, s), &picture);
    }
    return OF_OK;
}

/* From rows of pictures to rows of scores. */
static of_status count_pictures(of_calibration *calibration, const of_tiling *tiling,
                                const picture_values *values, of_error *error) {
    size_t scores = of_calibration_score_count(calibration);
    double *turned = of_allocate(scores * (values->count > 0 ? values->count : 1), sizeof *turned);
    if (turned == NULL)
        return of_fail_memory(error, "the scores of calibration pictures");
    for (size_t p = 0; p < values->count; p++)
        for (size_t s = 0; s < scores; s++)
            turned[s * values->count + p] = values->rows[p * scores + s];
    of_status status =
        of_calibration_count_pictures(calibration, tiling, turned, values->count, error);
    of_free(turned);
    return status;
}

/* The detector has the fits of `calibration` meanwhile. */
static of_status walk_pictures(of_detector *detector, const char *source,
                               const of_stream_options *options, of_calibration *calibration,
                               of_stream_result *result, of_error *error) {
    picture_values values = {detector, calibration, NULL, 0, 0};
    of_calibration *before = detector->calibration;
    detector->calibration = calibration;
    of_status status =
        of_detector_stream(detector, source, options, add_pictures, &values, result, error);
    detector->calibration = before;
    if (status == OF_OK)
        status = count_pictures(calibration, &detector->tiling, &values, error);
    free(values.rows);
    return status;
}

of_status of_calibrate_pictures(of_detector *detector, const char *source,
                                const of_stream_options *options, of_calibrator *calibrator,
                                of_stream_result *result, of_error *error) {
    of_calibration *calibration = NULL;
    if (strcmp(source, "-") == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "calibrating by tiles reads the pictures twice, which standard input ('-') "
                       "does not allow");
    of_status status =
        fit_tiles(detector, source, options, calibrator, &calibration, result, error);
    if (status == OF_OK)
        status = walk_pictures(detector, source, options, calibration, result, error);
    if (status != OF_OK) {
        of_calibration_free(calibration);
        return status;
    }
    of_calibration_free(detector->calibration);
    detector->calibration = calibration;
    detector->calibration_problem[0] = '\0';
    return OF_OK;
}
