/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/gradient.h"

#include "core/memory.h"
#include "core/team.h"
#include "graph/lanes.h"

#include <limits.h>
#include <omp.h>
#include <string.h>

/* One call of of_training_gradient. */
typedef struct task {
    of_training_plan *training;
    const of_plan *plan;
    const of_model *model;
    const of_batch *batch;
    const of_likelihoods *out;
    of_loss_gradient loss;
    void *user;
    unsigned lanes;     /* that get images */
    size_t groups;      /* of all lanes: round r of lane l is group r*lanes + l; where lanes are
                           taken in turn, one lane's follow those of the one before */
    atomic_size_t next; /* group that no thread has taken yet */
    atomic_uint *turns; /* [groups] taken */
    of_scale_watch watch;
} task;

/* The worker's results of an image, as store_image in forward.c left them. */
static void ask_for_gradient(const task *t, const of_run *run, of_backward_buffers *buffers,
                             const of_group *group, uint32_t image) {
    const of_plan *plan = t->plan;
    size_t classes = plan->architecture.classes;
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
        double contributions[OF_MAX_SCALES];
        double logp = of_forward_logp(run, image, contributions);
        gradient = t->loss(t->user, place, logp, NULL, NULL);
    }
    buffers->logp_gradients[image] = gradient;
    buffers->group.logp_gradient += gradient * plan->units;
}

/* The lane that a group belongs to, and which of its groups it is. */
static void place_group(const task *t, size_t number, size_t *lane, size_t *round) {
    *lane = number % t->lanes;
    *round = number / t->lanes;
    if (!t->training->in_turn)
        return;
    *round = number;
    for (*lane = 0;; ++*lane) {
        size_t rounds = of_lane_rounds(t->plan, t->batch->count, t->lanes, *lane);
        if (*round < rounds)
            return;
        *round -= rounds;
    }
}

