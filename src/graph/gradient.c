/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/gradient.h"

#include "core/memory.h"
#include "graph/training.h"

#include <limits.h>
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
    const of_model *model;
    const of_batch *batch;
    const of_likelihoods *out;
    of_loss_gradient loss;
    void *user;
    unsigned lanes;     /* that get images */
    size_t groups;      /* of all lanes: round r of lane l is group r*lanes + l */
    atomic_size_t next; /* group that no thread has taken yet */
    atomic_uint *turns; /* [groups] taken */
    of_scale_watch watch;
} task;

/* The worker's results of an image, as store_image in forward.c left them. */
static void ask_for_gradient(const task *t, const of_run *run, of_backward_buffers *buffers,
                             const of_group *group, uint32_t image) {
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
            buffers->group.class_gradients[c] += class_gradients[c] * plan->units;
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
    buffers->group.logp_gradient += gradient * plan->units;
}

static of_status run_group(task *t, const of_run *run, of_backward_buffers *buffers, size_t number,
                           of_error *error) {
    of_plan *plan = t->plan;
    size_t stride = t->lanes, lane = number % stride, round = number / stride;
    size_t first = lane + round * plan->group_images * stride;
    size_t left = (t->batch->count - first + stride - 1) / stride;
    const of_group group = {t->batch, t->out, first, stride,
                            left < plan->group_images ? (uint32_t)left : plan->group_images};
    const of_turns turns = {.lane = &plan->training->lane[lane],
                            .done = &t->turns[number],
                            .before = round > 0 ? &t->turns[number - stride] : NULL,
                            .first = round == 0 && !plan->training->lane[lane].holds,
                            .watch = t->watch.exchange != NULL ? &t->watch : NULL};
    of_status status = of_forward_group(run, &group, error);
    if (status != OF_OK)
        return status;
    buffers->group.logp_gradient = 0;
    memset(buffers->group.class_gradients, 0, plan->architecture.classes * sizeof(double));
    for (uint32_t image = 0; image < group.images; image++)
        ask_for_gradient(t, run, buffers, &group, image);
    return of_backward_group(run, t->model, buffers, &turns, group.images, error);
}

/* Groups are taken in order: whoever waits for a group's turn waits for one that is being run. */
static of_status run_groups(task *t, unsigned thread, of_error *error) {
    of_backward_buffers *buffers = &t->plan->training->buffers[thread];
    const of_run run = {.plan = t->plan,
                        .worker = &t->plan->workers[thread],
                        .kept = &buffers->kept,
                        .layer_seconds = t->plan->training->layer_seconds};
    of_status status = OF_OK;
    for (;;) {
        size_t number = atomic_fetch_add(&t->next, 1);
        if (number >= t->groups)
            return status;
        if (status == OF_OK)
            status = run_group(t, &run, buffers, number, error);
        if (status != OF_OK) /* nobody shall wait for it; the sums are lost anyway */
            atomic_store(&t->turns[number], UINT_MAX);
    }
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
static void add_lanes(of_plan *plan, unsigned lanes) {
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned lane = 0; lane + distance < lanes; lane += 2 * distance)
            add_lane(plan, lane, lane + distance);
}

/* Lane l has the images l, l + lanes, ...: the first lanes have the most. */
static size_t count_groups(const of_plan *plan, size_t count, size_t lanes) {
    size_t groups = 0;
    for (size_t lane = 0; lane < lanes; lane++) {
        size_t images = (count - lane + lanes - 1) / lanes;
        size_t rounds = (images + plan->group_images - 1) / plan->group_images;
        if (rounds > 0 && (rounds - 1) * lanes + lane + 1 > groups)
            groups = (rounds - 1) * lanes + lane + 1;
    }
    return groups;
}

static of_status check(const of_plan *plan, const of_batch *batch, const of_likelihoods *out,
                       of_error *error) {
    if (plan->training == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "gradients need a plan compiled for training");
    if (batch->count == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "gradients need images");
    if (batch->type != OF_PIXEL_F32 || out->latents != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "gradients take floating-point pixels and give no latents");
    return OF_OK;
}

