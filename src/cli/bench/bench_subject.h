/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_BENCH_BENCH_SUBJECT_H
#define OF_CLI_BENCH_BENCH_SUBJECT_H

#include "cli/bench/bench.h"
#include "graph/gradient.h"
#include "model/model.h"
#include "train/optimizer.h"

/* Everything that is called over and over. */
typedef struct of_bench_subject {
    const of_bench_wish *wish;
    of_plan *plan; /* NULL where training has its own */
    of_session *session;
    void *pixels;       /* of `pool` batches */
    of_batch batch;     /* the first one */
    size_t batch_bytes; /* of bytes as pixels */
    size_t pool, next;  /* batches to take in turn */
    double *logp;
    /* training: */
    of_training_plan *training;
    of_model *model; /* not owned */
    of_optimizer optimizer;
    uint64_t steps;
} of_bench_subject;

/* To be torn down, also after a failure. `model`, which training changes, and `wish` must live as
 * long. */
of_status of_bench_set_up(of_model *model, const of_bench_wish *wish, of_bench_subject *s,
                          of_error *error);
void of_bench_tear_down(of_bench_subject *s);

/* What is run, or trained. */
const of_plan *of_bench_plan(const of_bench_subject *s);
/* One call: a forward pass, or a step of training. */
of_status of_bench_call(of_bench_subject *s, of_error *error);

/* The parts of a step of training: the gradient of the mean nll, an update of the weights from it.
 */
of_status of_bench_gradient(of_bench_subject *s, of_error *error);
void of_bench_optimize(of_bench_subject *s);

#endif
