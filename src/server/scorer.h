/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic batching: images that wait together are scored together, whoever sent them. */
#ifndef OF_SERVER_SCORER_H
#define OF_SERVER_SCORER_H

#include "server/metrics.h"

typedef struct of_scorer of_scorer;

typedef enum of_job_outcome {
    OF_JOB_SCORED,
    OF_JOB_FAILED, /* `error` says why */
    OF_JOB_LATE    /* waited until its deadline */
} of_job_outcome;

/* Images of a request, or another piece of work that wants the machine. All but the last part is
 * filled by who submits it, and lives until `finished` is called. */
typedef struct of_job {
    const of_served_model *model;
    uint64_t scores;       /* which of the model's, a bit each */
    const uint8_t *pixels; /* [count][image_bytes] */
    size_t count;          /* at least 1 */
    double *values;        /* [count][1 + scores]: logp, then the scores in the model's order */
    double deadline;       /* of_seconds() */
    of_status (*alone)(struct of_job *job, of_error *error); /* NULL: score the images */
    void (*finished)(struct of_job *job);                    /* called by a worker, once */
    void *user;

    of_job_outcome outcome;
    of_error error;
    size_t taken, done; /* images */
    double since;
    struct of_job *next;
} of_job;

/* Numbers in a row of `values`. */
size_t of_job_width(const of_job *job);

/* Starts the workers. `metrics` and `options` must outlive it. */
of_status of_scorer_create(const of_server_options *options, of_meters *metrics, of_scorer **scorer,
                           of_error *error);

/* Puts a job into the queue. False: the queue is full, and nothing has happened. */
bool of_scorer_submit(of_scorer *scorer, of_job *job);

/* Images that wait. */
size_t of_scorer_waiting(of_scorer *scorer);

/* Finishes what waits, and ends the workers. Nothing is taken any more. */
void of_scorer_stop(of_scorer *scorer);

/* The same, and frees the scorer; NULL is allowed. */
void of_scorer_free(of_scorer *scorer);

#endif
