/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of images in memory, as pixels or as encoded files. */
#include "core/batch_check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/team.h"
#include "detect/batch.h"

#include <math.h>
#include <string.h>

enum { MOST_PART = 16384 /* images; their results are a few megabytes */ };

/* Scores that are wanted of every image. */
typedef struct wanted_scores {
    const of_score *scores;
    size_t count;
    unsigned needs; /* of all of them */
} wanted_scores;

static of_status check_wanted(const of_detector *detector, const of_score *scores, size_t count,
                              wanted_scores *wanted, of_error *error) {
    *wanted = (wanted_scores){scores, count, 0};
    of_status status = scores != NULL || count == 0
                           ? OF_OK
                           : of_fail(error, OF_ERROR_ARGUMENT, "the list of scores is NULL");
    for (size_t i = 0; status == OF_OK && i < count; i++) {
        status = of_detector_check_score(detector, scores[i], error);
        wanted->needs |= of_score_needs(scores[i]);
    }
    return status;
}

/* ---- Pixels -------------------------------------------------------------------------------- */

/* Coders take bytes. */
static void round_pixels(const float *from, size_t count, uint8_t *to) {
    for (size_t i = 0; i < count; i++) {
        float value = from[i] * 255;
        to[i] = value >= 255 ? 255 : value > 0 ? (uint8_t)lroundf(value) : 0; /* NaN: 0 */
    }
}

/* Images of a part of a batch, no more than `batch` has room for. */
static of_batch part_of(const of_batch *images, size_t first, size_t most, size_t dimensions) {
    size_t left = images->count - first;
    size_t element = images->type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    return (of_batch){images->type, (const char *)images->pixels + first * dimensions * element,
                      left < most ? left : most};
}

/* Runs all images in parts, and `visit` after each. */
static of_status visit_parts(const of_detector *detector, of_runner *runner, const of_batch *images,
                             uint8_t *rounded, of_scored_batch *batch, of_scored_visit *visit,
                             void *user, of_error *error) {
    size_t dimensions = batch->image_bytes;
    of_status status = OF_OK;
    for (size_t first = 0; status == OF_OK && first < images->count; first += batch->count) {
        of_batch part = part_of(images, first, batch->capacity, dimensions);
        if (rounded != NULL)
            round_pixels(part.pixels, part.count * dimensions, rounded);
        status = of_scored_batch_run(detector, runner, &part,
                                     rounded != NULL ? rounded : part.pixels, batch, error);
        if (status == OF_OK)
            status = visit(user, batch, error);
    }
    return status;
}

of_status of_scored_batch_visit(const of_detector *detector, const of_batch *images, unsigned needs,
                                of_scored_visit *visit, void *user, of_error *error) {
    bool round = images->type != OF_PIXEL_U8 && (needs & (OF_NEEDS_PNG | OF_NEEDS_WEBP)) != 0;
    /* All pixels are there, so only the results take memory: parts as large as that allows, since
     * threads wait for each other at the end of each. */
    size_t most = round ? detector->batch : MOST_PART, bytes = 0;
    size_t capacity = images->count < most ? images->count : most;
    of_scored_batch batch;
    of_runner *runner;
    uint8_t *rounded = NULL;
    if (images->count == 0)
        return OF_OK;
    of_status status = of_scored_batch_open(detector, capacity, needs, &batch, error);
    if (status != OF_OK)
        return status;
    if (round && of_multiply(capacity, batch.image_bytes, &bytes))
        rounded = of_allocate(bytes, 1);
    if (round && rounded == NULL)
        status = of_fail_memory(error, "images as bytes");
    if (status == OF_OK)
        status = of_runner_take(detector, &runner, error);
    if (status == OF_OK) {
        status = visit_parts(detector, runner, images, rounded, &batch, visit, user, error);
        of_runner_give_back(detector, runner);
    }
    of_free(rounded);
    of_scored_batch_close(&batch);
    return status;
}

