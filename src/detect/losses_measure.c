/* SPDX-License-Identifier: Apache-2.0 */
/* Usual images that no range was measured on, against built-in outliers, in both precisions. The
 * images are the same in both, so that what changes AUROC is the precision alone. */
#include "detect/losses_measure.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"
#include "detect/batch.h"
#include "detect/unusual.h"
#include "score/calibration.h"
#include "score/score_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SETS = OF_UNUSUAL_KINDS + 1 /* the usual images are the last one */ };

static const double FLAGGED = 0.05;

typedef struct measurement {
    const of_detector *detectors[2]; /* exact, reduced */
    const of_usual_images *images;
    of_calibration *made; /* NULL where the detector's own serves */
    const of_calibration *calibration;
    of_score scores[OF_LOSSES_MOST];
    size_t score_count;
    uint8_t *pixels;   /* of a set */
    double *values[2]; /* [SETS][score][image] */
    double *sorted;    /* [image] */
} measurement;

/* ---- Which scores -------------------------------------------------------------------------- */

static of_status add_to_calibrator(void *user, const of_scored_batch *batch, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(batch); i++) {
        of_image_likelihood image = of_scored_likelihood(batch, i);
        status = of_calibrator_add(user, &image, error);
    }
    return status;
}

/* One of the images that are there to fit to; without enough of them there is none. */
static of_status make_calibration(measurement *m, of_error *error) {
    const of_detector *detector = m->detectors[0];
    const of_calibrated_models models = {
        .architecture = &detector->models[OF_PLACE_MODEL].architecture,
        .general = detector->has_general ? &detector->models[OF_PLACE_GENERAL].architecture : NULL,
        .model_fingerprint = detector->models[OF_PLACE_MODEL].fingerprint,
        .general_fingerprint = of_detector_general_fingerprint(detector),
    };
    const of_batch batch = {OF_PIXEL_U8, m->images->fitted, m->images->fitted_count};
    of_calibrator *calibrator = NULL;
    of_status status = of_calibrator_create_for(&models, &calibrator, error);
    if (status == OF_OK)
        status = of_scored_batch_visit(detector, &batch, OF_NEEDS_PNG, add_to_calibrator,
                                       calibrator, error);
    if (status == OF_OK && of_calibrator_finish(calibrator, &m->made, NULL) == OF_OK)
        m->calibration = m->made;
    of_calibrator_free(calibrator);
    return status;
}

static of_status find_calibration(measurement *m, of_error *error) {
    const of_detector *detector = m->detectors[0];
    const of_score combined = {OF_SCORE_COMBINED, 0};
    if (detector->calibration != NULL &&
        of_calibration_check(detector->calibration, combined,
                             of_detector_general_fingerprint(detector), 0, NULL) == OF_OK) {
        m->calibration = detector->calibration;
        return OF_OK;
    }
    return make_calibration(m, error);
}

static bool is_measured(const measurement *m, const of_score_row *row) {
    const of_detector *detector = m->detectors[0];
    unsigned needs = row->needs;
    if ((needs & (OF_NEEDS_ENSEMBLE | OF_NEEDS_WEBP)) != 0 ||
        ((needs & OF_NEEDS_CLASSES) != 0 && of_detector_architecture(detector)->classes == 0) ||
        ((needs & OF_NEEDS_GENERAL) != 0 && !detector->has_general) ||
        ((needs & OF_NEEDS_CALIBRATION) != 0 && m->calibration == NULL))
        return false;
    return (needs & OF_NEEDS_SAME_SCALES) == 0 || of_detector_same_scales(detector);
}

static void list_scores(measurement *m) {
    uint32_t scales =
        of_architecture_scale_count(&m->detectors[0]->models[OF_PLACE_MODEL].architecture);
    for (size_t i = 0; i < OF_SCORE_KINDS; i++) {
        const of_score_row *row = &of_score_table[i];
        for (uint32_t scale = 0; scale < (row->per_scale ? scales : 1); scale++)
            if (m->score_count < OF_LOSSES_MOST && is_measured(m, row))
                m->scores[m->score_count++] = (of_score){row->kind, scale};
    }
}

/* ---- Values -------------------------------------------------------------------------------- */

static double *values_of(const measurement *m, size_t detector, size_t set, size_t score) {
    return m->values[detector] + (set * m->score_count + score) * m->images->compared_count;
}

/* Where the values of the next images go. */
typedef struct value_writer {
    const measurement *m;
    size_t detector, set, image;
} value_writer;

static of_status write_values(void *user, const of_scored_batch *batch, of_error *error) {
    value_writer *w = user;
    const measurement *m = w->m;
    const of_architecture *architecture = &m->detectors[0]->models[OF_PLACE_MODEL].architecture;
    (void)error;
    for (size_t i = 0; i < of_scored_count(batch); i++, w->image++) {
        of_image_likelihood image = of_scored_likelihood(batch, i);
        for (size_t s = 0; s < m->score_count; s++)
            values_of(m, w->detector, w->set, s)[w->image] =
                m->calibration != NULL ? of_calibrated_value(m->calibration, m->scores[s], &image)
                                       : of_score_value(m->scores[s], architecture, &image);
    }
    return OF_OK;
}

static of_status score_set(measurement *m, size_t set, of_error *error) {
    const of_architecture *shape = &m->detectors[0]->models[OF_PLACE_MODEL].architecture;
    of_batch batch = {OF_PIXEL_U8, m->images->compared, m->images->compared_count};
    of_status status = OF_OK;
    if (set < OF_UNUSUAL_KINDS) {
        batch.pixels = m->pixels;
        status = of_unusual_make((of_unusual)set, shape, m->images->compared,
                                 m->images->compared_count, m->pixels, error);
    }
    for (size_t d = 0; status == OF_OK && d < 2; d++) {
        value_writer writer = {m, d, set, 0};
        status = of_scored_batch_visit(m->detectors[d], &batch, OF_NEEDS_PNG, write_values, &writer,
                                       error);
    }
    return status;
}

