/* SPDX-License-Identifier: Apache-2.0 */
/* What requests for scores have in common, however their images come. */
#ifndef OF_SERVER_SCORING_H
#define OF_SERVER_SCORING_H

#include "server/request.h"

typedef struct of_scoring {
    of_request *request;
    const of_served_model *model;
    of_job job;
    of_counted pixels; /* unless the body itself has them */
    of_counted values; /* rows of the job */
    size_t judged;     /* place of the score that p-values and flags are of */
    double rate;
    bool has_p;    /* that score has p-values */
    bool has_flag; /* and the calibration is large enough for the rate */
    void *details; /* of the route, freed with free() */
} of_scoring;

/* Makes the work of a request, for its model; a score's name and a rate may be given ("" and 0:
 * those of the server). NULL with an answer if that cannot be. */
of_scoring *of_scoring_open(of_request *request, const char *score, double rate);

/* Reads a rate, 0 for "". False with an answer if it is none. */
bool of_scoring_read_rate(of_request *request, double *rate);

/* Room for the pixels of so many images; false with an answer if there is none. */
bool of_scoring_reserve(of_scoring *scoring, size_t images);

/* Scores `count` images; `finished` is called with the job, whose user is the scoring. False with
 * an answer: the queue is full, or memory is exhausted. */
bool of_scoring_submit(of_scoring *scoring, const uint8_t *pixels, size_t count, uint64_t scores,
                       void (*finished)(of_job *job));

/* Of an image: its log-likelihood, a score that was asked for, p-value and flag. */
double of_scoring_logp(const of_scoring *scoring, size_t image);
double of_scoring_value(const of_scoring *scoring, size_t image, size_t score);
double of_scoring_p_value(const of_scoring *scoring, size_t image);
bool of_scoring_flag(const of_scoring *scoring, size_t image);

#endif
