/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/scorer.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Consecutive images of a job that are in a batch. */
typedef struct batch_part {
    of_job *job;
    size_t first, count;
} batch_part;

/* What a worker computes at a time; its memory is kept. */
typedef struct score_batch {
    of_scorer *scorer;
    const of_served_model *model;
    uint64_t scores;
    batch_part *parts; /* [max_batch] */
    size_t part_count, images;
    uint8_t *pixels; /* gathered, if there are several parts */
    size_t pixel_bytes;
    size_t row; /* next result's part, and image in it */
    size_t image;
} score_batch;

struct of_scorer {
    const of_server_options *options;
    of_meters *metrics;
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    of_job *first, *last; /* a ring is made of it: a job that is not done goes to the end */
    size_t waiting;       /* images */
    bool stopping;
    pthread_t *threads;
    size_t thread_count;
};

size_t of_job_width(const of_job *job) {
    size_t width = 1;
    for (uint64_t left = job->scores; left != 0; left &= left - 1)
        width++;
    return width;
}

/* ---- The queue; with the mutex -------------------------------------------------------------- */

static void append(of_scorer *scorer, of_job *job) {
    job->next = NULL;
    if (scorer->last != NULL)
        scorer->last->next = job;
    else
        scorer->first = job;
    scorer->last = job;
}

static void take_out(of_scorer *scorer, of_job *job, of_job *before) {
    if (before != NULL)
        before->next = job->next;
    else
        scorer->first = job->next;
    if (scorer->last == job)
        scorer->last = before;
}

static bool fits(const of_job *job, const score_batch *batch) {
    return job->alone == NULL && job->model == batch->model && job->scores == batch->scores;
}

static size_t matching_jobs(const of_scorer *scorer, const score_batch *batch) {
    size_t count = 0;
    for (const of_job *job = scorer->first; job != NULL; job = job->next)
        count += fits(job, batch);
    return count;
}

static void add_part(of_scorer *scorer, score_batch *batch, of_job *job, size_t most) {
    size_t left = job->count - job->taken, count = left < most ? left : most;
    batch_part *last = batch->part_count > 0 ? &batch->parts[batch->part_count - 1] : NULL;
    if (last != NULL && last->job == job)
        last->count += count;
    else
        batch->parts[batch->part_count++] = (batch_part){job, job->taken, count};
    if (job->taken == 0)
        of_meters_stage(scorer->metrics, OF_STAGE_QUEUE, of_seconds() - job->since);
    job->taken += count;
    batch->images += count;
    scorer->waiting -= count;
}

/* Each job that fits gives at most `share` images; one that is not done goes to the end, so that
 * the next batch begins with others. */
static void gather_round(of_scorer *scorer, score_batch *batch, size_t jobs, size_t share) {
    of_job *before = NULL, *job = scorer->first;
    while (job != NULL && jobs > 0 && batch->images < scorer->options->max_batch) {
        of_job *next = job->next;
        if (fits(job, batch)) {
            size_t space = scorer->options->max_batch - batch->images;
            add_part(scorer, batch, job, share < space ? share : space);
            take_out(scorer, job, before);
            if (job->taken < job->count)
                append(scorer, job);
            jobs--;
        } else {
            before = job;
        }
        job = next;
    }
}

/* A batch of the first job's kind, shared evenly among all jobs of that kind. */
static void gather(of_scorer *scorer, score_batch *batch) {
    size_t jobs;
    batch->model = scorer->first->model;
    batch->scores = scorer->first->scores;
    batch->part_count = 0;
    batch->images = 0;
    jobs = matching_jobs(scorer, batch);
    size_t share = scorer->options->max_batch / jobs;
    gather_round(scorer, batch, jobs, share > 0 ? share : 1);
    /* The rest of the space: to one job as a whole, so that a batch has few parts. */
    if (batch->images < scorer->options->max_batch && matching_jobs(scorer, batch) > 0)
        gather_round(scorer, batch, SIZE_MAX, SIZE_MAX);
}

/* The first job if it is late, taken out. */
static of_job *take_late(of_scorer *scorer) {
    of_job *job = scorer->first;
    if (job == NULL || job->taken > 0 || of_seconds() < job->deadline)
        return NULL;
    take_out(scorer, job, NULL);
    scorer->waiting -= job->count;
    job->outcome = OF_JOB_LATE;
    return job;
}

static void wait_for_more(of_scorer *scorer) {
    double left = scorer->first->since + scorer->options->max_wait - of_seconds();
    struct timespec until;
    if (left <= 0 || scorer->waiting >= scorer->options->max_batch || scorer->stopping ||
        scorer->first->alone != NULL)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    double end = (double)until.tv_sec + (double)until.tv_nsec * 1e-9 + left;
    until.tv_sec = (time_t)end;
    until.tv_nsec = (long)((end - floor(end)) * 1e9);
    (void)pthread_cond_timedwait(&scorer->arrived, &scorer->mutex, &until);
}

