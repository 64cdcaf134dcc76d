/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the lanes of all ranks, the same bits whichever rank has which lanes. A rank adds its
 * own lanes as far as they form whole branches of the tree. Every rank owns a slice of each part:
 * it gets that slice of all branches, adds them in the tree's order, and sends the sum to all. So a
 * float is sent twice at most, whatever the number of ranks. */
#define _POSIX_C_SOURCE 200809L
#include "ranks/reduction.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/parts.h"
#include "ranks/communicator_state.h"

#include <limits.h>
#include <string.h>

void of_add_lanes(double *const *lane, unsigned lanes, size_t count) {
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned l = 0; l + distance < lanes; l += 2 * distance)
            for (size_t i = 0; i < count; i++)
                lane[l][i] += lane[l + distance][i];
}

enum { MOST_TURNS = 16 };

typedef enum job_state { JOB_QUEUED, JOB_EXCHANGED, JOB_SHARED, JOB_DONE } job_state;

/* A part of the blocks on its way. The state says what was started last. */
typedef struct job {
    job_state state;
    size_t begin, count;
    int exchanges[MOST_TURNS], share;
    int *counts; /* [turns][4][ranks]: send counts, places, receive counts, places */
    int *share_counts, *share_places; /* [ranks], in bytes */
    void *received;                   /* [branches][slice]; room for the largest part */
} job;

struct of_reduction {
    of_communicator *communicator;
    unsigned first, own, ranks, rank;
    of_lane_tree tree;
    float **blocks;
    bool added;     /* the blocks hold the sums of branches */
    size_t element; /* bytes of a value in a message */
    unsigned turns;
    unsigned parts, job_count;
    job *jobs;    /* [parts] */
    bool moving;  /* the communicator's thread is in it */
    bool awaited; /* and another thread waits for the end */
    double begun, ended, waited;
};

/* ---- Slices ------------------------------------------------------------------------------- */

static size_t slice_begin(const of_reduction *r, size_t count, unsigned rank) {
    return of_part_begin(count, r->ranks, rank);
}

static size_t slice_count(const of_reduction *r, size_t count, unsigned rank) {
    return slice_begin(r, count, rank + 1) - slice_begin(r, count, rank);
}

static int start_exchange(of_reduction *r, job *j, unsigned turn) {
    int *send = j->counts + (size_t)turn * 4 * r->ranks, *send_places = send + r->ranks;
    int *receive = send_places + r->ranks, *receive_places = receive + r->ranks;
    const of_branch *mine = of_tree_find(&r->tree, r->rank, turn);
    size_t slice = slice_count(r, j->count, r->rank);
    for (unsigned rank = 0; rank < r->ranks; rank++) {
        const of_branch *theirs = of_tree_find(&r->tree, rank, turn);
        send[rank] = mine != NULL ? (int)slice_count(r, j->count, rank) : 0;
        send_places[rank] = (int)slice_begin(r, j->count, rank);
        receive[rank] = theirs != NULL ? (int)slice : 0;
        receive_places[rank] =
            theirs != NULL ? (int)((size_t)(theirs - r->tree.branches) * slice) : 0;
    }
    const float *from = r->blocks[mine != NULL ? mine->lane - r->first : 0] + j->begin;
    return r->communicator->transport.exchange(OF_CHANNEL_EXCHANGE, r->element, from, send,
                                               send_places, j->received, receive, receive_places);
}

/* Rounded sums come to the second half of the place that they will fill as floats. */
static int start_share(of_reduction *r, job *j) {
    for (unsigned rank = 0; rank < r->ranks; rank++) {
        j->share_counts[rank] = (int)(slice_count(r, j->count, rank) * r->element);
        j->share_places[rank] = (int)(slice_begin(r, j->count, rank) * r->element);
    }
    char *to = (char *)(r->blocks[0] + j->begin) + j->count * (sizeof(float) - r->element);
    return r->communicator->transport.gather(OF_CHANNEL_SHARE, j->received, to, j->share_counts,
                                             j->share_places);
}

/* ---- Progress, in the communicator's thread ----------------------------------------------- */

static void fail(of_reduction *r) {
    r->communicator->failed = true;
    pthread_cond_broadcast(&r->communicator->changed);
}

