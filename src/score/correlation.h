/* SPDX-License-Identifier: Apache-2.0 */
/* Do two models order the same images alike? */
#ifndef OF_SCORE_CORRELATION_H
#define OF_SCORE_CORRELATION_H

#include <outflow/outflow.h>

/* Spearman's rank correlation of x and y, tied values sharing their mean rank. What is not finite
 * ranks lowest. NaN where it is not defined: fewer than two values, or all of one side equal. */
of_status of_rank_correlation(const double *x, const double *y, size_t count, double *correlation,
                              of_error *error);

/* Pearson's correlation of the pairs of which both values are finite. NaN where it is not defined.
 */
double of_value_correlation(const double *x, const double *y, size_t count);

#endif
