/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow eval` measures: the scores of whole sets, and how well each score separates an out
 * set from the in set. */
#ifndef OF_CLI_EVAL_SETS_H
#define OF_CLI_EVAL_SETS_H

#include "cli/engine.h"

enum { OF_EVAL_SCORES = 16 };

/* A column of doubles that grows. */
typedef struct of_values {
    double *items;
    size_t count, capacity;
} of_values;

typedef struct of_eval_set {
    char *name;         /* "in", or the name before the '=' */
    const char *source; /* SRC */
    of_tally tally;
    uint64_t non_finite; /* images with a score that is not finite */
    of_values scores[OF_EVAL_SCORES];
    of_values logp, general_logp;
    double mean_logp, mean_general_logp; /* over the finite ones */
    double rank_correlation;             /* of the two models' logp; NaN without two */
    of_metrics metrics[OF_EVAL_SCORES];  /* against the in set; unused in the in set itself */
} of_eval_set;

typedef struct of_evaluation of_evaluation;
struct of_evaluation {
    of_engine *engine;
    of_score scores[OF_EVAL_SCORES];
    size_t score_count;
    of_eval_set *sets; /* sets[0] is the in set */
    size_t set_count;
    double rank_correlation;   /* over all sets together */
    const of_evaluation *bf16; /* the same sets in bfloat16, to be compared; or NULL */
};

/* What the numbers mean; printed with them. */
extern const char of_eval_convention[];

/* Runs all sets and computes everything above. */
of_status of_evaluation_run(of_evaluation *evaluation, of_error *error);

/* Images a second over all sets. */
double of_evaluation_rate(const of_evaluation *evaluation);

void of_evaluation_free(of_evaluation *evaluation);

/* The two forms of the result. */
void of_evaluation_print(const of_evaluation *evaluation, FILE *file);
void of_evaluation_write_json(const of_evaluation *evaluation, FILE *file);

#endif
