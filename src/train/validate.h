/* SPDX-License-Identifier: Apache-2.0 */
/* Likelihoods of held-out sets under the scoring rule, and how well scores separate them. */
#ifndef OF_TRAIN_VALIDATE_H
#define OF_TRAIN_VALIDATE_H

#include "data/sets/dataset.h"
#include "train/settings.h"

/* A held-out set with its scores. */
typedef struct of_held_out {
    const char *name;
    of_dataset data;
    double *logp, *nll, *last, *ratio; /* [count] */
    double *general_logp;              /* [count], computed once: the general model is frozen */
    double general_bin;                /* its of_input_map.bin */
} of_held_out;

typedef struct of_validation {
    of_held_out sets[OF_TRAIN_MOST_OUT_SETS + 1]; /* [0]: the validation set */
    size_t set_count;                             /* 0: there is no validation */
    of_valid_set results[OF_TRAIN_MOST_OUT_SETS]; /* of the last validation */
    of_session *general;                          /* NULL: no ratio */
    of_communicator *communicator;                /* each rank scores its part of every set */
} of_validation;

/* Allocates what the loaded sets need. */
of_status of_validation_open(of_validation *validation, of_session *general,
                             of_communicator *communicator, of_error *error);
/* Scores the sets under the general model, if there is one: once, before training. Ranks share the
 * work, so all of them must have opened. */
of_status of_validation_score_general(of_validation *validation, const of_train_observer *observer,
                                      of_error *error);
void of_validation_close(of_validation *validation);

/* Fills what the report says of the sets. Sets *interrupted, and leaves the report, when `stop`
 * says so between batches. */
of_status of_validation_run(of_validation *validation, of_session *session,
                            const of_train_observer *observer, of_valid_report *report,
                            bool *interrupted, of_error *error);

#endif
