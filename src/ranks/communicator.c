/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "ranks/communicator.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "ranks/communicator_state.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double BEAT_SECONDS = 1;
enum { GOODBYE = -1 };

unsigned of_communicator_rank(const of_communicator *communicator) {
    return communicator != NULL ? communicator->transport.rank : 0;
}

unsigned of_communicator_size(const of_communicator *communicator) {
    return communicator != NULL ? communicator->transport.size : 1;
}

const char *of_communicator_name(const of_communicator *communicator, unsigned rank) {
    return communicator != NULL ? communicator->names[rank] : "rank 0";
}

bool of_communicator_is_agreed(const of_communicator *communicator) {
    return communicator != NULL && communicator->agreed;
}

/* Launchers drop what they have not passed on yet of what a rank said. */
void of_communicator_abort(of_communicator *communicator, int exit_code) {
    const struct timespec pause = {.tv_nsec = 500000000L};
    (void)nanosleep(&pause, NULL);
    communicator->transport.abort(exit_code);
}

static bool is_alone(const of_communicator *communicator) {
    return of_communicator_size(communicator) == 1;
}

/* ---- Signs of life ------------------------------------------------------------------------ */

static void report_lost(of_communicator *c, unsigned rank) {
    char text[OF_RANK_NAME + 96];
    (void)snprintf(text, sizeof text, "%s has given no sign of life for %d s: ending the job",
                   c->names[rank], (int)OF_RANK_TIMEOUT);
    if (c->lost != NULL)
        c->lost(c->user, text);
    of_communicator_abort(c, 1);
}

/* Under the mutex. A beat is sent when the one before has left. */
static void send_beat(of_communicator *c, double now) {
    of_beat *beat = &c->beat;
    if (beat->send >= 0 && c->transport.test(beat->send) != 0)
        beat->send = -1;
    bool due = now - beat->last_sent >= BEAT_SECONDS || c->leaving;
    if (beat->send >= 0 || !due || beat->sent == GOODBYE)
        return;
    beat->sent = c->leaving ? GOODBYE : 1;
    beat->last_sent = now;
    beat->send = c->transport.send(OF_CHANNEL_BEAT, &beat->sent,
                                   (c->transport.rank + 1) % c->transport.size);
}

static void hear_beat(of_communicator *c, double now) {
    of_beat *beat = &c->beat;
    unsigned left = (c->transport.rank + c->transport.size - 1) % c->transport.size;
    if (beat->over)
        return;
    if (beat->receive >= 0) {
        int done = c->transport.test(beat->receive);
        if (done != 0) {
            beat->receive = -1;
            beat->last_heard = now;
            beat->over = done < 0 || beat->heard == GOODBYE;
        }
    }
    if (beat->receive < 0 && !beat->over)
        beat->receive = c->transport.receive(OF_CHANNEL_BEAT, &beat->heard, left);
    /* a process that was stopped itself has not listened: it does so again before it judges */
    if (now - beat->last_heard > OF_RANK_TIMEOUT)
        report_lost(c, left);
}

/* ---- The thread --------------------------------------------------------------------------- */

/* Asking after messages takes time from the threads that compute: rarely while these hide it. */
static long nap_nanoseconds(const of_communicator *c) {
    of_pace pace = c->work.user != NULL ? c->work.pace(c->work.user) : OF_PACE_IDLE;
    if (c->leaving || pace == OF_PACE_AWAITED)
        return 50000;
    return pace == OF_PACE_BUSY ? 400000 : 100000000;
}

static void nap(of_communicator *c) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += nap_nanoseconds(c);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&c->changed, &c->mutex, &until);
}