/* A branch of this rank, ready to be sent. */
static void prepare_branch(const of_reduction *r, const of_branch *branch, const job *j) {
    if (!r->added)
        of_tree_add_branch(&r->tree, branch, r->blocks, r->first, j->begin, j->count);
    if (r->tree.kernels != NULL)
        of_tree_pack(&r->tree, r->blocks[branch->lane - r->first] + j->begin, j->count);
}

static void exchange_job(of_reduction *r, job *j) {
    pthread_mutex_unlock(&r->communicator->mutex);
    for (unsigned i = 0; i < r->tree.branch_count; i++)
        if (r->tree.branches[i].rank == r->rank)
            prepare_branch(r, &r->tree.branches[i], j);
    pthread_mutex_lock(&r->communicator->mutex);
    for (unsigned turn = 0; turn < r->turns; turn++)
        if ((j->exchanges[turn] = start_exchange(r, j, turn)) < 0)
            fail(r);
    j->state = JOB_EXCHANGED;
}

/* Asks after a request; true when it is done. */
static bool is_done(of_reduction *r, int *request) {
    if (*request < 0)
        return true;
    int done = r->communicator->transport.test(*request);
    if (done < 0)
        fail(r);
    if (done != 0)
        *request = -1;
    return done > 0;
}

static bool share_job(of_reduction *r, job *j) {
    bool done = true;
    for (unsigned turn = 0; turn < r->turns; turn++)
        done = is_done(r, &j->exchanges[turn]) && done;
    bool in_order = j == r->jobs || j[-1].state >= JOB_SHARED;
    if (!done || !in_order || r->communicator->failed)
        return false;
    pthread_mutex_unlock(&r->communicator->mutex);
    of_tree_add_slices(&r->tree, j->received, slice_count(r, j->count, r->rank));
    pthread_mutex_lock(&r->communicator->mutex);
    if ((j->share = start_share(r, j)) < 0)
        fail(r);
    j->state = JOB_SHARED;
    return true;
}

static bool end_job(of_reduction *r, job *j) {
    if (!is_done(r, &j->share) || r->communicator->failed)
        return false;
    if (r->tree.kernels != NULL) {
        pthread_mutex_unlock(&r->communicator->mutex);
        of_tree_unpack(r->blocks[0] + j->begin, j->count);
        pthread_mutex_lock(&r->communicator->mutex);
    }
    j->state = JOB_DONE;
    r->ended = of_seconds();
    pthread_cond_broadcast(&r->communicator->changed);
    return true;
}

static bool progress(void *user) {
    of_reduction *r = user;
    bool moved = false;
    r->moving = true;
    for (unsigned i = 0; i < r->job_count && !r->communicator->failed; i++) {
        job *j = &r->jobs[i];
        if (j->state == JOB_QUEUED) {
            exchange_job(r, j);
            moved = true;
        } else if (j->state == JOB_EXCHANGED) {
            moved = share_job(r, j) || moved;
        } else if (j->state == JOB_SHARED) {
            moved = end_job(r, j) || moved;
        }
    }
    r->moving = false;
    pthread_cond_broadcast(&r->communicator->changed);
    return moved;
}

static bool is_busy(const of_reduction *r) {
    for (unsigned i = 0; i < r->job_count; i++)
        if (r->jobs[i].state != JOB_DONE)
            return true;
    return false;
}

static of_pace pace(const void *user) {
    const of_reduction *r = user;
    if (r->awaited)
        return OF_PACE_AWAITED;
    return is_busy(r) ? OF_PACE_BUSY : OF_PACE_IDLE;
}

/* ---- Use ---------------------------------------------------------------------------------- */

