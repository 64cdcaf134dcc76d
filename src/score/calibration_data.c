/* SPDX-License-Identifier: Apache-2.0 */
/* What a calibration holds. */
#include "score/calibration.h"

#include <stdlib.h>

void of_calibration_free(of_calibration *calibration) {
    if (calibration == NULL)
        return;
    for (size_t i = 0; i < calibration->score_count; i++) {
        of_conformal_free(&calibration->scores[i].table);
        of_conformal_free(&calibration->scores[i].pictures);
    }
    free(calibration->source);
    free(calibration);
}

of_calibration_info of_calibration_describe(const of_calibration *calibration) {
    return (of_calibration_info){
        .images = calibration->images,
        .source = calibration->source,
        .mean_nll = calibration->mean_nll,
        .model = calibration->model,
        .general = calibration->general,
        .members = calibration->members,
        .general_scales = calibration->layout.general_scales,
        .tiling = calibration->tiling,
        .pictures = calibration->pictures,
    };
}
