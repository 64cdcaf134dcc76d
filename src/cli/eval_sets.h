/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow eval` measures: the scores of whole sets, and how well each score separates an out
 * set from the in set. */
#ifndef OF_CLI_EVAL_SETS_H
#define OF_CLI_EVAL_SETS_H

#include "cli/gallery.h"
#include "cli/scoring.h"
#include "score/binomial.h"

enum { OF_EVAL_SCORES = OF_SCORES_MOST };

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
    double correlation;                  /* the same, Pearson's */
    of_metrics metrics[OF_EVAL_SCORES];  /* against the in set; unused in the in set itself */
    uint64_t flagged[OF_EVAL_SCORES];    /* images with a p-value up to the rate, or of the
                                            asked score at or above the threshold */
} of_eval_set;

typedef struct of_evaluation of_evaluation;
struct of_evaluation {
    of_engine *engine;
    of_score scores[OF_EVAL_SCORES];
    size_t score_count;
    const of_score *asked; /* is among the scores, whatever the list of reports has; or NULL */
    double rate; /* false-positive rate that is asked for; 0: nothing is flagged by p-values */
    bool with_p_value[OF_EVAL_SCORES]; /* of each score, at this rate */
    bool with_threshold;               /* the asked score's images are flagged at or above */
    double threshold;
    of_eval_set *sets; /* sets[0] is the in set */
    size_t set_count;
    double rank_correlation;   /* over all sets together */
    double correlation;        /* the same, Pearson's */
    of_gallery *gallery;       /* collects images for a report; or NULL */
    const of_evaluation *bf16; /* the same sets in bfloat16, to be compared; or NULL */
};

/* What the numbers mean; printed with them. */
extern const char of_eval_convention[];

/* Runs all sets and computes everything above. */
of_status of_evaluation_run(of_evaluation *evaluation, of_error *error);

/* Its parts, for who runs the sets: the scores that the models allow are chosen, the images of a
 * set are collected, its means are computed, and the two models are compared. */
void of_evaluation_begin(of_evaluation *evaluation);
of_status of_evaluation_collect(const of_evaluation *evaluation, of_eval_set *set,
                                const of_scored_batch *batch, of_error *error);
void of_evaluation_finish_set(of_eval_set *set);
of_status of_evaluation_correlate(of_evaluation *evaluation, of_error *error);

/* Number of a score, score_count if it is not among them. */
size_t of_evaluation_find(const of_evaluation *evaluation, of_score score);

/* Are images flagged under score `index`? */
bool of_evaluation_flags(const of_evaluation *evaluation, size_t index);

/* The rate of flagged images of a set under score `index`, with the binomial confidence interval
 * that OF_EVAL_CONFIDENCE says. */
#define OF_EVAL_CONFIDENCE 0.99
double of_evaluation_flagged(const of_eval_set *set, size_t index, of_interval *interval);

/* Images a second over all sets. */
double of_evaluation_rate(const of_evaluation *evaluation);

void of_evaluation_free(of_evaluation *evaluation);

/* The two forms of the result. */
void of_evaluation_print(const of_evaluation *evaluation, FILE *file);
of_status of_evaluation_write_json(const of_evaluation *evaluation, FILE *file, of_error *error);

#endif
