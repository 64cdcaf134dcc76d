/* SPDX-License-Identifier: Apache-2.0 */
/* Which scores the models at hand allow, and their values. */
#ifndef OF_CLI_SCORING_H
#define OF_CLI_SCORING_H

#include "cli/engine.h"

#include <math.h>

enum { OF_SCORES_MOST = 24 };

/* Can the score be computed? If not, one line with the remedy. */
of_status of_scoring_check(const of_engine *engine, of_score score, of_error *error);

/* Can its values be turned into p-values? */
of_status of_scoring_check_p_value(const of_engine *engine, of_score score, of_error *error);

/* All scores that can be computed, in the order of reports; returns how many. complexity-webp is
 * among them only if --webp is given. */
size_t of_scoring_list(const of_engine *engine, of_score scores[OF_SCORES_MOST]);

/* The value of a score that can be computed. */
double of_scoring_value(const of_engine *engine, of_score score, const of_image_likelihood *image);

/* Does a value reach a threshold? What is not finite is most anomalous, and does. */
static inline bool of_scoring_reaches(double value, double threshold) {
    return !isfinite(value) || value >= threshold;
}

#endif