void of_reduction_start(of_reduction *r, size_t begin, size_t count) {
    of_communicator *c = r->communicator;
    pthread_mutex_lock(&c->mutex);
    if (r->job_count == 0)
        r->begun = of_seconds();
    job *j = &r->jobs[r->job_count++];
    j->begin = begin;
    j->count = count;
    j->state = JOB_QUEUED;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

of_status of_reduction_wait(of_reduction *r, of_error *error) {
    of_communicator *c = r->communicator;
    double start = of_seconds();
    pthread_mutex_lock(&c->mutex);
    r->awaited = true;
    pthread_cond_broadcast(&c->changed);
    while (!c->failed && is_busy(r))
        pthread_cond_wait(&c->changed, &c->mutex);
    r->awaited = false;
    bool failed = c->failed;
    r->job_count = 0;
    pthread_mutex_unlock(&c->mutex);
    r->waited = of_seconds() - start;
    return failed ? of_fail(error, OF_ERROR_INTERNAL, "%s: a message between ranks failed",
                            of_communicator_name(c, r->rank))
                  : OF_OK;
}

double of_reduction_seconds(const of_reduction *r, double *waited) {
    *waited = r->waited;
    return r->ended - r->begun;
}

/* ---- Memory ------------------------------------------------------------------------------- */

static bool open_job(const of_reduction *r, job *j, size_t floats) {
    size_t slice = floats / r->ranks + 1;
    j->counts = of_allocate((size_t)r->turns * 4 * r->ranks, sizeof(int));
    j->share_counts = of_allocate(r->ranks, sizeof(int));
    j->share_places = of_allocate(r->ranks, sizeof(int));
    j->received = of_allocate(slice * r->tree.branch_count, r->element);
    return j->counts != NULL && j->share_counts != NULL && j->share_places != NULL &&
           j->received != NULL;
}

static of_status open_memory(of_reduction *r, float *const *blocks, size_t floats,
                             of_error *error) {
    bool complete = true;
    r->blocks = of_allocate(r->own, sizeof *r->blocks);
    r->tree.branches = of_allocate(r->tree.lanes, sizeof *r->tree.branches);
    r->jobs = of_allocate_zeroed(r->parts, sizeof *r->jobs);
    if (r->blocks == NULL || r->tree.branches == NULL || r->jobs == NULL)
        return of_fail_memory(error, "a reduction");
    memcpy(r->blocks, blocks, r->own * sizeof *blocks);
    of_tree_list_branches(&r->tree);
    for (unsigned i = 0; i < r->tree.branch_count; i++) {
        unsigned turn = r->tree.branches[i].turn;
        r->turns = turn >= r->turns ? turn + 1 : r->turns;
    }
    for (unsigned i = 0; complete && i < r->parts; i++)
        complete = open_job(r, &r->jobs[i], floats);
    return complete ? OF_OK : of_fail_memory(error, "a reduction");
}

of_status of_reduction_open(of_communicator *communicator, const of_reduction_options *options,
                            of_reduction **reduction, of_error *error) {
    unsigned lanes = options->lanes;
    size_t floats = options->floats;
    unsigned ranks = of_communicator_size(communicator), rank = of_communicator_rank(communicator);
    if (lanes < ranks)
        return of_fail(error, OF_ERROR_ARGUMENT, "%u lanes cannot be divided among %u ranks", lanes,
                       ranks);
    if (floats > INT_MAX / sizeof(float))
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "gradients of %zu values are too many for several ranks", floats);
    of_reduction *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "a reduction");
    made->communicator = communicator;
    made->tree = (of_lane_tree){.lanes = lanes, .ranks = ranks, .kernels = options->kernels};
    made->added = options->added;
    made->element = options->kernels != NULL ? sizeof(uint16_t) : sizeof(float);
    made->ranks = ranks;
    made->rank = rank;
    made->first = of_first_lane(lanes, ranks, rank);
    made->own = of_first_lane(lanes, ranks, rank + 1) - made->first;
    made->parts = options->parts;
    of_status status = open_memory(made, options->blocks, floats, error);
    if (status != OF_OK) {
        of_reduction_close(made);
        return status;
    }
    pthread_mutex_lock(&communicator->mutex);
    communicator->work = (of_message_work){made, progress, pace};
    pthread_mutex_unlock(&communicator->mutex);
    *reduction = made;
    return OF_OK;
}

void of_reduction_close(of_reduction *r) {
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->communicator->mutex);
    while (r->moving)
        pthread_cond_wait(&r->communicator->changed, &r->communicator->mutex);
    if (r->communicator->work.user == r)
        r->communicator->work = (of_message_work){.user = NULL};
    pthread_mutex_unlock(&r->communicator->mutex);
    for (unsigned i = 0; r->jobs != NULL && i < r->parts; i++) {
        of_free(r->jobs[i].counts);
        of_free(r->jobs[i].share_counts);
        of_free(r->jobs[i].share_places);
        of_free(r->jobs[i].received);
    }
    of_free(r->jobs);
    of_free(r->tree.branches);
    of_free(r->blocks);
    of_free(r);
}
