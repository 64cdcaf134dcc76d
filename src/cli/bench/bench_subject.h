/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_BENCH_BENCH_SUBJECT_H
#define OF_CLI_BENCH_BENCH_SUBJECT_H

#include "cli/bench/bench.h"

#include <outflow/train.h>

/* Everything that is called over and over. */
typedef struct of_bench_subject {
    const of_bench_wish *wish;
    of_plan *plan;       /* NULL in training, */
    of_train_loop *loop; /* and else this one */
    of_session *session; /* of the plan */
    void *pixels;        /* of `pool` batches */
    of_batch batch;      /* the first one */
    size_t batch_bytes;  /* of bytes as pixels */
    size_t pool, next;   /* batches to take in turn */
    double *logp;
} of_bench_subject;

/* To be torn down, also after a failure. `model`, which training changes, and `wish` must live as
 * long. */
of_status of_bench_set_up(of_model *model, const of_bench_wish *wish, of_bench_subject *s,
                          of_error *error);
void of_bench_tear_down(of_bench_subject *s);

/* One call: a forward pass, or a step of training. */
of_status of_bench_call(of_bench_subject *s, of_error *error);

/* What runs the calls. */
of_plan_info of_bench_describe(const of_bench_subject *s);

#endif
