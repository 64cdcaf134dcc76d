/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a calibration that is about pictures which were cut into tiles: the distribution of
 * each score's largest value in a picture. */
#ifndef OF_SCORE_CALIBRATION_PICTURES_H
#define OF_SCORE_CALIBRATION_PICTURES_H

#include <outflow/outflow.h>

/* Counts the values of pictures: `values` [scores][pictures], of the calibration's scores in their
 * order; of those that are fitted, pictures 1, 3, 5, ... only. */
of_status of_calibration_count_pictures(of_calibration *calibration, const of_tiling *tiling,
                                        const double *values, size_t pictures, of_error *error);

/* The calibration's scores, [*count]. */
of_score of_calibration_score(const of_calibration *calibration, size_t index);
size_t of_calibration_score_count(const of_calibration *calibration);

/* Does it know pictures cut like this? */
of_status of_calibration_check_tiling(const of_calibration *calibration, const of_tiling *tiling,
                                      of_error *error);

/* As their namesakes for images. */
double of_calibration_picture_p_value(const of_calibration *calibration, of_score score,
                                      double value);
double of_calibration_picture_threshold(const of_calibration *calibration, of_score score,
                                        double rate);
of_status of_calibration_check_picture_rate(const of_calibration *calibration, of_score score,
                                            double rate, of_error *error);

#endif
