/* SPDX-License-Identifier: Apache-2.0 */
/* Calibrating a detector that cuts pictures. */
#ifndef OF_DETECT_CALIBRATION_TILES_H
#define OF_DETECT_CALIBRATION_TILES_H

#include "detect/detector.h"

/*
 * Two walks over the source. In the first, tiles of every other picture go to the calibrator: the
 * fits of scores, and what single tiles score. In the second, with those fits, the largest values
 * of all pictures are counted; fitted scores only in the pictures that the first left out, so that
 * the guarantee of conformal p-values holds for pictures, however their tiles depend on each other.
 */
of_status of_calibrate_pictures(of_detector *detector, const char *source,
                                const of_stream_options *options, of_calibrator *calibrator,
                                of_stream_result *result, of_error *error);

#endif