static bool must_wait(const of_scorer *scorer) {
    return scorer->first->alone == NULL && !scorer->stopping &&
           scorer->waiting < scorer->options->max_batch &&
           of_seconds() < scorer->first->since + scorer->options->max_wait;
}

/* ---- Computing ------------------------------------------------------------------------------ */

static double *next_row(score_batch *batch, const of_job **job) {
    const batch_part *part = &batch->parts[batch->row];
    double *row = part->job->values + (part->first + batch->image) * of_job_width(part->job);
    *job = part->job;
    if (++batch->image == part->count) {
        batch->row++;
        batch->image = 0;
    }
    return row;
}

static void count_image(const score_batch *batch, double logp, double p_value) {
    const of_served_model *model = batch->model;
    double rate = batch->scorer->options->rate;
    of_meters_image(batch->scorer->metrics, model->index,
                    of_bits_per_dim(of_detector_architecture(model->detector), logp), p_value,
                    p_value <= rate);
}

static of_status write_rows(void *user, const of_scored_batch *scored, of_error *error) {
    score_batch *batch = user;
    const of_served_model *model = batch->model;
    (void)error;
    for (size_t i = 0; i < of_scored_count(scored); i++) {
        of_image_likelihood likelihood = of_scored_likelihood(scored, i);
        const of_job *job;
        double *row = next_row(batch, &job), p_value = (double)NAN;
        *row++ = likelihood.logp;
        for (size_t s = 0; s < model->score_count; s++) {
            if ((batch->scores >> s & 1) == 0)
                continue;
            *row = of_detector_value(model->detector, model->scores[s], &likelihood);
            if (s == model->judged && model->calibrated)
                p_value = of_detector_p_value(model->detector, model->scores[s], *row);
            row++;
        }
        count_image(batch, likelihood.logp, p_value);
    }
    return OF_OK;
}

/* The pixels of all parts, one after the other. */
static const uint8_t *gather_pixels(score_batch *batch) {
    size_t image = batch->model->image_bytes, wanted = batch->images * image, used = 0;
    if (batch->part_count == 1)
        return batch->parts[0].job->pixels + batch->parts[0].first * image;
    if (wanted > batch->pixel_bytes) {
        free(batch->pixels);
        batch->pixels = malloc(wanted);
        batch->pixel_bytes = batch->pixels != NULL ? wanted : 0;
    }
    for (size_t i = 0; batch->pixels != NULL && i < batch->part_count; i++) {
        const batch_part *part = &batch->parts[i];
        memcpy(batch->pixels + used, part->job->pixels + part->first * image, part->count * image);
        used += part->count * image;
    }
    return batch->pixels;
}

static unsigned needs_of(const score_batch *batch) {
    unsigned needs = 0;
    for (size_t s = 0; s < batch->model->score_count; s++)
        if ((batch->scores >> s & 1) != 0)
            needs |= of_score_needs(batch->model->scores[s]);
    return needs & (OF_NEEDS_PNG | OF_NEEDS_WEBP);
}

static of_status compute(score_batch *batch, of_error *error) {
    double start = of_seconds();
    const of_batch images = {OF_PIXEL_U8, gather_pixels(batch), batch->images};
    if (images.pixels == NULL)
        return of_fail_memory(error, "a batch of images");
    batch->row = 0;
    batch->image = 0;
    of_status status = of_detector_visit(batch->model->detector, &images, needs_of(batch),
                                         write_rows, batch, error);
    of_meters_batch(batch->scorer->metrics, batch->images, of_seconds() - start);
    return status;
}

/* ---- Finishing ------------------------------------------------------------------------------ */

/* With the mutex: a job that failed gives up what is still in the queue of it. */
static void give_up_rest(of_scorer *scorer, of_job *job) {
    of_job *before = NULL;
    if (job->taken == job->count)
        return;
    for (of_job *other = scorer->first; other != NULL && other != job; other = other->next)
        before = other;
    take_out(scorer, job, before);
    scorer->waiting -= job->count - job->taken;
    job->done += job->count - job->taken;
    job->taken = job->count;
}

/* Another worker may have images of the same job: the last one finishes it. */
static void finish_part(of_scorer *scorer, const batch_part *part, of_status status,
                        const of_error *error) {
    of_job *job = part->job;
    (void)pthread_mutex_lock(&scorer->mutex);
    job->done += part->count;
    if (status != OF_OK) {
        job->outcome = OF_JOB_FAILED;
        job->error = *error;
        give_up_rest(scorer, job);
    }
    bool last = job->done == job->count;
    (void)pthread_mutex_unlock(&scorer->mutex);
    if (last)
        job->finished(job);
}