static void *run(void *argument) {
    of_communicator *c = argument;
    double before = of_seconds();
    pthread_mutex_lock(&c->mutex);
    while (!c->leaving || !c->beat.over || c->beat.send >= 0 || c->beat.sent != GOODBYE) {
        double now = of_seconds();
        if (now - before > OF_RANK_TIMEOUT / 4.0) /* this process was stopped for a while */
            c->beat.last_heard = now;
        before = now;
        send_beat(c, now);
        hear_beat(c, now);
        if (c->work.user == NULL || !c->work.progress(c->work.user))
            nap(c);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* Signals are for the caller's threads. */
static of_status start(of_communicator *c, of_error *error) {
    sigset_t all, previous;
    c->beat.last_heard = of_seconds();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int failure = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (failure != 0)
        return of_fail(error, OF_ERROR_INTERNAL, "cannot start a thread for messages: %s",
                       strerror(failure));
    c->started = true;
    return OF_OK;
}

/* ---- Operations --------------------------------------------------------------------------- */

static of_status fail_transport(const of_communicator *c, of_error *error) {
    return of_fail(error, OF_ERROR_INTERNAL, "%s: a message between ranks failed",
                   c->names[c->transport.rank]);
}

/* Polls, and soon no longer at full speed: the threads may have work to do. */
static of_status finish(of_communicator *c, int request, of_error *error) {
    for (unsigned tries = 0;; tries++) {
        pthread_mutex_lock(&c->mutex);
        int done = request < 0 ? -1 : c->transport.test(request);
        pthread_mutex_unlock(&c->mutex);
        if (done < 0)
            return fail_transport(c, error);
        if (done > 0)
            return OF_OK;
        const struct timespec pause = {.tv_nsec = tries < 1000 ? 20 * 1000 : 500 * 1000};
        if (tries < 100)
            (void)sched_yield();
        else
            (void)nanosleep(&pause, NULL);
    }
}

of_status of_communicator_gather_each(of_communicator *c, const void *mine, const size_t *bytes,
                                      void *all, of_error *error) {
    unsigned size = of_communicator_size(c);
    if (is_alone(c)) {
        if (mine != NULL)
            memcpy(all, mine, bytes[0]);
        return OF_OK;
    }
    c->agreed = false; /* if it was, all have gone on */
    int *counts = of_allocate(2 * (size_t)size, sizeof *counts), *places = counts + size;
    size_t total = 0;
    if (counts == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned r = 0; r < size; r++) {
        counts[r] = (int)bytes[r];
        places[r] = (int)total;
        total += bytes[r];
    }
    of_status status = OF_OK;
    if (total > INT_MAX) {
        status = of_fail(error, OF_ERROR_UNSUPPORTED, "a message of %zu bytes is too large", total);
    } else {
        pthread_mutex_lock(&c->mutex);
        int request = c->transport.gather(OF_CHANNEL_MAIN, mine, all, counts, places);
        pthread_mutex_unlock(&c->mutex);
        status = finish(c, request, error);
    }
    of_free(counts);
    return status;
}

of_status of_communicator_gather(of_communicator *c, const void *mine, size_t bytes, void *all,
                                 of_error *error) {
    unsigned size = of_communicator_size(c);
    size_t *each = of_allocate(size, sizeof *each);
    if (each == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned r = 0; r < size; r++)
        each[r] = bytes;
    of_status status = of_communicator_gather_each(c, mine, each, all, error);
    of_free(each);
    return status;
}

/* Between rank 0 and all others. Rank 0 keeps its own part where it is. */
static of_status exchange_parts(of_communicator *c, float *block, const size_t *parts, bool collect,
                                of_error *error) {
    unsigned size = of_communicator_size(c), rank = of_communicator_rank(c);
    if (is_alone(c))
        return OF_OK;
    if (parts[size] > INT_MAX)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "a block of %zu values is too large",
                       parts[size]);
    int *none = of_allocate_zeroed(3 * (size_t)size, sizeof *none);
    if (none == NULL)
        return of_fail_memory(error, "a message");
    int *counts = none + size, *places = counts + size;
    for (unsigned r = 0; r < size; r++) /* what rank 0 has to do with r, any other with rank 0 */
        places[r] = (int)parts[rank == 0 ? r : rank];
    for (unsigned r = 1; rank == 0 && r < size; r++)
        counts[r] = (int)(parts[r + 1] - parts[r]);
    if (rank != 0)
        counts[0] = (int)(parts[rank + 1] - parts[rank]);
    bool sends = (rank == 0) != collect;
    float nothing[2]; /* Open MPI would take one buffer given twice for an exchange in place */
    pthread_mutex_lock(&c->mutex);
    int request = c->transport.exchange(OF_CHANNEL_MAIN, sizeof *block, sends ? block : &nothing[0],
                                        sends ? counts : none, places, sends ? &nothing[1] : block,
                                        sends ? none : counts, places);
    pthread_mutex_unlock(&c->mutex);
    of_status status = finish(c, request, error);
    of_free(none);
    return status;
}

of_status of_communicator_collect(of_communicator *c, float *block, const size_t *parts,
                                  of_error *error) {
    return exchange_parts(c, block, parts, true, error);
}

of_status of_communicator_divide(of_communicator *c, float *block, const size_t *parts,
                                 of_error *error) {
    return exchange_parts(c, block, parts, false, error);
}

of_status of_communicator_broadcast(of_communicator *c, void *bytes, size_t count,
                                    of_error *error) {
    const size_t most = (size_t)1 << 28;
    of_status status = OF_OK;
    for (size_t done = 0; !is_alone(c) && status == OF_OK && done < count;) {
        size_t piece = count - done < most ? count - done : most;
        pthread_mutex_lock(&c->mutex);
        int request =
            c->transport.broadcast(OF_CHANNEL_MAIN, (unsigned char *)bytes + done, (int)piece, 0);
        pthread_mutex_unlock(&c->mutex);
        status = finish(c, request, error);
        done += piece;
    }
    return status;
}

of_status of_communicator_agree(of_communicator *c, of_status mine, of_error *error) {
    unsigned size = of_communicator_size(c), failures = 0, first = 0;
    if (is_alone(c))
        return mine;
    of_error own = {.status = mine};
    if (mine != OF_OK && error != NULL)
        (void)of_error_copy(&own, error);
    own.status = mine;
    of_error *all = of_allocate(size, sizeof *all);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(c, &own, sizeof own, all, error);
    for (unsigned r = size; status == OF_OK && r-- > 0;)
        if (all[r].status != OF_OK) {
            first = r;
            failures++;
        }
    if (status == OF_OK && failures > 0) {
        bool same = failures == size;
        for (unsigned r = 0; same && r < size; r++)
            same = strcmp(all[r].message, all[0].message) == 0;
        status =
            same ? of_error_copy(error, &all[first])
                 : of_fail_from(error, &all[first], "%s: %s", c->names[first], all[first].message);
        c->agreed = true;
    }
    of_free(all);
    return status;
}

typedef struct kernels {
    uint32_t isa, precision;
} kernels;

static of_status compare_kernels(const of_communicator *c, const kernels *all, of_error *error) {
    for (unsigned r = 1; r < c->transport.size; r++) {
        if (all[r].isa != all[0].isa)
            return of_fail_setting(error, OF_ERROR_MISMATCH, "isa",
                                   "%s runs %s, %s runs %s: all must run the lesser one",
                                   c->names[r], of_isa_name((of_isa)all[r].isa), c->names[0],
                                   of_isa_name((of_isa)all[0].isa));
        if (all[r].precision != all[0].precision)
            return of_fail_setting(error, OF_ERROR_MISMATCH, "precision",
                                   "%s calculates in %s, %s in %s: all must calculate in f32",
                                   c->names[r], of_precision_name((of_precision)all[r].precision),
                                   c->names[0], of_precision_name((of_precision)all[0].precision));
    }
    return OF_OK;
}

of_status of_communicator_compare_kernels(of_communicator *c, const of_plan *plan,
                                          of_error *error) {
    if (is_alone(c))
        return OF_OK;
    of_plan_info info = of_plan_describe(plan);
    kernels mine = {(uint32_t)info.isa, (uint32_t)info.precision};
    kernels *all = of_allocate(c->transport.size, sizeof *all);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(c, &mine, sizeof mine, all, error);
    if (status == OF_OK)
        status = compare_kernels(c, all, error);
    of_free(all);
    return of_communicator_agree(c, status, error);
}

/* ---- Opening and closing ------------------------------------------------------------------ */

static of_status exchange_names(of_communicator *c, of_error *error) {
    char host[64] = "", name[OF_RANK_NAME];
    unsigned size = c->transport.size;
    c->names = of_allocate_zeroed(size, sizeof *c->names);
    if (c->names == NULL)
        return of_fail_memory(error, "the names of ranks");
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(name, sizeof name, "rank %u (%s)", c->transport.rank, host);
    return of_communicator_gather(c, name, sizeof name, c->names, error);
}

/* Naps end by the monotonic clock: the other may be set back. */
static void init_clocked(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

of_status of_communicator_open(const of_transport *transport,
                               void (*lost)(void *user, const char *text), void *user,
                               of_communicator **communicator, of_error *error) {
    of_communicator *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL) {
        transport->close();
        return of_fail_memory(error, "a communicator");
    }
    made->transport = *transport;
    made->lost = lost;
    made->user = user;
    made->beat = (of_beat){.send = -1, .receive = -1};
    pthread_mutex_init(&made->mutex, NULL);
    init_clocked(&made->changed);
    of_status status = exchange_names(made, error);
    if (status == OF_OK && transport->size > 1)
        status = start(made, error);
    if (status == OF_OK)
        *communicator = made;
    else
        of_communicator_close(made);
    return status;
}

void of_communicator_close(of_communicator *c) {
    if (c == NULL)
        return;
    if (c->started) {
        pthread_mutex_lock(&c->mutex);
        c->leaving = true;
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->thread, NULL);
    }
    c->transport.close();
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->mutex);
    of_free(c->names);
    of_free(c);
}
