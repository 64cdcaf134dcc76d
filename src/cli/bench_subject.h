/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_BENCH_SUBJECT_H
#define OF_CLI_BENCH_SUBJECT_H

#include "cli/bench.h"
#include "graph/gradient.h"
#include "model/model.h"
#include "train/optimizer.h"

/* Everything that is called over and over. */
typedef struct of_bench_subject {
    const of_bench_wish *wish;
    of_plan *plan;
    void *pixels;       /* of `pool` batches */
    of_batch batch;     /* the first one */
    size_t batch_bytes; /* of bytes as pixels */
    size_t pool, next;  /* batches to take in turn */
    double *logp;
    /* training */
    of_model *model;
    of_optimizer optimizer;
    unsigned char *gradient; /* [model->value_bytes] */
    uint64_t steps;
} of_bench_subject;

/* To be torn down, also after a failure. `wish` must live as long. */
of_status of_bench_set_up(const of_model *model, const of_bench_wish *wish, of_bench_subject *s,
                          of_error *error);
void of_bench_tear_down(of_bench_subject *s);

/* One call: a forward pass, or a step of training. */
of_status of_bench_call(of_bench_subject *s, of_error *error);

/* The parts of a step of training: the loss (mean nll; `user` is the subject), an update of the
 * weights from the gradient. */
double of_bench_loss(void *user, size_t image, double logp, const double *class_logp,
                     double *class_gradient);
void of_bench_optimize(of_bench_subject *s);

#endif
