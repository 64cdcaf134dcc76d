/* SPDX-License-Identifier: Apache-2.0 */
/* Runners are made when a call finds none idle, so that there are as many as there have been calls
 * at the same time. */
#include "core/error.h"
#include "detect/detector.h"

#include <stdlib.h>

of_status of_runner_pool_create(of_runner_pool **pool, of_error *error) {
    of_runner_pool *made = calloc(1, sizeof *made);
    if (made == NULL || pthread_mutex_init(&made->mutex, NULL) != 0) {
        free(made);
        return of_fail_memory(error, "a detector");
    }
    *pool = made;
    return OF_OK;
}

static void free_runner(of_runner *runner) {
    for (size_t i = 0; i < OF_PLACES; i++)
        of_session_free(runner->sessions[i]);
    free(runner);
}

void of_runner_pool_free(of_runner_pool *pool) {
    if (pool == NULL)
        return;
    while (pool->idle != NULL) {
        of_runner *runner = pool->idle;
        pool->idle = runner->next;
        free_runner(runner);
    }
    (void)pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static of_runner *take_idle(of_runner_pool *pool) {
    (void)pthread_mutex_lock(&pool->mutex);
    of_runner *runner = pool->idle;
    if (runner != NULL)
        pool->idle = runner->next;
    (void)pthread_mutex_unlock(&pool->mutex);
    return runner;
}

static of_status make_runner(const of_detector *detector, of_runner **runner, of_error *error) {
    of_status status = OF_OK;
    of_runner *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "sessions of a detector");
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (of_detector_has(detector, i))
            status = of_session_create(detector->plans[i], 0, &made->sessions[i], error);
    if (status == OF_OK)
        *runner = made;
    else
        free_runner(made);
    return status;
}

of_status of_runner_take(const of_detector *detector, of_runner **runner, of_error *error) {
    *runner = take_idle(detector->pool);
    return *runner != NULL ? OF_OK : make_runner(detector, runner, error);
}

void of_runner_give_back(const of_detector *detector, of_runner *runner) {
    of_runner_pool *pool = detector->pool;
    (void)pthread_mutex_lock(&pool->mutex);
    runner->next = pool->idle;
    pool->idle = runner;
    (void)pthread_mutex_unlock(&pool->mutex);
}
