/* SPDX-License-Identifier: Apache-2.0 */
/* What a forked child can do after its parent has run on several threads: an error instead of a
 * hang, and everything with one thread. */
#define _POSIX_C_SOURCE 200809L
#include <outflow/outflow.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "random_model.h"

enum { PATIENCE = 60 };

static of_model *model;

static of_status forward(const of_plan *plan, unsigned threads, of_error *error) {
    static const float pixels[2 * 3 * 8 * 8];
    double logp[2];
    of_session *session = NULL;
    const of_batch batch = {OF_PIXEL_F32, pixels, 2};
    const of_likelihoods out = {.logp = logp};
    of_status status = of_session_create(plan, threads, &session, error);
    if (status == OF_OK)
        status = of_session_forward(session, &batch, &out, error);
    of_session_free(session);
    return status;
}

static of_status compile(unsigned threads, of_plan **plan, of_error *error) {
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    return of_plan_compile(model, &options, plan, error);
}

/* 0, or what was not as it should be. */
static int child_of_threads(const of_plan *old) {
    of_plan *plan = NULL;
    of_error error;
    alarm(PATIENCE);
    if (forward(old, 2, &error) != OF_ERROR_UNSUPPORTED || strstr(error.message, "fork") == NULL)
        return 1;
    if (compile(2, &plan, &error) != OF_ERROR_UNSUPPORTED || plan != NULL)
        return 2;
    if (forward(old, 1, &error) != OF_OK)
        return 3;
    if (compile(1, &plan, &error) != OF_OK || forward(plan, 1, &error) != OF_OK)
        return 4;
    of_plan_free(plan);
    return 0;
}

/* Nothing has run before: the child has threads of its own. */
static int child_of_one(void) {
    of_plan *plan = NULL;
    of_error error;
    alarm(PATIENCE);
    int result = compile(2, &plan, &error) != OF_OK || forward(plan, 2, &error) != OF_OK;
    of_plan_free(plan);
    return result;
}

static void assert_child(pid_t child) {
    int result;
    assert_int_not_equal(child, -1);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

static void children_end(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    of_plan *plan = NULL;
    of_error error;
    a.channels = 3, a.height = a.width = 8, a.scales = 2, a.steps = 1, a.hidden = 8;
    model = make_model(&a);
    pid_t child = fork();
    if (child == 0)
        _exit(child_of_one());
    assert_child(child);
    assert_int_equal(compile(2, &plan, &error), OF_OK);
    assert_int_equal(forward(plan, 2, &error), OF_OK);
    child = fork();
    if (child == 0)
        _exit(child_of_threads(plan));
    assert_child(child);
    assert_int_equal(forward(plan, 2, &error), OF_OK); /* the parent goes on */
    of_plan_free(plan);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(children_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