static void run_batch(score_batch *batch) {
    of_error error = {.status = OF_OK};
    of_status status = compute(batch, &error);
    for (size_t i = 0; i < batch->part_count; i++)
        finish_part(batch->scorer, &batch->parts[i], status, &error);
}

static void run_alone(of_scorer *scorer, of_job *job) {
    double start = of_seconds();
    if (job->alone(job, &job->error) != OF_OK)
        job->outcome = OF_JOB_FAILED;
    of_meters_stage(scorer->metrics, OF_STAGE_COMPUTE, of_seconds() - start);
    job->finished(job);
}

/* ---- Workers -------------------------------------------------------------------------------- */

/* Takes what is next out of the queue, and does it without the mutex. */
static void work_once(of_scorer *scorer, score_batch *batch) {
    of_job *late = take_late(scorer), *alone = NULL;
    if (late == NULL && scorer->first->alone != NULL) {
        alone = scorer->first;
        take_out(scorer, alone, NULL);
        alone->taken = alone->count;
        scorer->waiting -= alone->count;
        of_meters_stage(scorer->metrics, OF_STAGE_QUEUE, of_seconds() - alone->since);
    } else if (late == NULL) {
        gather(scorer, batch);
    }
    (void)pthread_mutex_unlock(&scorer->mutex);
    if (late != NULL)
        late->finished(late);
    else if (alone != NULL)
        run_alone(scorer, alone);
    else
        run_batch(batch);
    (void)pthread_mutex_lock(&scorer->mutex);
}

static void *worker(void *user) {
    of_scorer *scorer = user;
    score_batch batch = {.scorer = scorer,
                         .parts = calloc(scorer->options->max_batch, sizeof(batch_part))};
    (void)pthread_mutex_lock(&scorer->mutex);
    for (;;) {
        if (scorer->first == NULL && scorer->stopping)
            break;
        if (scorer->first == NULL)
            (void)pthread_cond_wait(&scorer->arrived, &scorer->mutex);
        else if (must_wait(scorer))
            wait_for_more(scorer);
        else
            work_once(scorer, &batch);
    }
    (void)pthread_mutex_unlock(&scorer->mutex);
    free(batch.parts);
    free(batch.pixels);
    return NULL;
}

bool of_scorer_submit(of_scorer *scorer, of_job *job) {
    (void)pthread_mutex_lock(&scorer->mutex);
    bool room = !scorer->stopping && scorer->waiting + job->count <= scorer->options->max_queue;
    if (room) {
        job->outcome = OF_JOB_SCORED;
        job->taken = job->done = 0;
        job->since = of_seconds();
        scorer->waiting += job->count;
        append(scorer, job);
        (void)pthread_cond_signal(&scorer->arrived);
    }
    (void)pthread_mutex_unlock(&scorer->mutex);
    return room;
}

size_t of_scorer_waiting(of_scorer *scorer) {
    (void)pthread_mutex_lock(&scorer->mutex);
    size_t waiting = scorer->waiting;
    (void)pthread_mutex_unlock(&scorer->mutex);
    return waiting;
}

static of_status start_workers(of_scorer *scorer, of_error *error) {
    scorer->threads = calloc(scorer->options->workers, sizeof *scorer->threads);
    if (scorer->threads == NULL)
        return of_fail_memory(error, "workers");
    while (scorer->thread_count < scorer->options->workers) {
        if (pthread_create(&scorer->threads[scorer->thread_count], NULL, worker, scorer) != 0)
            return of_fail(error, OF_ERROR_INTERNAL, "a thread cannot be started");
        scorer->thread_count++;
    }
    return OF_OK;
}

of_status of_scorer_create(const of_server_options *options, of_meters *metrics, of_scorer **scorer,
                           of_error *error) {
    pthread_condattr_t clock;
    of_scorer *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "the queue");
    made->options = options;
    made->metrics = metrics;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&made->arrived, &clock);
    (void)pthread_condattr_destroy(&clock);
    of_status status = start_workers(made, error);
    if (status == OF_OK)
        *scorer = made;
    else
        of_scorer_free(made);
    return status;
}

void of_scorer_stop(of_scorer *scorer) {
    (void)pthread_mutex_lock(&scorer->mutex);
    scorer->stopping = true;
    (void)pthread_cond_broadcast(&scorer->arrived);
    (void)pthread_mutex_unlock(&scorer->mutex);
    for (size_t i = 0; i < scorer->thread_count; i++)
        (void)pthread_join(scorer->threads[i], NULL);
    scorer->thread_count = 0;
}

void of_scorer_free(of_scorer *scorer) {
    if (scorer == NULL)
        return;
    of_scorer_stop(scorer);
    (void)pthread_cond_destroy(&scorer->arrived);
    (void)pthread_mutex_destroy(&scorer->mutex);
    free(scorer->threads);
    free(scorer);
}
