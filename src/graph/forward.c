/* SPDX-License-Identifier: Apache-2.0 */
/* Images to likelihoods: a thread takes a group of images through the whole graph. */
#include "graph/run.h"

#include <math.h>
#include <string.h>

double of_mixture(const double *class_logp, size_t classes) {
    double most = class_logp[0], sum = 0;
    for (size_t c = 1; c < classes; c++)
        most = fmax(most, class_logp[c]);
    if (!isfinite(most))
        return most;
    for (size_t c = 0; c < classes; c++)
        sum += exp(class_logp[c] - most);
    return most + log(sum) - log((double)classes);
}

double of_forward_logp(const of_run *run, uint32_t image, double *contributions) {
    const of_plan *plan = run->plan;
    size_t scales = plan->scale_count;
    const double *units = run->worker->contributions + (size_t)image * plan->units * scales;
    double logp = 0;
    for (size_t s = 0; s < scales; s++) {
        contributions[s] = 0;
        for (size_t u = 0; u < plan->units; u++)
            contributions[s] += units[u * scales + s];
        logp += contributions[s];
    }
    return logp;
}

static void store_image(const of_run *run, const of_group *work, uint32_t image) {
    const of_plan *plan = run->plan;
    const of_likelihoods *out = work->out;
    size_t scales = plan->scale_count, classes = plan->architecture.classes;
    double contributions[OF_MAX_SCALES], squares[OF_MAX_SCALES] = {0};
    double logp = of_forward_logp(run, image, contributions);
    double *class_sums = run->worker->class_sums + (size_t)image * plan->units * classes;
    for (size_t u = 0; u < plan->units; u++) {
        size_t unit = ((size_t)image * plan->units + u) * scales;
        for (size_t s = 0; s < scales; s++)
            squares[s] += run->worker->squares[unit + s];
        for (size_t c = 0; u > 0 && c < classes; c++)
            class_sums[c] += class_sums[u * classes + c];
    }
    if (classes > 0) {
        for (size_t c = 0; c < classes; c++)
            class_sums[c] += logp;
        logp = of_mixture(class_sums, classes);
    }
    size_t place = work->first + image * work->stride;
    if (out->logp != NULL)
        out->logp[place] = logp;
    if (out->contributions != NULL)
        memcpy(out->contributions + place * scales, contributions, scales * sizeof(double));
    if (out->latent_squares != NULL)
        memcpy(out->latent_squares + place * scales, squares, scales * sizeof(double));
    if (out->class_logp != NULL)
        memcpy(out->class_logp + place * classes, class_sums, classes * sizeof(double));
}

void of_forward_begin(const of_run *run, const of_group *work) {
    const of_plan *plan = run->plan;
    size_t units = (size_t)work->images * plan->units;
    memset(run->worker->contributions, 0, units * plan->scale_count * sizeof(double));
    memset(run->worker->class_sums, 0, units * plan->architecture.classes * sizeof(double));
}

uint32_t of_forward_chunk(const of_scale_plan *scale, uint32_t left) {
    uint32_t chunk = scale->chunk;
    while (chunk > left)
        chunk /= 2;
    return chunk;
}

of_status of_forward_ops(const of_run *run, const of_op *begin, const of_op *end,
                         const of_units *units, of_error *error) {
    of_status status = OF_OK;
    for (const of_op *op = begin; status == OF_OK && op < end; op++) {
        double start = of_profile_start(run);
        status = of_op_type_of(op->kind)->forward(run, op, units, error);
        of_profile_stop(run, start, (size_t)(op - run->plan->ops));
    }
    return status;
}

of_status of_forward_units(const of_run *run, const of_group *work, uint32_t begin, uint32_t units,
                           of_error *error) {
    const of_plan *plan = run->plan;
    of_status status = OF_OK;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        of_units chunk = {work, begin, 0};
        for (; status == OF_OK && chunk.first < begin + units; chunk.first += chunk.count) {
            chunk.count = of_forward_chunk(scale, begin + units - chunk.first);
            status = of_forward_ops(run, scale->ops, scale->ops + scale->op_count, &chunk, error);
        }
    }
    return status;
}

void of_forward_end(const of_run *run, const of_group *work) {
    for (uint32_t image = 0; image < work->images; image++)
        store_image(run, work, image);
}

of_status of_forward_group(const of_run *run, const of_group *work, of_error *error) {
    of_forward_begin(run, work);
    of_status status = of_forward_units(run, work, 0, work->images * run->plan->units, error);
    if (status == OF_OK)
        of_forward_end(run, work);
    return status;
}

uint32_t of_forward_group_size(const of_session *session, size_t count) {
    size_t at_once = (size_t)session->threads * session->plan->group_images;
    size_t rounds = (count + at_once - 1) / at_once;
    size_t shares = rounds * session->threads;
    return (uint32_t)((count + shares - 1) / shares);
}

typedef struct forward_task {
    const of_batch *batch;
    const of_likelihoods *out;
    uint32_t size; /* of a group */
} forward_task;

static of_status forward_group(const of_run *run, size_t number, void *user, of_error *error) {
    const forward_task *task = user;
    size_t first = number * task->size, left = task->batch->count - first;
    const of_group work = {.batch = task->batch,
                           .out = task->out,
                           .first = first,
                           .stride = 1,
                           .images = left < task->size ? (uint32_t)left : task->size};
    return of_forward_group(run, &work, error);
}

of_status of_forward_batch(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error) {
    forward_task task = {batch, out, of_forward_group_size(session, batch->count)};
    size_t groups = (batch->count + task.size - 1) / task.size;
    return of_session_each(session, groups, forward_group, &task, error);
}
