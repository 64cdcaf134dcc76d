/* SPDX-License-Identifier: Apache-2.0 */
/* Learning rate over the steps of a run. */
#ifndef OF_TRAIN_SCHEDULE_H
#define OF_TRAIN_SCHEDULE_H

#include <outflow/train.h>

typedef struct of_schedule {
    of_schedule_kind kind;
    double rate;     /* the highest */
    uint64_t warmup; /* steps of linear growth: rate * (step+1)/warmup */
    uint64_t total;  /* steps of the run, for cosine; 0: only time ends it */
    double passed;   /* with a total of 0: the share of that time that has passed */
} of_schedule;

/* Rate of a step, counted from 0. After the warm-up, cosine falls along half a wave to 0 at
 * `total`, or when the time is over (Loshchilov and Hutter 2017, arXiv 1608.03983, without
 * restarts). */
double of_schedule_rate(const of_schedule *schedule, uint64_t step);

#endif
