/* SPDX-License-Identifier: Apache-2.0 */
#include "score/calibration_pictures.h"

#include "core/error.h"
#include "core/memory.h"
#include "score/calibration.h"

#include <inttypes.h>
#include <math.h>

size_t of_calibration_score_count(const of_calibration *calibration) {
    return calibration->score_count;
}

of_score of_calibration_score(const of_calibration *calibration, size_t index) {
    return calibration->scores[index].score;
}

/* The fit saw pictures 0, 2, 4, ... */
static bool is_fitted(of_score score) {
    return (of_score_needs(score) & OF_NEEDS_CALIBRATION) != 0;
}

of_status of_calibration_count_pictures(of_calibration *calibration, const of_tiling *tiling,
                                        const double *values, size_t pictures, of_error *error) {
    if (pictures < OF_CALIBRATED_PICTURES_LEAST)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "%zu pictures are too few to calibrate with: it takes at least %d", pictures,
                       (int)OF_CALIBRATED_PICTURES_LEAST);
    double *counted = of_allocate(pictures, sizeof *counted);
    of_status status = counted != NULL ? OF_OK : of_fail_memory(error, "calibration scores");
    calibration->pictures = pictures;
    calibration->tiling = *tiling;
    for (size_t i = 0; status == OF_OK && i < calibration->score_count; i++) {
        bool fitted = is_fitted(calibration->scores[i].score);
        size_t count = 0;
        for (size_t p = fitted ? 1 : 0; p < pictures; p += fitted ? 2 : 1)
            counted[count++] = values[i * pictures + p];
        status = of_conformal_build(counted, count, &calibration->scores[i].pictures, error);
    }
    of_free(counted);
    return status;
}

of_status of_calibration_check_tiling(const of_calibration *calibration, const of_tiling *tiling,
                                      of_error *error) {
    const of_tiling *own = &calibration->tiling;
    if (own->size == tiling->size && own->stride == tiling->stride)
        return OF_OK;
    if (own->size == 0)
        return of_fail_setting(error, OF_ERROR_MISMATCH, "tiles",
                               "the model was calibrated on whole images, not on pictures in tiles "
                               "of %" PRIu32 " pixels, %" PRIu32 " apart: calibrate again by tiles",
                               tiling->size, tiling->stride);
    return of_fail_setting(error, OF_ERROR_MISMATCH, "tiles",
                           "the model was calibrated on tiles of %" PRIu32 " pixels, %" PRIu32
                           " apart, not of %" PRIu32 ", %" PRIu32
                           " apart: take those, or calibrate again",
                           own->size, own->stride, tiling->size, tiling->stride);
}

static const of_conformal *find_table(const of_calibration *calibration, of_score score) {
    for (size_t i = 0; calibration->tiling.size > 0 && i < calibration->score_count; i++) {
        of_score known = calibration->scores[i].score;
        if (known.kind == score.kind && known.scale == score.scale)
            return &calibration->scores[i].pictures;
    }
    return NULL;
}

double of_calibration_picture_p_value(const of_calibration *calibration, of_score score,
                                      double value) {
    const of_conformal *table = find_table(calibration, score);
    return table != NULL ? of_conformal_p_value(table, value) : (double)NAN;
}

double of_calibration_picture_threshold(const of_calibration *calibration, of_score score,
                                        double rate) {
    const of_conformal *table = find_table(calibration, score);
    return table != NULL ? of_conformal_threshold(table, rate) : (double)NAN;
}

of_status of_calibration_check_picture_rate(const of_calibration *calibration, of_score score,
                                            double rate, of_error *error) {
    const of_conformal *table = find_table(calibration, score);
    char name[32];
    of_score_name(score, name, sizeof name);
    if (!(rate > 0 && rate < 1))
        return of_fail(error, OF_ERROR_ARGUMENT, "a false-positive rate lies between 0 and 1");
    if (table == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "score '%s' was not calibrated", name);
    if ((1 + (double)table->non_finite) / ((double)table->images + 1) <= rate)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "a false-positive rate of %g is below 1/(n + 1) with the n = %" PRIu64
                   " calibration pictures of '%s': it takes at least %.0f pictures, and there are "
                   "%" PRIu64,
                   rate, table->images, name, (is_fitted(score) ? 2 : 1) * ceil(1 / rate - 1),
                   calibration->pictures);
}