static of_status run_group(task *t, const of_run *run, of_backward_buffers *buffers, size_t number,
                           of_error *error) {
    const of_plan *plan = t->plan;
    const of_training_plan *training = t->training;
    size_t stride = t->lanes, lane, round;
    place_group(t, number, &lane, &round);
    size_t first = lane + round * plan->group_images * stride;
    size_t left = (t->batch->count - first + stride - 1) / stride;
    const of_group group = {.batch = t->batch,
                            .out = t->out,
                            .first = first,
                            .stride = stride,
                            .images =
                                left < plan->group_images ? (uint32_t)left : plan->group_images};
    size_t back = training->in_turn ? 1 : stride;
    const of_turns turns = {.training = training,
                            .lane = &t->training->lane[lane],
                            .done = &t->turns[number],
                            .before = number >= back ? &t->turns[number - back] : NULL,
                            .first = round == 0 && !training->lane[lane].holds,
                            .last = left <= plan->group_images,
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
    of_backward_buffers *buffers = &t->training->buffers[thread];
    const of_run run = {.plan = t->plan,
                        .worker = &t->training->session->workers[thread],
                        .kept = &buffers->kept,
                        .layer_seconds = t->training->layer_seconds};
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

/* Lane l has the images l, l + lanes, ...: the first lanes have the most. */
static size_t count_groups(const of_plan *plan, size_t count, size_t lanes) {
    size_t groups = 0;
    for (size_t lane = 0; lane < lanes; lane++)
        groups += of_lane_rounds(plan, count, lanes, lane);
    return groups;
}

/* What lanes that are taken in turn cannot do. */
static of_status check_turns(const of_training_plan *training, size_t count, bool add,
                             of_error *error) {
    if (!training->in_turn)
        return OF_OK;
    if (add || count < training->lanes ||
        (training->single_groups && of_lane_rounds(training->plan, count, training->lanes, 0) > 1))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "lanes that share memory take one batch a gradient, with an image for each "
                       "lane, and no more than was planned for");
    return OF_OK;
}

static of_status check(const of_batch *batch, const of_likelihoods *out, of_error *error) {
    if (batch->count == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "gradients need images");
    if (batch->type != OF_PIXEL_F32 || out->latents != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "gradients take floating-point pixels and give no latents");
    return OF_OK;
}

static of_status run_task(task *t, of_error *error) {
    of_worker *workers = t->training->session->workers;
    unsigned threads = t->training->buffer_count;
    of_status status = of_team_check(t->training->plan->threads, error);
    if (status != OF_OK)
        return status;
    of_workers_clear(workers, threads);
#pragma omp parallel num_threads(threads)
    {
        unsigned thread = (unsigned)omp_get_thread_num();
        of_error *mine = &workers[thread].error;
        omp_set_num_threads(1);
        mine->status = run_groups(t, thread, mine);
    }
    return of_workers_outcome(workers, threads, error);
}

of_status of_training_gradient(of_training_plan *training, const of_model *model,
                               const of_batch *batch, const of_likelihoods *out,
                               of_loss_gradient loss, void *user, bool add, of_error *error) {
    const of_plan *plan = training->plan;
    of_status status = check(batch, out, error);
    if (status == OF_OK)
        status = check_turns(training, batch->count, add, error);
    if (status != OF_OK)
        return status;
    task t = {.training = training,
              .plan = plan,
              .model = model,
              .batch = batch,
              .out = out,
              .loss = loss,
              .user = user};
    t.lanes = batch->count < training->lanes ? (unsigned)batch->count : training->lanes;
    t.groups = count_groups(plan, batch->count, t.lanes);
    t.turns = of_allocate_zeroed(t.groups, sizeof *t.turns);
    if (t.turns == NULL)
        return of_fail_memory(error, "the order of a batch");
    for (unsigned lane = 0; !add && lane < training->lanes; lane++)
        training->lane[lane].holds = false;
    t.watch.training = training;
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

of_status of_training_finish_gradient(of_training_plan *training, const of_model *model,
                                      of_error *error) {
    unsigned lanes = 0;
    while (lanes < training->lanes && training->lane[lanes].holds)
        lanes++;
    if (lanes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "there is no gradient to finish");
    const of_run run = {.plan = training->plan, .layer_seconds = training->layer_seconds};
    double start = of_profile_start(&run);
    if (!training->exchanged)
        of_lanes_add(training, lanes);
    of_profile_stop(&run, start, of_training_layer_number(run.plan, 0, 0, OF_STAGE_SUMS));
    for (unsigned lane = 0; lane < lanes; lane++)
        training->lane[lane].holds = false;
    start = of_profile_start(&run);
    of_status status = of_unfold_gradients(training, model, error);
    of_profile_stop(&run, start, of_training_layer_number(run.plan, 0, 0, OF_STAGE_UNFOLD));
    return status;
}

/* ---- Several processes -------------------------------------------------------------------- */

void of_training_exchange_next(of_training_plan *training, const of_gradient_exchange *exchange) {
    training->exchange = exchange;
}

size_t of_training_lane_blocks(const of_training_plan *training, float **blocks) {
    for (unsigned lane = 0; lane < training->lanes; lane++)
        blocks[lane] = training->lane[lane].block;
    return training->block_floats;
}

bool of_training_lanes_added(const of_training_plan *training) {
    return training->in_turn;
}

void of_training_lane_scalars(const of_training_plan *training, unsigned lane, double *scalars) {
    const of_lane *from = &training->lane[lane];
    scalars[0] = from->logp_gradient;
    for (size_t c = 0; c < training->plan->architecture.classes; c++)
        scalars[1 + c] = from->class_gradients[c];
}

void of_training_set_lane_scalars(of_training_plan *training, const double *scalars) {
    of_lane *to = &training->lane[0];
    to->logp_gradient = scalars[0];
    for (size_t c = 0; c < training->plan->architecture.classes; c++)
        to->class_gradients[c] = scalars[1 + c];
}

of_gradient_view of_training_gradient_view(const of_training_plan *training) {
    return (of_gradient_view){training->lane[0].block, training->places};
}

of_status of_training_profile(of_training_plan *training, double *layer_seconds, of_error *error) {
    if (training->plan->threads != 1)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "a profile of training needs a training plan of one thread");
    training->layer_seconds = layer_seconds;
    return OF_OK;
}
