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

unsigned of_first_lane(unsigned lanes, unsigned ranks, unsigned rank) {
    return (unsigned)((uint64_t)lanes * rank / ranks);
}

void of_add_lanes(double *const *lane, unsigned lanes, size_t count) {
    for (unsigned distance = 1; distance < lanes; distance *= 2)
        for (unsigned l = 0; l + distance < lanes; l += 2 * distance)
            for (size_t i = 0; i < count; i++)
                lane[l][i] += lane[l + distance][i];
}

/* A whole branch of the tree that lies in one rank: lanes from `lane` on, `size` of them or, at the
 * end, fewer. It is number `turn` of that rank. */
typedef struct branch {
    unsigned lane, size, rank, turn;
} branch;

enum { MOST_TURNS = 16 };

typedef enum job_state { JOB_QUEUED, JOB_EXCHANGED, JOB_SHARED, JOB_DONE } job_state;

/* A part of the blocks on its way. The state says what was started last. */
typedef struct job {
    job_state state;
    size_t begin, count;
    int exchanges[MOST_TURNS], share;
    int *counts; /* [turns][4][ranks]: send counts, places, receive counts, places */
    int *share_counts, *share_places; /* [ranks], in bytes */
    float *received;                  /* [branches][slice]; room for the largest part */
} job;

struct of_reduction {
    of_communicator *communicator;
    unsigned lanes, first, own, ranks, rank;
    float **blocks;
    branch *branches; /* [branch_count], in the order of lanes */
    unsigned branch_count, turns;
    unsigned parts, job_count;
    job *jobs;    /* [parts] */
    bool moving;  /* the communicator's thread is in it */
    bool awaited; /* and another thread waits for the end */
    double begun, ended, waited;
};

/* ---- The tree ----------------------------------------------------------------------------- */

static unsigned list_branches(unsigned lanes, unsigned ranks, branch *branches) {
    unsigned count = 0;
    for (unsigned rank = 0; rank < ranks; rank++) {
        unsigned end = of_first_lane(lanes, ranks, rank + 1), turn = 0;
        for (unsigned lane = of_first_lane(lanes, ranks, rank); lane < end;) {
            unsigned size = 1;
            while (lane % (2 * size) == 0 && size < lanes &&
                   (lane + 2 * size <= end || end == lanes))
                size *= 2;
            branches[count++] = (branch){lane, size, rank, turn++};
            lane += size;
        }
    }
    return count;
}

