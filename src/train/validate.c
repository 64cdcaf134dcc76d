/* SPDX-License-Identifier: Apache-2.0 */
#include "train/validate.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/parts.h"
#include "model/model.h"

#include <math.h>

enum { BATCH = 128 };

/* A walk of one set through one model. */
typedef struct walk {
    of_held_out *set;
    of_session *session;
    double *logp;          /* [count] of the set */
    double *contributions; /* [BATCH][scales] */
    bool with_scores;
    of_communicator *communicator;
} walk;

static const of_architecture *architecture_of(const of_session *session) {
    return of_plan_architecture(of_session_plan(session));
}

static of_status walk_batch(const walk *task, size_t first, size_t count, of_error *error) {
    of_held_out *set = task->set;
    const of_architecture *architecture = architecture_of(task->session);
    uint32_t scales = of_architecture_scale_count(architecture);
    of_batch batch = {OF_PIXEL_U8, of_dataset_image(&set->data, first), count};
    of_likelihoods out = {.logp = task->logp + first, .contributions = task->contributions};
    of_status status = of_session_forward(task->session, &batch, &out, error);
    for (size_t i = 0; status == OF_OK && task->with_scores && i < count; i++) {
        double logp = task->logp[first + i];
        set->nll[first + i] = of_nll(architecture, logp);
        set->last[first + i] = -task->contributions[i * scales + scales - 1];
        if (set->general_logp != NULL)
            set->ratio[first + i] = set->general_logp[first + i] - logp +
                                    of_bin_difference(architecture, set->general_bin);
    }
    return status;
}

/* Images of a set from this one on are those of the rank. */
static size_t part_begin(const walk *task, unsigned rank) {
    return of_part_begin(task->set->data.count, of_communicator_size(task->communicator), rank);
}

static of_status share_values(const walk *task, double *values, of_error *error) {
    unsigned ranks = of_communicator_size(task->communicator);
    size_t *bytes = of_allocate(ranks, sizeof *bytes);
    if (bytes == NULL)
        return of_fail_memory(error, "the scores of a held-out set");
    for (unsigned r = 0; r < ranks; r++)
        bytes[r] = (part_begin(task, r + 1) - part_begin(task, r)) * sizeof(double);
    of_status status = of_communicator_gather_each(task->communicator, NULL, bytes, values, error);
    of_free(bytes);
    return status;
}

/* Every rank's values to all of them. */
static of_status share_set(const walk *task, of_status status, of_error *error) {
    double *const scores[] = {task->set->nll, task->set->last, task->set->ratio};
    if (of_communicator_size(task->communicator) == 1)
        return status;
    status = of_communicator_agree(task->communicator, status, error);
    if (status == OF_OK)
        status = share_values(task, task->logp, error);
    for (size_t i = 0; i < 3 && status == OF_OK && task->with_scores; i++)
        if (scores[i] != NULL)
            status = share_values(task, scores[i], error);
    return status;
}

static of_status walk_set(const walk *task, const of_train_observer *observer, uint64_t *done,
                          uint64_t total, bool *interrupted, of_error *error) {
    unsigned rank = of_communicator_rank(task->communicator);
    bool alone = of_communicator_size(task->communicator) == 1;
    size_t end = part_begin(task, rank + 1);
    of_status status = OF_OK;
    for (size_t first = part_begin(task, rank); status == OF_OK && !*interrupted && first < end;
         first += BATCH) {
        size_t taken = end - first < BATCH ? end - first : BATCH;
        status = walk_batch(task, first, taken, error);
        *done += taken;
        if (observer->validating != NULL)
            observer->validating(observer->user, *done, total);
        /* several ranks stop together, after it */
        *interrupted = alone && observer->stop != NULL && observer->stop(observer->user);
    }
    return share_set(task, status, error);
}

static double *contributions_of(const of_session *session) {
    return of_allocate((size_t)BATCH * of_architecture_scale_count(architecture_of(session)),
                       sizeof(double));
}

static of_status allocate(of_held_out *set, bool with_general, of_error *error) {
    size_t count = set->data.count;
    set->logp = of_allocate(count, sizeof(double));
    set->nll = of_allocate(count, sizeof(double));
    set->last = of_allocate(count, sizeof(double));
    bool complete = set->logp != NULL && set->nll != NULL && set->last != NULL;
    if (with_general) {
        set->ratio = of_allocate(count, sizeof(double));
        set->general_logp = of_allocate(count, sizeof(double));
        complete = complete && set->ratio != NULL && set->general_logp != NULL;
    }
    return complete ? OF_OK : of_fail_memory(error, "the scores of a held-out set");
}

of_status of_validation_open(of_validation *validation, of_session *general,
                             of_communicator *communicator, of_error *error) {
    of_status status = OF_OK;
    validation->general = general;
    validation->communicator = communicator;
    for (size_t i = 0; status == OF_OK && i < validation->set_count; i++) {
        if (general != NULL)
            validation->sets[i].general_bin = architecture_of(general)->input.bin;
        status = allocate(&validation->sets[i], general != NULL, error);
    }
    return status;
}

