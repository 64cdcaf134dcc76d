/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/gradient.h"

#include "graph/training.h"

#include <omp.h>
#include <string.h>

of_status of_plan_refresh(of_plan *plan, const of_model *model, of_error *error) {
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        of_status status = of_pack_scale(plan, model, s, plan->threads, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

/* One call of of_plan_gradient. */
typedef struct task {
    of_plan *plan;
    const of_batch *batch;
    const of_likelihoods *out;
    of_loss_gradient loss;
    void *user;
    double *layer_seconds; /* profile, or NULL */
} task;

/* The worker's results of an image, as store_image in forward.c left them. */
static void ask_for_gradient(const task *t, const of_run *run, of_backward_buffers *buffers,
                             of_lane *lane, const of_group *group, uint32_t image) {
    const of_plan *plan = t->plan;
    size_t classes = plan->architecture.classes, scales = plan->scale_count;
    size_t place = group->first + image * group->stride;
    double *class_gradients = buffers->class_gradients + image * classes;
    memset(class_gradients, 0, classes * sizeof(double));
    double gradient = 0;
    if (classes > 0) {
        const double *class_logp = run->worker->class_sums + (size_t)image * plan->units * classes;
        (void)t->loss(t->user, place, of_mixture(class_logp, classes), class_logp, class_gradients);
        for (size_t c = 0; c < classes; c++) {
            gradient += class_gradients[c];
            lane->class_gradients[c] += class_gradients[c] * plan->units;
        }
    } else {
        double logp = 0;
        const double *units = run->worker->contributions + (size_t)image * plan->units * scales;
        for (size_t s = 0; s < scales; s++) {
            double contribution = 0;
            for (size_t u = 0; u < plan->units; u++)
                contribution += units[u * scales + s];
            logp += contribution;
        }
        gradient = t->loss(t->user, place, logp, NULL, NULL);
    }
    buffers->logp_gradients[image] = gradient;
    lane->logp_gradient += gradient * plan->units;
}

static of_status run_lane(const task *t, const of_run *run, of_backward_buffers *buffers,
                          unsigned lane_number, of_error *error) {
    of_plan *plan = t->plan;
    of_training *training = plan->training;
    of_lane *lane = &training->lane[lane_number];
    size_t stride = training->lanes;
    double start = of_profile_start(run);
    memset(lane->block, 0, training->block_floats * sizeof(float));
    memset(lane->class_gradients, 0, plan->architecture.classes * sizeof(double));
    lane->logp_gradient = 0;
    of_profile_stop(run, start, 0, 0, OF_PART_LANES);
    for (size_t first = lane_number; first < t->batch->count;
         first += stride * plan->group_images) {
        size_t left = (t->batch->count - first + stride - 1) / stride;
        const of_group group = {t->batch, t->out, first, stride,
                                left < plan->group_images ? (uint32_t)left : plan->group_images};
        of_status status = of_forward_group(run, &group, error);
        if (status != OF_OK)
            return status;
        for (uint32_t image = 0; image < group.images; image++)
            ask_for_gradient(t, run, buffers, lane, &group, image);
        status = of_backward_group(run, buffers, lane, group.images, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

/* Adds lane `from` to lane `to`, in pieces shared among the threads. */
static void add_lane(of_plan *plan, unsigned to, unsigned from) {
    of_training *training = plan->training;
    of_lane *target = &training->lane[to];
    const of_lane *source = &training->lane[from];
    const size_t piece = 1 << 14;
    size_t pieces = (training->block_floats + piece - 1) / piece;
#pragma omp parallel for num_threads(plan->threads) schedule(static)
    for (size_t i = 0; i < pieces; i++) {
        size_t first = i * piece, left = training->block_floats - first;
        plan->kernels->accumulate(source->block + first, target->block + first,
                                  left < piece ? left : piece);
    }
    target->logp_gradient += source->logp_gradient;
    for (size_t c = 0; c < plan->architecture.classes; c++)
        target->class_gradients[c] += source->class_gradients[c];
}

/* Lane 0 becomes the sum of all, pairwise. */
static void add_lanes(of_plan *plan) {
    unsigned lanes = plan->training->lanes;
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned lane = 0; lane + distance < lanes; lane += 2 * distance)
            add_lane(plan, lane, lane + distance);
}

static of_status check(const of_plan *plan, const of_batch *batch, const of_likelihoods *out,
                       of_error *error) {
    if (plan->training == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "gradients need a plan compiled for training");
    if (batch->type != OF_PIXEL_F32 || out->latents != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "gradients take floating-point pixels and give no latents");
    return OF_OK;
}

static of_status run_lanes(const task *t, of_error *error) {
    of_plan *plan = t->plan;
    of_training *training = plan->training;
    for (unsigned b = 0; b < training->buffer_count; b++)
        plan->workers[b].error.status = OF_OK;
#pragma omp parallel num_threads(training->buffer_count)
    {
        int thread = omp_get_thread_num();
        of_worker *worker = &plan->workers[thread];
        of_backward_buffers *buffers = &training->buffers[thread];
        const of_run run = {.plan = plan,
                            .worker = worker,
                            .threads = 1,
                            .kept = &buffers->kept,
                            .layer_seconds = t->layer_seconds};
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (unsigned lane = 0; lane < training->lanes; lane++)
            if (worker->error.status == OF_OK)
                worker->error.status = run_lane(t, &run, buffers, lane, &worker->error);
    }
    for (unsigned b = 0; b < training->buffer_count; b++)
        if (plan->workers[b].error.status != OF_OK)
            return of_error_copy(error, &plan->workers[b].error);
    return OF_OK;
}

static of_status run_batch(const task *t, const of_model *model, unsigned char *gradient,
                           of_error *error) {
    const of_run whole = {.plan = t->plan, .layer_seconds = t->layer_seconds};
    of_status status = check(t->plan, t->batch, t->out, error);
    if (status == OF_OK)
        status = run_lanes(t, error);
    if (status != OF_OK)
        return status;
    double start = of_profile_start(&whole);
    add_lanes(t->plan);
    of_profile_stop(&whole, start, 0, 0, OF_PART_LANES);
    start = of_profile_start(&whole);
    status = of_unfold_gradients(t->plan, model, &t->plan->training->lane[0], gradient, error);
    of_profile_stop(&whole, start, 0, 0, OF_PART_UNFOLD);
    return status;
}

of_status of_plan_gradient(of_plan *plan, const of_model *model, const of_batch *batch,
                           const of_likelihoods *out, of_loss_gradient loss, void *user,
                           unsigned char *gradient, of_error *error) {
    const task t = {plan, batch, out, loss, user, NULL};
    return run_batch(&t, model, gradient, error);
}

of_status of_plan_profile_gradient(of_plan *plan, const of_model *model, const of_batch *batch,
                                   const of_likelihoods *out, of_loss_gradient loss, void *user,
                                   unsigned char *gradient, double *layer_seconds,
                                   of_error *error) {
    const task t = {plan, batch, out, loss, user, layer_seconds};
    if (plan->training == NULL || plan->threads != 1)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "a profile of training needs a training plan of one thread");
    memset(layer_seconds, 0, of_plan_training_layer_count(plan) * sizeof *layer_seconds);
    return run_batch(&t, model, gradient, error);
}
