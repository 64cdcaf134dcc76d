/* SPDX-License-Identifier: Apache-2.0 */
#include "server/scoring.h"

#include <stdlib.h>

static void free_scoring(void *work) {
    of_scoring *scoring = work;
    of_counted_free(&scoring->pixels);
    of_counted_free(&scoring->values);
    free(scoring->details);
    free(scoring);
}

static of_status choose_judgement(of_scoring *scoring, const char *score, double rate,
                                  of_error *error) {
    const of_served_model *model = scoring->model;
    of_status status = OF_OK;
    scoring->judged = model->judged;
    if (score[0] != '\0')
        status = of_served_score(model, score, &scoring->judged, error);
    if (status != OF_OK)
        return status;
    const of_score judged = model->scores[scoring->judged];
    scoring->rate = rate > 0 ? rate : scoring->request->service->options->rate;
    const of_flag_rule rule = {.score = judged, .rate = scoring->rate};
    of_status checked = of_detector_check_rule(model->detector, &rule, error);
    scoring->has_p = of_detector_check_p_value(model->detector, judged, NULL) == OF_OK;
    scoring->has_flag = checked == OF_OK;
    return rate > 0 ? checked : OF_OK;
}

of_scoring *of_scoring_open(of_request *request, const char *score, double rate) {
    const of_served_model *model = of_request_model(request);
    of_error error;
    if (model == NULL)
        return NULL;
    of_scoring *scoring = calloc(1, sizeof *scoring);
    if (scoring == NULL) {
        of_answer_busy(request, "memory is exhausted");
        return NULL;
    }
    scoring->request = request;
    scoring->model = model;
    scoring->pixels = of_counted_of(&request->service->budget);
    scoring->values = of_counted_of(&request->service->budget);
    request->work = scoring;
    request->free_work = free_scoring;
    if (choose_judgement(scoring, score, rate, &error) == OF_OK)
        return scoring;
    of_answer_error(request, &error);
    return NULL;
}

bool of_scoring_read_rate(of_request *request, double *rate) {
    char *end = request->rate;
    *rate = 0;
    if (request->rate[0] == '\0')
        return true;
    *rate = strtod(request->rate, &end);
    if (*end == '\0' && *rate > 0 && *rate < 1)
        return true;
    of_answer_fail(request, 400, "'fpr' lies between 0 and 1");
    return false;
}

bool of_scoring_reserve(of_scoring *scoring, size_t images) {
    if (images <= SIZE_MAX / scoring->model->image_bytes &&
        of_counted_reserve(&scoring->pixels, images * scoring->model->image_bytes))
        return true;
    of_answer_busy(scoring->request, "requests have all the memory they may have");
    return false;
}

bool of_scoring_submit(of_scoring *scoring, const uint8_t *pixels, size_t count, uint64_t scores,
                       void (*finished)(of_job *job)) {
    of_job *job = &scoring->job;
    *job = (of_job){.model = scoring->model,
                    .scores = scores,
                    .pixels = pixels,
                    .count = count,
                    .deadline = of_request_deadline(scoring->request),
                    .finished = finished,
                    .user = scoring};
    if (!of_counted_reserve(&scoring->values, count * of_job_width(job) * sizeof(double))) {
        of_answer_busy(scoring->request, "requests have all the memory they may have");
        return false;
    }
    job->values = (double *)(void *)scoring->values.bytes;
    scoring->request->images = count;
    of_rates_charge(scoring->request->service->rates, &scoring->request->client, count - 1,
                    of_seconds());
    if (of_scorer_submit(scoring->request->service->scorer, job))
        return true;
    of_answer_busy(scoring->request, "too many images wait to be scored");
    return false;
}

/* ---- Results -------------------------------------------------------------------------------- */

static const double *row_of(const of_scoring *scoring, size_t image) {
    return scoring->job.values + image * of_job_width(&scoring->job);
}

double of_scoring_logp(const of_scoring *scoring, size_t image) {
    return row_of(scoring, image)[0];
}

double of_scoring_value(const of_scoring *scoring, size_t image, size_t score) {
    size_t column = 1;
    for (size_t s = 0; s < score; s++)
        column += scoring->job.scores >> s & 1;
    return row_of(scoring, image)[column];
}

double of_scoring_p_value(const of_scoring *scoring, size_t image) {
    return of_detector_p_value(scoring->model->detector, scoring->model->scores[scoring->judged],
                               of_scoring_value(scoring, image, scoring->judged));
}

bool of_scoring_flag(const of_scoring *scoring, size_t image) {
    const of_flag_rule rule = {.score = scoring->model->scores[scoring->judged],
                               .rate = scoring->rate};
    return of_detector_flags(scoring->model->detector, &rule,
                             of_scoring_value(scoring, image, scoring->judged));
}