static uint64_t images_of_rank(const of_validation *validation) {
    uint64_t total = 0;
    for (size_t i = 0; i < validation->set_count; i++)
        total += validation->sets[i].data.count / of_communicator_size(validation->communicator);
    return total;
}

/* Whoever watches the run, while the general model scores. */
typedef struct general_watch {
    const of_train_observer *observer;
} general_watch;

/* Tells of scoring as of a source that is loaded: training has not begun. */
static void tell_general(void *user, uint64_t done, uint64_t total) {
    const of_train_observer *observer = ((const general_watch *)user)->observer;
    if (observer->loading != NULL)
        observer->loading(observer->user, "held-out images into the general model", done, total);
}

static bool stop_general(void *user) {
    const of_train_observer *observer = ((const general_watch *)user)->observer;
    return observer->stop != NULL && observer->stop(observer->user);
}

of_status of_validation_score_general(of_validation *validation, const of_train_observer *observer,
                                      of_error *error) {
    general_watch watch = {observer};
    of_train_observer watching = {.user = &watch, .validating = tell_general, .stop = stop_general};
    uint64_t done = 0, total = images_of_rank(validation);
    bool interrupted = false;
    if (validation->general == NULL || validation->set_count == 0)
        return OF_OK;
    double *contributions = contributions_of(validation->general);
    of_status status =
        contributions != NULL ? OF_OK : of_fail_memory(error, "the scores of a held-out set");
    for (size_t i = 0; status == OF_OK && !interrupted && i < validation->set_count; i++) {
        of_held_out *set = &validation->sets[i];
        walk task = {set,   validation->general,     set->general_logp, contributions,
                     false, validation->communicator};
        status = walk_set(&task, &watching, &done, total, &interrupted, error);
    }
    of_free(contributions);
    return status == OF_OK && interrupted
               ? of_fail(error, OF_ERROR_IO, "interrupted before training began")
               : status;
}

void of_validation_close(of_validation *validation) {
    for (size_t i = 0; i < validation->set_count; i++) {
        of_held_out *set = &validation->sets[i];
        of_dataset_free(&set->data);
        of_free(set->logp);
        of_free(set->nll);
        of_free(set->last);
        of_free(set->ratio);
        of_free(set->general_logp);
    }
    *validation = (of_validation){0};
}

static double mean_bits(const of_held_out *set, const of_architecture *architecture,
                        size_t *non_finite) {
    double sum = 0;
    size_t finite = 0;
    for (size_t i = 0; i < set->data.count; i++)
        if (isfinite(set->logp[i])) {
            sum += set->logp[i];
            finite++;
        }
    *non_finite += set->data.count - finite;
    return finite > 0 ? of_bits_per_dim(architecture, sum / (double)finite) : (double)NAN;
}

static of_status auroc(const double *in, size_t inliers, const double *out, size_t outliers,
                       double *value, of_error *error) {
    of_metrics metrics = {.auroc = NAN};
    of_status status =
        in == NULL ? OF_OK : of_metrics_compute(in, inliers, out, outliers, &metrics, error);
    *value = metrics.auroc;
    return status;
}

static of_status compare(const of_held_out *in, const of_held_out *out, of_valid_set *result,
                         of_error *error) {
    size_t n = in->data.count, m = out->data.count;
    of_status status = auroc(in->nll, n, out->nll, m, &result->auroc_nll, error);
    if (status == OF_OK)
        status = auroc(in->last, n, out->last, m, &result->auroc_last, error);
    if (status == OF_OK)
        status = auroc(in->ratio, n, out->ratio, m, &result->auroc_ratio, error);
    return status;
}

of_status of_validation_run(of_validation *validation, of_session *session,
                            const of_train_observer *observer, of_valid_report *report,
                            bool *interrupted, of_error *error) {
    const of_architecture *architecture = architecture_of(session);
    double *contributions = contributions_of(session);
    uint64_t done = 0, total = images_of_rank(validation);
    of_status status = OF_OK;
    *interrupted = false;
    if (contributions == NULL)
        return of_fail_memory(error, "the scores of a held-out set");
    for (size_t i = 0; status == OF_OK && !*interrupted && i < validation->set_count; i++) {
        of_held_out *set = &validation->sets[i];
        walk task = {set, session, set->logp, contributions, true, validation->communicator};
        status = walk_set(&task, observer, &done, total, interrupted, error);
    }
    of_free(contributions);
    if (status != OF_OK || *interrupted)
        return status;
    report->bits_per_dim = mean_bits(&validation->sets[0], architecture, &report->non_finite);
    report->valid_non_finite = report->non_finite;
    report->out_of_count = validation->set_count - 1;
    report->out_of = validation->results;
    for (size_t i = 1; status == OF_OK && i < validation->set_count; i++) {
        of_valid_set *result = &validation->results[i - 1];
        result->name = validation->sets[i].name;
        result->bits_per_dim = mean_bits(&validation->sets[i], architecture, &report->non_finite);
        status = compare(&validation->sets[0], &validation->sets[i], result, error);
    }
    return status;
}
