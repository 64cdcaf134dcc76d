/* SPDX-License-Identifier: Apache-2.0 */
/* A model compiled, with a session of all of the plan's threads. */
#ifndef OF_TESTS_COMPILED_H
#define OF_TESTS_COMPILED_H

#include <outflow/outflow.h>

typedef struct compiled {
    of_plan *plan;
    of_session *session;
} compiled;

/* `options` may be NULL. */
static inline compiled compile_with(const of_model *model, const of_plan_options *options) {
    compiled made = {NULL, NULL};
    of_error error;
    if (of_plan_compile(model, options, &made.plan, &error) != OF_OK ||
        of_session_create(made.plan, 0, &made.session, &error) != OF_OK)
        fail_msg("%s", error.message);
    return made;
}

static inline void free_compiled(const compiled *made) {
    of_session_free(made->session);
    of_plan_free(made->plan);
}

#endif
