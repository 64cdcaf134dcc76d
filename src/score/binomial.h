/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_SCORE_BINOMIAL_H
#define OF_SCORE_BINOMIAL_H

#include <outflow/outflow.h>

typedef struct of_interval {
    double low, high;
} of_interval;

/* Exact confidence interval of a share of which `hits` of `count` were seen (Clopper and Pearson
 * 1934); `confidence` in (0, 1), hits <= count, count > 0. */
of_interval of_binomial_interval(uint64_t hits, uint64_t count, double confidence);

/* P(X <= hits) for X ~ Binomial(count, share). */
double of_binomial_cdf(uint64_t hits, uint64_t count, double share);

#endif
