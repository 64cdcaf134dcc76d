/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller runs a plan with, and which way a batch takes. */
#include "core/batch_check.h"
#include "core/memory.h"
#include "graph/run.h"

#include <omp.h>
#include <string.h>

of_status of_session_create(const of_plan *plan, unsigned threads, of_session **result,
                            of_error *error) {
    if (plan == NULL || result == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_session_create: a plan is needed");
    if (threads > plan->threads)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "threads",
                               "a session of %u threads, but the plan was compiled for %u", threads,
                               plan->threads);
    of_session *session = of_allocate_zeroed(1, sizeof *session);
    if (session == NULL)
        return of_fail_memory(error, "a session");
    session->plan = plan;
    session->threads = threads > 0 ? threads : plan->threads;
    of_status status = of_workers_create(plan, session->threads, &session->workers, error);
    if (status != OF_OK) {
        of_session_free(session);
        return status;
    }
    *result = session;
    return OF_OK;
}

void of_session_free(of_session *session) {
    if (session == NULL)
        return;
    of_workers_free(session->workers, session->threads);
    of_free(session);
}

const of_plan *of_session_plan(const of_session *session) {
    return session->plan;
}

size_t of_session_bytes(const of_session *session) {
    return of_workspace_bytes(session->plan, session->threads);
}

/* ---- Forward ----------------------------------------------------------------------------- */

static of_status check(const of_session *session, const of_batch *batch, const of_likelihoods *out,
                       of_error *error) {
    if (session == NULL || batch == NULL || out == NULL ||
        (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_forward: session, images and results are all needed");
    of_status status = of_batch_check(batch, "of_session_forward", error);
    if (status != OF_OK)
        return status;
    if (out->class_logp != NULL && session->plan->architecture.classes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_forward: class_logp was asked of a model without classes");
    return OF_OK;
}

/* Bands of rows were laid out for all threads of the plan; patches go to any number. */
static bool can_share_images(const of_session *session) {
    const of_plan *plan = session->plan;
    return plan->shares_images && (plan->units > 1 || session->threads == plan->threads);
}

of_status of_session_forward(of_session *session, const of_batch *batch, const of_likelihoods *out,
                             of_error *error) {
    of_status status = check(session, batch, out, error);
    if (status != OF_OK || batch->count == 0)
        return status;
    if (batch->count < session->threads && can_share_images(session) &&
        of_bands_pay(session, batch->count)) {
        status = of_bands_forward(session, batch, out, error);
        if (status != OF_ERROR_UNSUPPORTED) /* of a team that is too small */
            return status;
    }
    return of_forward_batch(session, batch, out, error);
}

of_status of_session_profile(of_session *session, const of_batch *batch, double *layer_seconds,
                             of_error *error) {
    if (session == NULL || batch == NULL || layer_seconds == NULL || batch->pixels == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_profile: session, images and an array are all needed");
    of_status status = of_batch_check(batch, "of_session_profile", error);
    if (status != OF_OK)
        return status;
    const of_plan *plan = session->plan;
    const of_run run = {
        .plan = plan, .worker = &session->workers[0], .layer_seconds = layer_seconds};
    const of_likelihoods nothing = {0};
    int callers_threads = omp_get_max_threads();
    memset(layer_seconds, 0, of_plan_layer_count(plan) * sizeof *layer_seconds);
    omp_set_num_threads(1);
    for (size_t first = 0; status == OF_OK && first < batch->count; first += plan->group_images) {
        size_t left = batch->count - first;
        const of_group group = {.batch = batch,
                                .out = &nothing,
                                .first = first,
                                .stride = 1,
                                .images = left < plan->group_images ? (uint32_t)left
                                                                    : plan->group_images};
        status = of_forward_group(&run, &group, error);
    }
    omp_set_num_threads(callers_threads);
    return status;
}
