/* SPDX-License-Identifier: Apache-2.0 */
/* From images to a calibration: statistics and scores of every image are collected, then the fit
 * takes every other image, and the tables of fitted scores take the rest. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "score/calibration.h"
#include "score/score_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct of_calibrator {
    of_calibration *made; /* without its tables and fits so far */
    size_t statistics;    /* of an image */
    size_t plain_count;   /* scores that need no fit, the first ones */
    size_t row_values;    /* statistics, then those scores */
    double *rows;         /* [images][row_values] */
    size_t images, capacity;
    size_t members;
    bool with_classes;
};

static bool is_fitted(of_score score) {
    return of_score_row_of(score.kind)->fitted != NULL;
}

/* What the announced models and coders allow. */
static bool is_allowed(const of_calibrated_models *models, const of_statistics_layout *layout,
                       unsigned needs) {
    bool general = layout->general_scales > 0;
    return ((needs & OF_NEEDS_GENERAL) == 0 || general) &&
           ((needs & OF_NEEDS_SAME_SCALES) == 0 || layout->general_scales == layout->scales) &&
           ((needs & OF_NEEDS_CLASSES) == 0 || layout->with_classes) &&
           ((needs & OF_NEEDS_ENSEMBLE) == 0 || models->member_count > 0) &&
           ((needs & OF_NEEDS_WEBP) == 0 || models->webp);
}

static void add_scores(const of_score_row *row, of_calibration *made) {
    uint32_t count = row->per_scale ? made->layout.scales : 1;
    for (uint32_t scale = 0; scale < count; scale++)
        made->scores[made->score_count++].score = (of_score){row->kind, scale};
}

/* The scores that these models allow; those with a fit come last. */
static void choose_scores(const of_calibrated_models *models, of_calibrator *calibrator) {
    of_calibration *made = calibrator->made;
    for (int fitted = 0; fitted < 2; fitted++) {
        if (fitted)
            calibrator->plain_count = made->score_count;
        for (size_t i = 0; i < OF_SCORE_KINDS; i++) {
            const of_score_row *row = &of_score_table[i];
            if ((row->fitted != NULL) == (fitted != 0) &&
                is_allowed(models, &made->layout, row->needs))
                add_scores(row, made);
        }
    }
}

static of_status describe(const of_calibrated_models *models, of_calibrator *calibrator,
                          of_error *error) {
    of_calibration *made = calibrator->made;
    made->architecture = *models->architecture;
    made->layout = of_statistics_of(&made->architecture, models->general);
    made->model = models->model_fingerprint;
    made->general = models->general_fingerprint;
    made->members = models->members_fingerprint;
    made->source = strdup(models->source != NULL ? models->source : "");
    choose_scores(models, calibrator);
    return made->source != NULL ? OF_OK : of_fail_memory(error, "a calibration");
}

of_status of_calibrator_create_for(const of_calibrated_models *models, of_calibrator **calibrator,
                                   of_error *error) {
    of_calibrator *made = calloc(1, sizeof *made);
    if (made == NULL || (made->made = calloc(1, sizeof *made->made)) == NULL) {
        of_calibrator_free(made);
        return of_fail_memory(error, "a calibration");
    }
    of_status status = describe(models, made, error);
    if (status != OF_OK) {
        of_calibrator_free(made);
        return status;
    }
    made->statistics = of_statistics_count(&made->made->layout);
    made->row_values = made->statistics + made->plain_count;
    made->members = models->member_count;
    made->with_classes = made->made->layout.with_classes;
    *calibrator = made;
    return OF_OK;
}

of_calibration_options of_calibration_options_default(void) {
    return (of_calibration_options){.size = sizeof(of_calibration_options)};
}

