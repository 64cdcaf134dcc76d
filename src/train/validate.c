/* SPDX-License-Identifier: Apache-2.0 */
#include "train/validate.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>

enum { BATCH = 128 };

/* A walk of one set through one plan. */
typedef struct walk {
    of_held_out *set;
    of_plan *plan;
    double *logp;          /* [count] of the set */
    double *contributions; /* [BATCH][scales] */
    bool with_scores;
} walk;

static of_status walk_batch(const walk *task, size_t first, size_t count, of_error *error) {
    of_held_out *set = task->set;
    const of_architecture *architecture = of_plan_architecture(task->plan);
    uint32_t scales = of_architecture_scale_count(architecture);
    of_batch batch = {OF_PIXEL_U8, of_dataset_image(&set->data, first), count};
    of_likelihoods out = {.logp = task->logp + first, .contributions = task->contributions};
    of_status status = of_plan_forward(task->plan, &batch, &out, error);
    for (size_t i = 0; status == OF_OK && task->with_scores && i < count; i++) {
        double logp = task->logp[first + i];
        set->nll[first + i] = of_nll(architecture, logp);
        set->last[first + i] = -task->contributions[i * scales + scales - 1];
        if (set->general_logp != NULL)
            set->ratio[first + i] = set->general_logp[first + i] - logp;
    }
    return status;
}

static of_status walk_set(const walk *task, const of_train_observer *observer, uint64_t *done,
                          uint64_t total, bool *interrupted, of_error *error) {
    size_t count = task->set->data.count;
    of_status status = OF_OK;
    for (size_t first = 0; status == OF_OK && !*interrupted && first < count; first += BATCH) {
        size_t taken = count - first < BATCH ? count - first : BATCH;
        status = walk_batch(task, first, taken, error);
        *done += taken;
        if (observer != NULL && observer->validating != NULL)
            observer->validating(observer->user, *done, total);
        *interrupted = observer != NULL && observer->stop != NULL && observer->stop(observer->user);
    }
    return status;
}

static double *contributions_of(const of_plan *plan) {
    return of_allocate((size_t)BATCH * of_architecture_scale_count(of_plan_architecture(plan)),
                       sizeof(double));
}

static of_status score_general(of_held_out *set, of_plan *general, of_error *error) {
    walk task = {.set = set,
                 .plan = general,
                 .logp = set->general_logp,
                 .contributions = contributions_of(general)};
    uint64_t done = 0;
    bool interrupted = false;
    of_status status = task.contributions == NULL
                           ? of_fail_memory(error, "the scores of a held-out set")
                           : walk_set(&task, NULL, &done, 0, &interrupted, error);
    of_free(task.contributions);
    return status;
}

static of_status open_set(of_held_out *set, of_plan *general, of_error *error) {
    size_t count = set->data.count;
    set->logp = of_allocate(count, sizeof(double));
    set->nll = of_allocate(count, sizeof(double));
    set->last = of_allocate(count, sizeof(double));
    bool complete = set->logp != NULL && set->nll != NULL && set->last != NULL;
    if (general != NULL) {
        set->ratio = of_allocate(count, sizeof(double));
        set->general_logp = of_allocate(count, sizeof(double));
        complete = complete && set->ratio != NULL && set->general_logp != NULL;
    }
    if (!complete)
        return of_fail_memory(error, "the scores of a held-out set");
    return general != NULL ? score_general(set, general, error) : OF_OK;
}

of_status of_validation_open(of_validation *validation, of_plan *general, of_error *error) {
    of_status status = OF_OK;
    validation->general = general;
    for (size_t i = 0; status == OF_OK && i < validation->set_count; i++)
        status = open_set(&validation->sets[i], general, error);
    return status;
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

of_status of_validation_run(of_validation *validation, of_plan *plan,
                            const of_train_observer *observer, of_valid_report *report,
                            bool *interrupted, of_error *error) {
    const of_architecture *architecture = of_plan_architecture(plan);
    double *contributions = contributions_of(plan);
    uint64_t done = 0, total = 0;
    of_status status = OF_OK;
    *interrupted = false;
    if (contributions == NULL)
        return of_fail_memory(error, "the scores of a held-out set");
    for (size_t i = 0; i < validation->set_count; i++)
        total += validation->sets[i].data.count;
    for (size_t i = 0; status == OF_OK && !*interrupted && i < validation->set_count; i++) {
        of_held_out *set = &validation->sets[i];
        walk task = {set, plan, set->logp, contributions, true};
        status = walk_set(&task, observer, &done, total, interrupted, error);
    }
    of_free(contributions);
    if (status != OF_OK || *interrupted)
        return status;
    report->bits_per_dim = mean_bits(&validation->sets[0], architecture, &report->non_finite);
    report->out_of_count = validation->set_count - 1;
    for (size_t i = 1; status == OF_OK && i < validation->set_count; i++) {
        of_valid_set *result = &report->out_of[i - 1];
        result->name = validation->sets[i].name;
        result->bits_per_dim = mean_bits(&validation->sets[i], architecture, &report->non_finite);
        status = compare(&validation->sets[0], &validation->sets[i], result, error);
    }
    return status;
}
