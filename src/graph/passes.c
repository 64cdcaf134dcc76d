/* SPDX-License-Identifier: Apache-2.0 */
/* The passes in their order. */
#include "graph/plan.h"

static const struct {
    const char *name;
    of_pass *run;
} passes[] = {{"fold", of_pass_fold},
              {"fuse", of_pass_fuse},
              {"taps", of_pass_taps},
              {"choose", of_pass_choose}};

void of_ops_run_passes(of_plan *plan, of_op_list *list, of_pass_observer *observe, void *user) {
    if (observe != NULL)
        observe(user, "model", list);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        passes[i].run(plan, list);
        if (observe != NULL)
            observe(user, passes[i].name, list);
    }
}
