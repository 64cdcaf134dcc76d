/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_detectors.h"

#include <stdlib.h>

/* What the comparison shows is what scores lose, so that none is refused. */
static of_status open_both(const of_detector_options *wanted, of_eval_detectors *detectors,
                           of_error *error) {
    of_detector_options options = *wanted;
    options.precision =
        wanted->precision == OF_PRECISION_F32 ? OF_PRECISION_BF16 : wanted->precision;
    options.lossy_scores = true;
    of_status status = of_detector_open(&options, &detectors->reduced, error);
    options.precision = OF_PRECISION_F32;
    return status == OF_OK ? of_detector_open(&options, &detectors->detector, error) : status;
}

of_status of_eval_detectors_open(const of_shared_settings *settings, bool compared,
                                 of_eval_detectors *detectors, of_error *error) {
    const of_detector_options options = of_shared_detector_options(settings);
    *detectors = (of_eval_detectors){NULL, NULL};
    of_status status = compared ? open_both(&options, detectors, error)
                                : of_detector_open(&options, &detectors->detector, error);
    if (status != OF_OK)
        of_eval_detectors_close(detectors);
    return status;
}

void of_eval_detectors_close(of_eval_detectors *detectors) {
    of_detector_free(detectors->detector);
    of_detector_free(detectors->reduced);
    *detectors = (of_eval_detectors){NULL, NULL};
}