of_status of_calibrator_create(const of_calibration_options *given, of_calibrator **calibrator,
                               of_error *error) {
    of_calibration_options own = of_calibration_options_default(), *options = &own;
    of_status status =
        of_options_read(&own, sizeof own, OF_SIZE_UP_TO(of_calibration_options, source), given,
                        "calibration options", error);
    if (status != OF_OK)
        return status;
    if (options->model == NULL || calibrator == NULL ||
        (options->members == NULL && options->member_count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibrator_create: a required argument is NULL");
    for (size_t i = 0; i < options->member_count; i++)
        if (options->members[i] == NULL)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, "members",
                                   "model %zu of the ensemble is NULL", i + 1);
    const of_model *general = options->general;
    const of_calibrated_models models = {
        .architecture = of_model_architecture(options->model),
        .general = general != NULL ? of_model_architecture(general) : NULL,
        .member_count = options->member_count,
        .model_fingerprint = of_model_fingerprint(options->model),
        .general_fingerprint = general != NULL ? of_model_fingerprint(general) : 0,
        .members_fingerprint = of_ensemble_fingerprint(options->members, options->member_count),
        .webp = options->webp,
        .source = options->source,
    };
    return of_calibrator_create_for(&models, calibrator, error);
}

static bool make_room(of_calibrator *calibrator) {
    if (calibrator->images < calibrator->capacity)
        return true;
    size_t capacity = calibrator->capacity > 0 ? 2 * calibrator->capacity : 1024, bytes;
    if (!of_multiply(capacity, calibrator->row_values * sizeof *calibrator->rows, &bytes))
        return false;
    double *rows = realloc(calibrator->rows, bytes);
    if (rows == NULL)
        return false;
    calibrator->rows = rows;
    calibrator->capacity = capacity;
    return true;
}

/* What the scores below need and an image might lack. */
static bool is_complete(const of_calibrator *calibrator, const of_image_likelihood *image) {
    const of_calibration *made = calibrator->made;
    bool complete = image->members == calibrator->members &&
                    (!made->layout.with_classes || image->class_logp != NULL);
    for (size_t i = 0; i < made->score_count; i++)
        if (made->scores[i].score.kind == OF_SCORE_COMPLEXITY_WEBP)
            complete = complete && image->webp_bytes > 0;
    return complete;
}

static of_status fail_finished(of_error *error) {
    return of_fail(error, OF_ERROR_ARGUMENT, "the calibrator is finished: make a new one");
}

of_status of_calibrator_add(of_calibrator *calibrator, const of_image_likelihood *image,
                            of_error *error) {
    if (calibrator == NULL || image == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_calibrator_add: a required argument is NULL");
    const of_calibration *made = calibrator->made;
    if (made == NULL)
        return fail_finished(error);
    if (!make_room(calibrator))
        return of_fail_memory(error, "the statistics of calibration images");
    double *row = calibrator->rows + calibrator->images * calibrator->row_values;
    if (!is_complete(calibrator, image) || !of_statistics_fill(&made->layout, image, row))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibrator_add: the image lacks contributions, latent squares, the PNG "
                       "size, or something that the options announced");
    for (size_t i = 0; i < calibrator->plain_count; i++)
        row[calibrator->statistics + i] =
            of_score_value(made->scores[i].score, &made->architecture, image);
    calibrator->images++;
    return OF_OK;
}

/* ---- The end ------------------------------------------------------------------------------ */

/* Is every statistic of the image finite? */
static bool is_usable(const of_calibrator *calibrator, size_t image) {
    const double *row = calibrator->rows + image * calibrator->row_values;
    for (size_t i = 0; i < calibrator->statistics; i++)
        if (!isfinite(row[i]))
            return false;
    return true;
}

static of_status check_enough(const of_calibrator *calibrator, of_error *error) {
    size_t usable[2] = {0, 0};
    for (size_t i = 0; i < calibrator->images; i++)
        usable[i % 2] += is_usable(calibrator, i);
    if (calibrator->images < OF_CALIBRATION_LEAST)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "%zu images are too few to calibrate with: it takes at least %d, and some "
                       "thousand for small false-positive rates",
                       calibrator->images, OF_CALIBRATION_LEAST);
    if (usable[0] < OF_CALIBRATION_LEAST / 2 || usable[1] < OF_CALIBRATION_LEAST / 2)
        return of_fail(error, OF_ERROR_NUMERIC,
                       "of %zu calibration images only %zu have finite likelihoods: the model does "
                       "not fit these images",
                       calibrator->images, usable[0] + usable[1]);
    return OF_OK;
}

static double nll_of(const of_calibrator *calibrator, size_t image) {
    return calibrator->rows[image * calibrator->row_values + calibrator->statistics];
}

/* Over images 0, 2, 4, ... */
static double fitted_mean_nll(const of_calibrator *calibrator) {
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < calibrator->images; i += 2)
        if (isfinite(nll_of(calibrator, i))) {
            sum += nll_of(calibrator, i);
            count++;
        }
    return sum / (double)count;
}

static double distance_of(const of_calibrator *calibrator, size_t image) {
    return of_density_distance(&calibrator->made->density,
                               calibrator->rows + image * calibrator->row_values);
}

