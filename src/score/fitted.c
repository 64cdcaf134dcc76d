/* SPDX-License-Identifier: Apache-2.0 */
/* The scores that are fitted to calibration images. */
#include "score/calibration.h"
#include "score/score_table.h"

#include <math.h>

double of_fitted_typicality(const of_calibration *calibration, const of_fitted_input *input) {
    return fabs(input->nll - calibration->mean_nll);
}

double of_fitted_combined(const of_calibration *calibration, const of_fitted_input *input) {
    if (input->statistics == NULL)
        return NAN;
    const of_combined_tests tests = {
        .squared_distance = of_density_distance(&calibration->density, input->statistics),
        .complexity = input->complexity,
        .ratio = input->ratio,
    };
    return of_combine(&calibration->combination, &tests);
}
