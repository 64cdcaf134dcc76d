/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/lanes.h"

#include "core/error.h"
#include "core/memory.h"

#include <string.h>

enum {
    MOST_BLOCK_BYTES = 64 << 20, /* of lanes side by side, unless there are */
    MANY_THREADS = 8 /* which would wait for each other's turns, and take more memory than that */
};

void of_round_floats(const of_kernels *kernels, float *values, size_t count) {
    uint16_t upper[512];
    const size_t room = sizeof upper / sizeof *upper;
    for (size_t begin = 0; begin < count; begin += room) {
        size_t n = count - begin < room ? count - begin : room;
        kernels->round_to_bf16(values + begin, upper, n);
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)upper[i] << 16;
            memcpy(&values[begin + i], &bits, sizeof bits);
        }
    }
}

static void add(const of_kernels *kernels, bool rounds, const float *from, float *to,
                size_t count) {
    kernels->accumulate(from, to, count);
    if (rounds)
        of_round_floats(kernels, to, count);
}

/* ---- Blocks ------------------------------------------------------------------------------- */

size_t of_lane_rounds(const of_plan *plan, size_t count, size_t lanes, size_t lane) {
    size_t images = (count - lane + lanes - 1) / lanes;
    return (images + plan->group_images - 1) / plan->group_images;
}

/* Branches before it that end with a lane: its own sum is a branch of one, which is added to its
 * left neighbour where it is a right one, and so on. What the last of all lanes ends has no right
 * neighbour. A branch of which another process has a part is not one. */
static unsigned branches_ended(const of_training_plan *training, unsigned lane) {
    unsigned begin = training->first_lane + lane, size = 1, count = 0;
    bool last = begin + 1 == training->all_lanes;
    while (begin > training->first_lane) {
        bool right = begin / size % 2 == 1;
        if (!right && !last)
            break;
        if (right && begin - size < training->first_lane)
            break;
        begin -= right ? size : 0;
        count += right;
        size *= 2;
    }
    return count;
}

/* Returns how many blocks lie on the stack at most. A lane of one group needs none of its own where
 * it is added to another one at once. */
static unsigned stack_lanes(of_training_plan *training) {
    unsigned depth = 0, most = 0;
    for (unsigned l = 0; l < training->lanes; l++) {
        of_lane *lane = &training->lane[l];
        lane->depth = depth++;
        lane->ended = branches_ended(training, l);
        unsigned needed = training->single_groups && lane->ended > 0 ? depth - 1 : depth;
        most = needed > most ? needed : most;
        depth -= lane->ended;
    }
    return most;
}

static bool takes_turns(const of_training_plan *training, const of_training_options *options) {
    size_t most = options->block_bytes > 0 ? options->block_bytes : (size_t)MOST_BLOCK_BYTES;
    return options->one_call && training->lanes > 1 && training->plan->threads < MANY_THREADS &&
           training->block_floats > most / sizeof(float) / training->lanes;
}

of_status of_lanes_open(of_training_plan *training, const of_training_options *options,
                        of_error *error) {
    const of_plan *plan = training->plan;
    unsigned blocks = training->lanes;
    training->in_turn = takes_turns(training, options);
    training->single_groups = options->batch >= training->lanes &&
                              of_lane_rounds(plan, options->batch, training->lanes, 0) == 1;
    if (training->in_turn)
        blocks = stack_lanes(training);
    for (unsigned l = 0; l < training->lanes; l++) {
        of_lane *lane = &training->lane[l];
        if (!training->in_turn)
            lane->depth = l;
        lane->class_gradients =
            of_arena_take(&training->arena, plan->architecture.classes, sizeof(double));
        if (lane->class_gradients == NULL)
            return of_fail_memory(error, "gradients; fewer lanes need less");
    }
    for (unsigned b = 0; b < blocks; b++) {
        training->stack[b] = of_arena_take(&training->arena, training->block_floats, sizeof(float));
        if (training->stack[b] == NULL)
            return of_fail_memory(error, "gradients; fewer lanes need less");
    }
    for (unsigned l = 0; l < training->lanes; l++)
        training->lane[l].block = training->stack[training->lane[l].depth];
    return OF_OK;
}

/* ---- Sums --------------------------------------------------------------------------------- */

/* The lane's sum of the part is complete: what it ends is added up, from the top of the stack. */
static void end_lane(const of_turns *turns, const of_kernels *kernels, const float *top,
                     size_t place, size_t floats) {
    const of_training_plan *training = turns->training;
    for (unsigned i = 0; i < turns->lane->ended; i++) {
        float *below = training->stack[turns->lane->depth - 1 - i] + place;
        add(kernels, training->rounds, top, below, floats);
        top = below;
    }
}

void of_lanes_take(const of_turns *turns, const of_kernels *kernels, float *sums, size_t place,
                   size_t floats) {
    const of_training_plan *training = turns->training;
    bool at_once = turns->first && turns->last && turns->lane->ended > 0;
    float *own = at_once ? sums : turns->lane->block + place;
    if (!training->in_turn) {
        if (!turns->first) /* the first one has summed there */
            kernels->accumulate(sums, turns->lane->block + place, floats);
        return;
    }
    if (turns->first && !at_once)
        memcpy(own, sums, floats * sizeof(float));
    else if (!turns->first)
        kernels->accumulate(sums, own, floats);
    if (turns->last && training->rounds)
        of_round_floats(kernels, own, floats);
    if (turns->last)
        end_lane(turns, kernels, own, place, floats);
}

/* In pieces shared among the threads. */
static void add_blocks(const of_training_plan *training, const float *from, float *to) {
    const size_t piece = 1 << 14;
    size_t pieces = (training->block_floats + piece - 1) / piece;
#pragma omp parallel for num_threads(training->plan->threads) schedule(static)
    for (size_t i = 0; i < pieces; i++) {
        size_t first = i * piece, left = training->block_floats - first;
        size_t count = left < piece ? left : piece;
        if (from != NULL)
            add(training->plan->kernels, training->rounds, from + first, to + first, count);
        else
            of_round_floats(training->plan->kernels, to + first, count);
    }
}

static void add_lane(of_training_plan *training, unsigned to, unsigned from) {
    of_lane *target = &training->lane[to];
    const of_lane *source = &training->lane[from];
    if (!training->in_turn)
        add_blocks(training, source->block, target->block);
    target->logp_gradient += source->logp_gradient;
    for (size_t c = 0; c < training->plan->architecture.classes; c++)
        target->class_gradients[c] += source->class_gradients[c];
}

void of_lanes_add(of_training_plan *training, unsigned lanes) {
    for (unsigned lane = 0; training->rounds && !training->in_turn && lane < lanes; lane++)
        add_blocks(training, NULL, training->lane[lane].block);
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned lane = 0; lane + distance < lanes; lane += 2 * distance)
            add_lane(training, lane, lane + distance);
}