/* NaN for a score that these models do not allow. */
static double unfitted_value(const of_calibrator *calibrator, of_score_kind kind, size_t image) {
    const of_calibration *made = calibrator->made;
    for (size_t i = 0; i < calibrator->plain_count; i++)
        if (made->scores[i].score.kind == kind)
            return calibrator->rows[image * calibrator->row_values + calibrator->statistics + i];
    return NAN;
}

/* Spreads of what `combined` joins, over images 0, 2, 4, ... of which values has room. */
static void fit_combination(const of_calibrator *calibrator, double *values, size_t count,
                            of_combination *combination) {
    for (size_t i = 0; i < count; i++)
        values[i] = of_combine_distance(distance_of(calibrator, 2 * i));
    combination->distance = of_spread_fit(values, count);
    for (size_t i = 0; i < count; i++)
        values[i] = unfitted_value(calibrator, OF_SCORE_COMPLEXITY, 2 * i);
    combination->complexity = of_spread_fit(values, count);
    bool with_general = calibrator->made->layout.general_scales > 0;
    of_combination_choose_weights(combination, with_general);
    if (!with_general)
        return;
    for (size_t i = 0; i < count; i++)
        values[i] = unfitted_value(calibrator, OF_SCORE_RATIO, 2 * i);
    combination->ratio = of_spread_fit(values, count);
}

/* Density and spreads, over images 0, 2, 4, ... */
static of_status fit(of_calibrator *calibrator, of_error *error) {
    of_calibration *made = calibrator->made;
    size_t count = (calibrator->images + 1) / 2;
    of_status status = of_density_fit(calibrator->rows, count, 2 * calibrator->row_values,
                                      calibrator->statistics, &made->density, error);
    if (status != OF_OK)
        return status;
    double *values = of_allocate(count, sizeof *values);
    if (values == NULL)
        return of_fail_memory(error, "calibration scores");
    fit_combination(calibrator, values, count, &made->combination);
    made->mean_nll = fitted_mean_nll(calibrator);
    of_free(values);
    return OF_OK;
}

static double fitted_value(const of_calibrator *calibrator, of_score score, size_t image) {
    const of_fitted_input input = {
        .statistics = calibrator->rows + image * calibrator->row_values,
        .nll = nll_of(calibrator, image),
        .complexity = unfitted_value(calibrator, OF_SCORE_COMPLEXITY, image),
        .ratio = unfitted_value(calibrator, OF_SCORE_RATIO, image),
    };
    return of_score_row_of(score.kind)->fitted(calibrator->made, &input);
}

/* Score `index` of all images, or for a fitted one of images 1, 3, 5, ...; returns how many. */
static size_t gather(const of_calibrator *calibrator, size_t index, double *values) {
    of_score score = calibrator->made->scores[index].score;
    bool fitted = is_fitted(score);
    size_t count = 0;
    for (size_t i = fitted ? 1 : 0; i < calibrator->images; i += fitted ? 2 : 1)
        values[count++] =
            fitted ? fitted_value(calibrator, score, i)
                   : calibrator->rows[i * calibrator->row_values + calibrator->statistics + index];
    return count;
}

static of_status build_tables(of_calibrator *calibrator, of_error *error) {
    of_calibration *made = calibrator->made;
    double *values = of_allocate(calibrator->images, sizeof *values);
    of_status status = values != NULL ? OF_OK : of_fail_memory(error, "calibration scores");
    for (size_t i = 0; status == OF_OK && i < made->score_count; i++)
        status = of_conformal_build(values, gather(calibrator, i, values), &made->scores[i].table,
                                    error);
    of_free(values);
    return status;
}

of_status of_calibrator_finish(of_calibrator *calibrator, of_calibration **calibration,
                               of_error *error) {
    if (calibrator == NULL || calibration == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_calibrator_finish: a required argument is NULL");
    of_calibration *made = calibrator->made;
    if (made == NULL)
        return fail_finished(error);
    of_status status = check_enough(calibrator, error);
    if (status != OF_OK)
        return status;
    made->images = calibrator->images;
    status = fit(calibrator, error);
    if (status == OF_OK)
        status = build_tables(calibrator, error);
    if (status != OF_OK)
        return status;
    *calibration = made;
    calibrator->made = NULL;
    return OF_OK;
}

void of_calibrator_free(of_calibrator *calibrator) {
    if (calibrator == NULL)
        return;
    of_calibration_free(calibrator->made);
    free(calibrator->rows);
    free(calibrator);
}
