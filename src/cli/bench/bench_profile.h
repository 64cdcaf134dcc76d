/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_BENCH_BENCH_PROFILE_H
#define OF_CLI_BENCH_BENCH_PROFILE_H

#include "cli/bench/bench_subject.h"

/* Layers in the order of execution, with what was spent in each. Names of kernels belong to the
 * plan, so it is kept. */
typedef struct of_bench_profile {
    of_bench_wish wish; /* of one thread */
    of_bench_subject subject;
    size_t count;
    of_layer_info *layers; /* [count] */
    double *seconds;       /* [count] sums */
    double *times;         /* [count] of one pass */
    double wall;           /* of all passes, also between the layers */
    size_t passes, images; /* images: of all passes */
    of_isa isa;
    of_precision precision;
} of_bench_profile;

/* Whole batches on one thread for at least wish->seconds: forward passes, or steps of training. To
 * be freed, also after a failure. */
of_status of_bench_profile_run(of_model *model, const of_bench_wish *wish,
                               of_bench_profile *profile, of_error *error);
void of_bench_profile_free(of_bench_profile *profile);

#endif