of_status of_detector_visit(const of_detector *detector, const of_batch *images, unsigned needs,
                            of_scored_visit *visit, void *user, of_error *error) {
    if (detector == NULL || images == NULL || visit == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_visit: detector, images and visit are all needed");
    if (images->pixels == NULL && images->count > 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_detector_visit: the pixels are NULL");
    of_status status = of_batch_check(images, "of_detector_visit", error);
    return status == OF_OK ? of_scored_batch_visit(detector, images, needs, visit, user, error)
                           : status;
}

/* Where the values of the next images go. */
typedef struct value_writer {
    const of_detector *detector;
    const wanted_scores *wanted;
    double *next;
} value_writer;

static of_status write_values(void *user, const of_scored_batch *batch, of_error *error) {
    value_writer *writer = user;
    (void)error;
    for (size_t i = 0; i < batch->count; i++) {
        of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        for (size_t s = 0; s < writer->wanted->count; s++)
            *writer->next++ =
                of_detector_value(writer->detector, writer->wanted->scores[s], &likelihood);
    }
    return OF_OK;
}

static of_status score_pixels(const of_detector *detector, const of_batch *images,
                              const wanted_scores *wanted, double *values, of_error *error) {
    value_writer writer = {detector, wanted, values};
    return of_scored_batch_visit(detector, images, wanted->needs, write_values, &writer, error);
}

of_status of_detector_score(const of_detector *detector, const of_batch *batch,
                            const of_score *scores, size_t count, double *values, of_error *error) {
    wanted_scores wanted;
    if (detector == NULL || batch == NULL || (batch->pixels == NULL && batch->count > 0) ||
        (values == NULL && batch->count > 0 && count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_score: detector, images and values are all needed");
    of_status status = of_batch_check(batch, "of_detector_score", error);
    if (status == OF_OK)
        status = check_wanted(detector, scores, count, &wanted, error);
    if (status != OF_OK || batch->count == 0 || count == 0)
        return status;
    return score_pixels(detector, batch, &wanted, values, error);
}

/* ---- Encoded images ------------------------------------------------------------------------- */

/* Decoded images, without those that could not be read. */
typedef struct decoded_images {
    uint8_t *pixels;  /* [images][dimensions] */
    of_error *errors; /* [images] */
    of_image_info *infos;
    size_t dimensions;
} decoded_images;

static void close_decoded(decoded_images *decoded) {
    of_free(decoded->pixels);
    of_free(decoded->errors);
    of_free(decoded->infos);
}

static of_status open_decoded(const of_detector *detector, size_t images, decoded_images *decoded,
                              of_error *error) {
    size_t bytes;
    *decoded = (decoded_images){.dimensions =
                                    of_architecture_dimensions(of_detector_architecture(detector))};
    if (of_multiply(images, decoded->dimensions, &bytes)) {
        decoded->pixels = of_allocate(bytes, 1);
        decoded->errors = of_allocate_zeroed(images, sizeof *decoded->errors);
        decoded->infos = of_allocate_zeroed(images, sizeof *decoded->infos);
    }
    if (decoded->pixels != NULL && decoded->errors != NULL && decoded->infos != NULL)
        return OF_OK;
    close_decoded(decoded);
    return of_fail_memory(error, "decoded images");
}

static void decode(const of_detector *detector, const of_encoded_image *images, size_t count,
                   decoded_images *decoded) {
    const of_image_options options = of_image_options_default(of_detector_architecture(detector));
#pragma omp parallel for schedule(dynamic, 1) num_threads(of_detector_threads(detector))
    for (size_t i = 0; i < count; i++)
        (void)of_image_read(images[i].bytes, images[i].size,
                            images[i].name != NULL ? images[i].name : "image", &options,
                            decoded->pixels + i * decoded->dimensions, &decoded->infos[i],
                            &decoded->errors[i]);
}

static const of_error *first_failure(const decoded_images *decoded, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (decoded->errors[i].status != OF_OK)
            return &decoded->errors[i];
    return NULL;
}

/* Moves the images that were read together; returns how many. */
static size_t move_together(decoded_images *decoded, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (decoded->errors[i].status != OF_OK)
            continue;
        if (kept != i)
            memcpy(decoded->pixels + kept * decoded->dimensions,
                   decoded->pixels + i * decoded->dimensions, decoded->dimensions);
        kept++;
    }
    return kept;
}

/* From rows without gaps to rows of all images, the last first; NaN for those that failed. */
static void spread_values(const decoded_images *decoded, size_t images, size_t kept, size_t count,
                          double *values) {
    for (size_t i = images; i-- > 0;) {
        bool read = decoded->errors[i].status == OF_OK;
        kept -= read;
        for (size_t s = 0; s < count; s++)
            values[i * count + s] = read ? values[kept * count + s] : (double)NAN;
    }
}

static void hand_over(const decoded_images *decoded, size_t images, of_image_info *infos,
                      of_error *failures) {
    if (infos != NULL)
        memcpy(infos, decoded->infos, images * sizeof *infos);
    if (failures != NULL)
        memcpy(failures, decoded->errors, images * sizeof *failures);
}

of_status of_detector_score_encoded(const of_detector *detector, const of_encoded_image *images,
                                    size_t image_count, const of_score *scores, size_t count,
                                    double *values, of_image_info *infos, of_error *failures,
                                    of_error *error) {
    wanted_scores wanted;
    decoded_images decoded;
    if (detector == NULL || (images == NULL && image_count > 0) ||
        (values == NULL && image_count > 0 && count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_score_encoded: detector, images and values are all needed");
    of_status status = check_wanted(detector, scores, count, &wanted, error);
    if (status != OF_OK || image_count == 0)
        return status;
    status = of_team_check(of_detector_threads(detector), error);
    if (status == OF_OK)
        status = open_decoded(detector, image_count, &decoded, error);
    if (status != OF_OK)
        return status;
    decode(detector, images, image_count, &decoded);
    const of_error *failure = first_failure(&decoded, image_count);
    hand_over(&decoded, image_count, infos, failures);
    if (failure != NULL && failures == NULL) {
        status = of_error_copy(error, failure);
    } else {
        size_t kept = move_together(&decoded, image_count);
        const of_batch batch = {OF_PIXEL_U8, decoded.pixels, kept};
        if (kept > 0 && count > 0)
            status = score_pixels(detector, &batch, &wanted, values, error);
        if (status == OF_OK)
            spread_values(&decoded, image_count, kept, count, values);
    }
    close_decoded(&decoded);
    return status;
}