static of_status run_task(task *t, of_error *error) {
    of_plan *plan = t->plan;
    unsigned threads = plan->training->buffer_count;
    for (unsigned i = 0; i < threads; i++)
        plan->workers[i].error.status = OF_OK;
#pragma omp parallel num_threads(threads)
    {
        unsigned thread = (unsigned)omp_get_thread_num();
        of_error *mine = &plan->workers[thread].error;
        omp_set_num_threads(1);
        mine->status = run_groups(t, thread, mine);
    }
    for (unsigned i = 0; i < threads; i++)
        if (plan->workers[i].error.status != OF_OK)
            return of_error_copy(error, &plan->workers[i].error);
    return OF_OK;
}

of_status of_plan_gradient(of_plan *plan, const of_model *model, const of_batch *batch,
                           const of_likelihoods *out, of_loss_gradient loss, void *user, bool add,
                           of_error *error) {
    of_status status = check(plan, batch, out, error);
    if (status != OF_OK)
        return status;
    of_training *training = plan->training;
    task t = {.plan = plan, .model = model, .batch = batch, .out = out, .loss = loss, .user = user};
    t.lanes = batch->count < training->lanes ? (unsigned)batch->count : training->lanes;
    t.groups = count_groups(plan, batch->count, t.lanes);
    t.turns = of_allocate_zeroed(t.groups, sizeof *t.turns);
    if (t.turns == NULL)
        return of_fail_memory(error, "the order of a batch");
    for (unsigned lane = 0; !add && lane < training->lanes; lane++)
        training->lane[lane].holds = false;
    t.watch.exchange = training->exchange;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        atomic_store(&t.watch.left[s], t.groups);
    training->exchanged = training->exchange != NULL;
    training->exchange = NULL;
    status = run_task(&t, error);
    for (unsigned lane = 0; lane < t.lanes; lane++)
        training->lane[lane].holds = true;
    of_free(t.turns);
    return status;
}

of_status of_plan_finish_gradient(of_plan *plan, const of_model *model, of_error *error) {
    of_training *training = plan->training;
    unsigned lanes = 0;
    while (lanes < training->lanes && training->lane[lanes].holds)
        lanes++;
    if (lanes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "there is no gradient to finish");
    const of_run run = {.plan = plan, .layer_seconds = training->layer_seconds};
    double start = of_profile_start(&run);
    if (!training->exchanged)
        add_lanes(plan, lanes);
    of_profile_stop(&run, start, 0, 0, OF_PART_SUMS);
    for (unsigned lane = 0; lane < lanes; lane++)
        training->lane[lane].holds = false;
    start = of_profile_start(&run);
    of_status status = of_unfold_gradients(plan, model, error);
    of_profile_stop(&run, start, 0, 0, OF_PART_UNFOLD);
    return status;
}

/* ---- Several processes -------------------------------------------------------------------- */

void of_plan_exchange_next(of_plan *plan, const of_gradient_exchange *exchange) {
    plan->training->exchange = exchange;
}

size_t of_plan_lane_blocks(const of_plan *plan, float **blocks) {
    for (unsigned lane = 0; lane < plan->training->lanes; lane++)
        blocks[lane] = plan->training->lane[lane].block;
    return plan->training->block_floats;
}

/* Scales lie in a block one after the other. */
size_t of_plan_scale_part(const of_plan *plan, uint32_t scale, size_t *begin) {
    const of_training *training = plan->training;
    size_t end =
        scale + 1 < plan->scale_count ? training->layouts[scale + 1].steps : training->block_floats;
    *begin = training->layouts[scale].steps;
    return end - *begin;
}

void of_plan_lane_scalars(const of_plan *plan, unsigned lane, double *scalars) {
    const of_lane *from = &plan->training->lane[lane];
    scalars[0] = from->logp_gradient;
    for (size_t c = 0; c < plan->architecture.classes; c++)
        scalars[1 + c] = from->class_gradients[c];
}

void of_plan_set_lane_scalars(of_plan *plan, const double *scalars) {
    of_lane *to = &plan->training->lane[0];
    to->logp_gradient = scalars[0];
    for (size_t c = 0; c < plan->architecture.classes; c++)
        to->class_gradients[c] = scalars[1 + c];
}

of_gradient_view of_plan_gradient_view(const of_plan *plan) {
    return (of_gradient_view){plan->training->lane[0].block, plan->training->places};
}

of_status of_plan_profile_training(of_plan *plan, double *layer_seconds, of_error *error) {
    if (plan->training == NULL || plan->threads != 1)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "a profile of training needs a training plan of one thread");
    plan->training->layer_seconds = layer_seconds;
    return OF_OK;
}
