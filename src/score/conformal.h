/* SPDX-License-Identifier: Apache-2.0 */
/* Conformal p-values from the scores of calibration images:
 *
 *   p(s) = (1 + #{calibration scores >= s}) / (n + 1)
 *
 * If s and the n scores are exchangeable, P(p <= a) <= a for every a (Vovk, Gammerman, Shafer 2005,
 * "Algorithmic Learning in a Random World"). A score that is not finite counts as the largest.
 *
 * The table keeps distinct scores in ascending order, each with the number of calibration scores
 * above it. Then #{calibration scores >= s} is the number above the largest entry below s. Of many
 * scores the table keeps the OF_CONFORMAL_TAIL largest, and of the others every k-th, about
 * OF_CONFORMAL_BODY of them: what is left out can only make p larger, so that the guarantee stands,
 * and p is exact wherever fewer than OF_CONFORMAL_TAIL scores are larger. */
#ifndef OF_SCORE_CONFORMAL_H
#define OF_SCORE_CONFORMAL_H

#include <outflow/outflow.h>

enum { OF_CONFORMAL_TAIL = 1000, OF_CONFORMAL_BODY = 500 };

typedef struct of_conformal {
    uint64_t images;     /* n */
    uint64_t non_finite; /* of them */
    size_t count;        /* entries */
    double *values;      /* [count], finite, strictly ascending */
    double *above;       /* [count], whole numbers, strictly descending to non_finite */
} of_conformal;

of_status of_conformal_build(const double *scores, size_t count, of_conformal *table,
                             of_error *error);

/* What every table fulfils; NULL, or what is wrong with this one. */
const char *of_conformal_check(const of_conformal *table);

/* Scores above it have p <= rate; +infinity if none has. */
double of_conformal_threshold(const of_conformal *table, double rate);

double of_conformal_p_value(const of_conformal *table, double score);

/* Accepts a zeroed table. */
void of_conformal_free(of_conformal *table);

#endif