static of_status score_sets(measurement *m, of_error *error) {
    size_t image =
        of_architecture_dimensions(&m->detectors[0]->models[OF_PLACE_MODEL].architecture);
    size_t count = m->images->compared_count, values = SETS * m->score_count * count;
    m->pixels = of_allocate(count, image);
    m->sorted = of_allocate(count, sizeof *m->sorted);
    for (size_t d = 0; d < 2; d++)
        m->values[d] = of_allocate(values, sizeof *m->values[d]);
    if (m->pixels == NULL || m->sorted == NULL || m->values[0] == NULL || m->values[1] == NULL)
        return of_fail_memory(error, "the scores of a comparison");
    of_status status = OF_OK;
    for (size_t set = 0; status == OF_OK && set < SETS; set++)
        status = score_set(m, set, error);
    return status;
}

/* ---- Losses -------------------------------------------------------------------------------- */

/* Share of `others` that rank above `value`, or below it; ties count half. What is not finite ranks
 * as most anomalous. */
static double share_beyond(const double *others, size_t count, double value, bool above) {
    double sum = 0, rank = isfinite(value) ? value : (double)INFINITY;
    for (size_t i = 0; i < count; i++) {
        double other = isfinite(others[i]) ? others[i] : (double)INFINITY;
        sum += other == rank ? 0.5 : (other > rank) == above;
    }
    return sum / (double)count;
}

typedef struct mean_and_error {
    double mean, squared_error;
} mean_and_error;

/* By how much more of `to` lies beyond the values of `from` in the exact scores. */
static mean_and_error compare_sets(const measurement *m, size_t score, size_t from, size_t to,
                                   bool above) {
    size_t count = m->images->compared_count;
    double sum = 0, squares = 0, n = (double)count;
    for (size_t i = 0; i < count; i++) {
        double shares[2];
        for (size_t d = 0; d < 2; d++)
            shares[d] = share_beyond(values_of(m, d, to, score), count,
                                     values_of(m, d, from, score)[i], above);
        sum += shares[0] - shares[1];
        squares += (shares[0] - shares[1]) * (shares[0] - shares[1]);
    }
    return (mean_and_error){sum / n, fmax(squares - sum * sum / n, 0) / (n - 1) / n};
}

/* AUROC is the mean of both sets' shares; its error is that of both sets' means (DeLong, DeLong and
 * Clarke-Pearson 1988), here of the difference on the same images. */
static void find_auroc(const measurement *m, size_t score, of_precision_loss *loss) {
    loss->auroc = -1;
    loss->error = 0;
    for (size_t set = 0; set < OF_UNUSUAL_KINDS; set++) {
        mean_and_error in = compare_sets(m, score, OF_UNUSUAL_KINDS, set, true);
        mean_and_error out = compare_sets(m, score, set, OF_UNUSUAL_KINDS, false);
        double error = sqrt(in.squared_error + out.squared_error);
        if (in.mean - error <= loss->auroc - loss->error)
            continue;
        loss->auroc = in.mean;
        loss->error = error;
        (void)snprintf(loss->against, sizeof loss->against, "%s", of_unusual_name((of_unusual)set));
    }
}

/* Share of the sorted values that are at least `value`. */
static double share_above(const double *sorted, size_t count, double value) {
    size_t below = 0;
    while (below < count && sorted[below] < value)
        below++;
    return (double)(count - below) / (double)count;
}

/* A calibration in floats judges scores in integers. */
static void find_p_values(measurement *m, size_t score, of_precision_loss *loss) {
    size_t count = m->images->compared_count, flagged = 0;
    const double *exact = values_of(m, 0, OF_UNUSUAL_KINDS, score);
    const double *reduced = values_of(m, 1, OF_UNUSUAL_KINDS, score);
    double sum = 0;
    memcpy(m->sorted, exact, count * sizeof *exact);
    of_sort_doubles(m->sorted, count);
    for (size_t i = 0; i < count; i++) {
        double p = share_above(m->sorted, count, reduced[i]);
        sum += fabs(p - share_above(m->sorted, count, exact[i]));
        flagged += p <= FLAGGED;
    }
    loss->p_value = sum / (double)count;
    loss->flagged = (double)flagged / (double)count;
}

of_status of_losses_measure(const of_detector *exact, const of_detector *reduced,
                            const of_usual_images *images, of_losses *losses, of_error *error) {
    measurement m = {.detectors = {exact, reduced}, .images = images};
    losses->count = 0;
    if (images->compared_count < OF_LOSSES_LEAST)
        return OF_OK;
    of_status status = find_calibration(&m, error);
    if (status == OF_OK) {
        list_scores(&m);
        status = score_sets(&m, error);
    }
    for (size_t s = 0; status == OF_OK && s < m.score_count; s++) {
        of_precision_loss *loss = &losses->items[s];
        *loss = (of_precision_loss){.score = m.scores[s]};
        find_auroc(&m, s, loss);
        find_p_values(&m, s, loss);
    }
    losses->count = status == OF_OK ? m.score_count : 0;
    of_calibration_free(m.made);
    of_free(m.pixels);
    of_free(m.sorted);
    of_free(m.values[0]);
    of_free(m.values[1]);
    return status;
}
