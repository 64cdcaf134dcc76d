/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients from a group's log-likelihoods back to the folded weights: the ops that have sums, last
 * to first. A tail goes back through its step, whose state before is (x), after its map (pass,
 * rest):
 *     g_pass, g_rest' -> coupling -> g_rest, g_coefficients -> taps
 *     -> layers LAST, MIDDLE, FIRST -> added to g_pass; g_pass, g_rest -> map -> g_x.
 * A step takes all images of the group, chunk by chunk, before the next one: its weights and its
 * sums are then still in the cache. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "core/memory.h"
#include "graph/lanes.h"

#include <sched.h>
#include <string.h>
#include <time.h>

/* ---- Turns ------------------------------------------------------------------------------- */

/* The first group of a lane sums in the lane's block, unless that may still be in use. */
static float *sums_of(const of_turns *turns, of_backward_buffers *buffers, size_t place) {
    return turns->first && !turns->training->in_turn ? turns->lane->block + place : buffers->sums;
}

static void wait_for_turn(const of_turns *turns) {
    unsigned mine = atomic_load_explicit(turns->done, memory_order_relaxed);
    const struct timespec nap = {.tv_nsec = 20000};
    for (unsigned tries = 0;
         turns->before != NULL && atomic_load_explicit(turns->before, memory_order_acquire) <= mine;
         tries++) {
        if (tries < 100)
            (void)sched_yield();
        else
            (void)nanosleep(&nap, NULL);
    }
}

static void end_turn(const of_turns *turns) {
    atomic_fetch_add_explicit(turns->done, 1, memory_order_release);
}

static void add_sums(const of_run *run, const of_turns *turns, float *sums, size_t place,
                     size_t floats) {
    double start = of_profile_start(run);
    wait_for_turn(turns);
    of_lanes_take(turns, run->plan->kernels, sums, place, floats);
    end_turn(turns);
    of_profile_stop(run, start, of_training_layer_number(run->plan, 0, 0, OF_STAGE_SUMS));
}

static void add_scalars(const of_plan *plan, const of_turns *turns, const of_lane *group) {
    size_t classes = plan->architecture.classes;
    of_lane *lane = turns->lane;
    wait_for_turn(turns);
    if (turns->first) {
        lane->logp_gradient = 0;
        memset(lane->class_gradients, 0, classes * sizeof(double));
    }
    lane->logp_gradient += group->logp_gradient;
    for (size_t c = 0; c < classes; c++)
        lane->class_gradients[c] += group->class_gradients[c];
    end_turn(turns);
}

/* ---- Parts and scales --------------------------------------------------------------------- */

/* The chunk of a group's units that begins at `first`. */
static of_chunk chunk_at(const of_run *run, of_backward_buffers *buffers, float *sums, uint32_t s,
                         uint32_t first, uint32_t units) {
    const of_scale_plan *scale = &run->plan->scales[s];
    uint32_t count = of_forward_chunk(scale, units - first);
    return (of_chunk){.run = run,
                      .plan = run->plan,
                      .scale = scale,
                      .buffers = buffers,
                      .sums = sums,
                      .s = s,
                      .first = first,
                      .count = count,
                      .positions = (size_t)count * scale->positions};
}

/* An op that has sums of its own: the latents, or a tail with all that belongs to its step. */
static of_status backward_part(const of_run *run, const of_model *model,
                               of_backward_buffers *buffers, const of_turns *turns, const of_op *op,
                               uint32_t units, of_error *error) {
    float *sums = sums_of(turns, buffers, op->sums.begin);
    double start = of_profile_start(run);
    if (op->kind == OF_OP_TAIL)
        of_fold_weights(model, op, buffers);
    of_profile_stop(run, start,
                    of_training_layer_number(run->plan, op->scale, op->step, OF_STAGE_BACK_FOLD));
    memset(sums, 0, op->sums.added * sizeof(float));
    for (uint32_t first = 0; first < units;) {
        const of_chunk c = chunk_at(run, buffers, sums, op->scale, first, units);
        of_status status = of_op_type_of(op->kind)->backward(&c, op, error);
        if (status != OF_OK)
            return status;
        first += c.count;
    }
    add_sums(run, turns, sums, op->sums.begin, op->sums.floats);
    return OF_OK;
}

of_status of_backward_scale(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t s, uint32_t images, of_error *error) {
    const of_scale_plan *scale = &run->plan->scales[s];
    of_status status = OF_OK;
    for (size_t i = scale->op_count; status == OF_OK && i-- > 0;)
        if (scale->ops[i].sums.floats > 0)
            status = backward_part(run, model, buffers, turns, &scale->ops[i],
                                   images * run->plan->units, error);
    return status;
}

static void pass_to_previous_scale(const of_run *run, of_backward_buffers *buffers, uint32_t s,
                                   uint32_t units) {
    /* of_pixels_leave moves a worker's states; lend it the gradients */
    of_worker lent = {0};
    for (uint32_t i = 0; i <= s; i++) {
        lent.pass[i] = buffers->g_pass[i];
        lent.rest[i] = buffers->g_rest[i];
    }
    const of_run on_gradients = {.plan = run->plan, .worker = &lent};
    double start = of_profile_start(run);
    for (uint32_t u = 0; u < units; u++)
        of_pixels_leave(&on_gradients, of_scale_enter(&run->plan->scales[s]), u, NULL, 0);
    of_profile_stop(run, start, of_training_layer_number(run->plan, s, 0, OF_STAGE_BACK_SPLIT));
}

/* All groups have ended a scale before any of them ends the one before: so scales are told in
 * order. */
static void tell_end_of_scale(const of_turns *turns, uint32_t s) {
    of_scale_watch *watch = turns->watch;
    size_t begin;
    if (watch == NULL || atomic_fetch_sub_explicit(&watch->left[s], 1, memory_order_acq_rel) != 1)
        return;
    size_t count = of_training_scale_part(watch->training, s, &begin);
    watch->exchange->ready(watch->exchange->user, begin, count);
}

of_status of_backward_group(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t images, of_error *error) {
    add_scalars(run->plan, turns, &buffers->group);
    for (uint32_t s = run->plan->scale_count; s-- > 0;) {
        of_status status = of_backward_scale(run, model, buffers, turns, s, images, error);
        if (status != OF_OK)
            return status;
        tell_end_of_scale(turns, s);
        if (s > 0)
            pass_to_previous_scale(run, buffers, s, images * run->plan->units);
    }
    return OF_OK;
}