static void add(float *restrict to, const float *restrict from, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

/* The own lanes of a branch, added up in its first lane's block. */
static void add_branch(const of_reduction *r, const branch *b, const job *j) {
    for (unsigned distance = 1; distance < b->size; distance *= 2)
        for (unsigned l = b->lane; l + distance < b->lane + b->size && l + distance < r->lanes;
             l += 2 * distance)
            add(r->blocks[l - r->first] + j->begin, r->blocks[l + distance - r->first] + j->begin,
                j->count);
}

/* The sum of a range of the tree, in place of its first branch. Ranges are as deep as log2(lanes).
 */
static float *add_received(const of_reduction *r, const job *j, unsigned lane, unsigned size,
                           size_t slice) {
    for (unsigned i = 0; i < r->branch_count; i++)
        if (r->branches[i].lane == lane && r->branches[i].size == size)
            return j->received + i * slice;
    float *left = add_received(r, j, lane, size / 2, slice);
    if (lane + size / 2 < r->lanes)
        add(left, add_received(r, j, lane + size / 2, size / 2, slice), slice);
    return left;
}

static unsigned whole_tree(unsigned lanes) {
    unsigned size = 1;
    while (size < lanes)
        size *= 2;
    return size;
}

/* ---- Slices ------------------------------------------------------------------------------- */

static size_t slice_begin(const of_reduction *r, size_t count, unsigned rank) {
    return of_part_begin(count, r->ranks, rank);
}

static size_t slice_count(const of_reduction *r, size_t count, unsigned rank) {
    return slice_begin(r, count, rank + 1) - slice_begin(r, count, rank);
}

static const branch *find_branch(const of_reduction *r, unsigned rank, unsigned turn) {
    for (unsigned i = 0; i < r->branch_count; i++)
        if (r->branches[i].rank == rank && r->branches[i].turn == turn)
            return &r->branches[i];
    return NULL;
}

static int start_exchange(of_reduction *r, job *j, unsigned turn) {
    int *send = j->counts + (size_t)turn * 4 * r->ranks, *send_places = send + r->ranks;
    int *receive = send_places + r->ranks, *receive_places = receive + r->ranks;
    const branch *mine = find_branch(r, r->rank, turn);
    size_t slice = slice_count(r, j->count, r->rank);
    for (unsigned rank = 0; rank < r->ranks; rank++) {
        const branch *theirs = find_branch(r, rank, turn);
        send[rank] = mine != NULL ? (int)slice_count(r, j->count, rank) : 0;
        send_places[rank] = (int)slice_begin(r, j->count, rank);
        receive[rank] = theirs != NULL ? (int)slice : 0;
        receive_places[rank] = theirs != NULL ? (int)((size_t)(theirs - r->branches) * slice) : 0;
    }
    const float *from = r->blocks[mine != NULL ? mine->lane - r->first : 0] + j->begin;
    return r->communicator->transport.exchange(OF_CHANNEL_EXCHANGE, from, send, send_places,
                                               j->received, receive, receive_places);
}

static int start_share(of_reduction *r, job *j, const float *sums) {
    for (unsigned rank = 0; rank < r->ranks; rank++) {
        j->share_counts[rank] = (int)(slice_count(r, j->count, rank) * sizeof(float));
        j->share_places[rank] = (int)(slice_begin(r, j->count, rank) * sizeof(float));
    }
    return r->communicator->transport.gather(OF_CHANNEL_SHARE, sums, r->blocks[0] + j->begin,
                                             j->share_counts, j->share_places);
}

/* ---- Progress, in the communicator's thread ----------------------------------------------- */

static void fail(of_reduction *r) {
    r->communicator->failed = true;
    pthread_cond_broadcast(&r->communicator->changed);
}

static void exchange_job(of_reduction *r, job *j) {
    pthread_mutex_unlock(&r->communicator->mutex);
    for (unsigned i = 0; i < r->branch_count; i++)
        if (r->branches[i].rank == r->rank)
            add_branch(r, &r->branches[i], j);
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
    const float *sums =
        add_received(r, j, 0, whole_tree(r->lanes), slice_count(r, j->count, r->rank));
    pthread_mutex_lock(&r->communicator->mutex);
    if ((j->share = start_share(r, j, sums)) < 0)
        fail(r);
    j->state = JOB_SHARED;
    return true;
}

static bool end_job(of_reduction *r, job *j) {
    if (!is_done(r, &j->share) || r->communicator->failed)
        return false;
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
    j->received = of_allocate(slice * r->branch_count, sizeof(float));
    return j->counts != NULL && j->share_counts != NULL && j->share_places != NULL &&
           j->received != NULL;
}

static of_status open_memory(of_reduction *r, float *const *blocks, size_t floats,
                             of_error *error) {
    bool complete = true;
    r->blocks = of_allocate(r->own, sizeof *r->blocks);
    r->branches = of_allocate(r->lanes, sizeof *r->branches);
    r->jobs = of_allocate_zeroed(r->parts, sizeof *r->jobs);
    if (r->blocks == NULL || r->branches == NULL || r->jobs == NULL)
        return of_fail_memory(error, "a reduction");
    memcpy(r->blocks, blocks, r->own * sizeof *blocks);
    r->branch_count = list_branches(r->lanes, r->ranks, r->branches);
    for (unsigned i = 0; i < r->branch_count; i++)
        r->turns = r->branches[i].turn >= r->turns ? r->branches[i].turn + 1 : r->turns;
    for (unsigned i = 0; complete && i < r->parts; i++)
        complete = open_job(r, &r->jobs[i], floats);
    return complete ? OF_OK : of_fail_memory(error, "a reduction");
}

of_status of_reduction_open(of_communicator *communicator, unsigned lanes, float *const *blocks,
                            size_t floats, unsigned parts, of_reduction **reduction,
                            of_error *error) {
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
    made->lanes = lanes;
    made->ranks = ranks;
    made->rank = rank;
    made->first = of_first_lane(lanes, ranks, rank);
    made->own = of_first_lane(lanes, ranks, rank + 1) - made->first;
    made->parts = parts;
    of_status status = open_memory(made, blocks, floats, error);
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
    of_free(r->branches);
    of_free(r->blocks);
    of_free(r);
}
