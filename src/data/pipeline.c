/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pipeline.h"

#include "core/error.h"
#include "core/memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MIN_SLOTS = 8,
    MAX_SLOTS = 512,
    RING_BYTES = 64 << 20,    /* of decoded images, if MIN_SLOTS allow */
    ENCODED_BYTES = 64 << 20, /* in flight; one file larger than that still passes alone */
    KEPT_BYTES = 1 << 20,     /* larger storage for encoded bytes is not kept for reuse */
    LATE_NANOSECONDS = 100000000
};

/*
 * Four counters run around the ring, each never passing the one before:
 *     filled >= claimed >= ready >= taken
 * The reader owns the slot `filled`, a decoder the one that it claimed, the caller the slots from
 * `taken` to `ready`. Everything in between changes under the mutex only.
 */
struct of_pipeline {
    of_reader *reader;
    of_target target;
    of_slot *slots;
    size_t capacity;
    uint8_t *pixels; /* of all slots */

    pthread_mutex_t mutex;
    pthread_cond_t has_space, has_work, has_results, has_memory;
    uint64_t filled, claimed, ready, taken;
    uint64_t skipped;
    uint64_t wanted; /* the caller sleeps until ready - taken reaches this; 0: it is awake */
    size_t encoded_bytes;
    size_t decoding_bytes, most_decoding_bytes; /* of decoders at work on large images */
    unsigned idle_decoders;
    bool reader_waits, read_all, stopping;
    of_error reader_failure;

    pthread_t *threads; /* the reader first */
    unsigned thread_count;
};

static of_slot *slot_at(of_pipeline *pipeline, uint64_t position) {
    return &pipeline->slots[position % pipeline->capacity];
}

/* ---- Reader -------------------------------------------------------------------------------- */

static bool must_wait_to_read(const of_pipeline *pipeline) {
    bool full = pipeline->filled - pipeline->taken == pipeline->capacity;
    bool heavy = pipeline->encoded_bytes > ENCODED_BYTES;
    return !pipeline->stopping && (full || heavy);
}

static void wake_caller(of_pipeline *pipeline) {
    bool drained = pipeline->read_all && pipeline->ready == pipeline->filled;
    if (pipeline->wanted > 0 && (drained || pipeline->ready - pipeline->taken >= pipeline->wanted))
        pthread_cond_signal(&pipeline->has_results);
}

static void *run_reader(void *argument) {
    of_pipeline *pipeline = argument;
    bool end = false;
    pthread_mutex_lock(&pipeline->mutex);
    while (!end) {
        while (must_wait_to_read(pipeline)) {
            pipeline->reader_waits = true;
            pthread_cond_wait(&pipeline->has_space, &pipeline->mutex);
        }
        pipeline->reader_waits = false;
        if (pipeline->stopping)
            break;
        of_slot *slot = slot_at(pipeline, pipeline->filled);
        pthread_mutex_unlock(&pipeline->mutex);
        of_error failure = {.status = OF_OK};
        of_status status = pipeline->reader->next(pipeline->reader, &slot->entry, &end, &failure);
        pthread_mutex_lock(&pipeline->mutex);
        pipeline->skipped = pipeline->reader->skipped;
        if (status != OF_OK) {
            pipeline->reader_failure = failure;
            break;
        }
        if (!end) {
            slot->done = false;
            pipeline->encoded_bytes += slot->entry.bytes.size;
            pipeline->filled++;
            if (pipeline->idle_decoders > 0)
                pthread_cond_signal(&pipeline->has_work);
        }
    }
    pipeline->read_all = true;
    wake_caller(pipeline);
    pthread_cond_broadcast(&pipeline->has_work);
    pthread_mutex_unlock(&pipeline->mutex);
    return NULL;
}

/* ---- Decoders ------------------------------------------------------------------------------ */

static void decode(of_pipeline *pipeline, of_slot *slot) {
    slot->result.status = OF_OK;
    of_status status =
        of_entry_decode(&slot->entry, &pipeline->target, slot->pixels, &slot->info, &slot->result);
    slot->result.status = status;
    of_bytes_trim(&slot->entry.bytes, KEPT_BYTES);
}

/* Waits until an image of this size fits beside those that are being decoded; alone, any does. Who
 * waits here has no memory in hand yet, so those at work always come to their end. False if the
 * image is not wanted any more. */
static bool take_memory(of_pipeline *pipeline, size_t bytes) {
    if (bytes == 0)
        return true;
    pthread_mutex_lock(&pipeline->mutex);
    while (!pipeline->stopping && pipeline->decoding_bytes > 0 &&
           pipeline->decoding_bytes + bytes > pipeline->most_decoding_bytes)
        pthread_cond_wait(&pipeline->has_memory, &pipeline->mutex);
    pipeline->decoding_bytes += bytes;
    bool wanted = !pipeline->stopping;
    pthread_mutex_unlock(&pipeline->mutex);
    return wanted;
}

/* Called under the mutex. */
static void give_memory_back(of_pipeline *pipeline, size_t bytes) {
    pipeline->decoding_bytes -= bytes;
    if (bytes > 0)
        pthread_cond_broadcast(&pipeline->has_memory);
}

/* The next slot to decode, or NULL when there will be none. Called under the mutex. */
static of_slot *claim(of_pipeline *pipeline) {
    while (!pipeline->stopping && pipeline->claimed == pipeline->filled && !pipeline->read_all) {
        pipeline->idle_decoders++;
        pthread_cond_wait(&pipeline->has_work, &pipeline->mutex);
        pipeline->idle_decoders--;
    }
    if (pipeline->stopping || pipeline->claimed == pipeline->filled)
        return NULL;
    return slot_at(pipeline, pipeline->claimed++);
}

static void *run_decoder(void *argument) {
    of_pipeline *pipeline = argument;
    of_slot *slot;
    pthread_mutex_lock(&pipeline->mutex);
    while ((slot = claim(pipeline)) != NULL) {
        size_t encoded = slot->entry.bytes.size;
        pthread_mutex_unlock(&pipeline->mutex);
        size_t memory = of_entry_decoding_bytes(&slot->entry, &pipeline->target);
        if (take_memory(pipeline, memory))
            decode(pipeline, slot);
        pthread_mutex_lock(&pipeline->mutex);
        give_memory_back(pipeline, memory);
        slot->done = true;
        pipeline->encoded_bytes -= encoded;
        while (pipeline->ready < pipeline->claimed && slot_at(pipeline, pipeline->ready)->done)
            pipeline->ready++;
        wake_caller(pipeline);
        if (pipeline->reader_waits && !must_wait_to_read(pipeline))
            pthread_cond_signal(&pipeline->has_space);
    }
    pthread_mutex_unlock(&pipeline->mutex);
    return NULL;
}

/* ---- Caller -------------------------------------------------------------------------------- */

static bool has_result(const of_pipeline *pipeline) {
    return pipeline->ready > pipeline->taken ||
           (pipeline->read_all && pipeline->ready == pipeline->filled);
}

/* False if there is no result in time. Called under the mutex. */
static bool wait_for_result(of_pipeline *pipeline, size_t wanted) {
    size_t most = pipeline->capacity / 2;
    struct timespec until;
    int timed_out = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LATE_NANOSECONDS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pipeline->wanted = wanted < 1 ? 1 : wanted > most ? most : wanted;
    while (!has_result(pipeline) && timed_out != ETIMEDOUT)
        timed_out = pthread_cond_timedwait(&pipeline->has_results, &pipeline->mutex, &until);
    pipeline->wanted = 0;
    return has_result(pipeline);
}

of_status of_pipeline_take(of_pipeline *pipeline, size_t wanted, bool *late, of_slot **slot,
                           of_error *error) {
    of_status status = OF_OK;
    *slot = NULL;
    pthread_mutex_lock(&pipeline->mutex);
    *late = !has_result(pipeline) && !wait_for_result(pipeline, wanted);
    if (pipeline->ready > pipeline->taken)
        *slot = slot_at(pipeline, pipeline->taken);
    else if (!*late)
        status = of_error_copy(error, &pipeline->reader_failure);
    pthread_mutex_unlock(&pipeline->mutex);
    return status;
}

void of_pipeline_release(of_pipeline *pipeline) {
    pthread_mutex_lock(&pipeline->mutex);
    pipeline->taken++;
    /* The reader is woken to do a stretch of work, not one image. */
    uint64_t space = pipeline->capacity - (pipeline->filled - pipeline->taken);
    if (pipeline->reader_waits && space >= pipeline->capacity / 4)
        pthread_cond_signal(&pipeline->has_space);
    pthread_mutex_unlock(&pipeline->mutex);
}

uint64_t of_pipeline_skipped(of_pipeline *pipeline) {
    pthread_mutex_lock(&pipeline->mutex);
    uint64_t skipped = pipeline->skipped;
    pthread_mutex_unlock(&pipeline->mutex);
    return skipped;
}

/* ---- Beginning and end --------------------------------------------------------------------- */

static of_status allocate_slots(of_pipeline *pipeline, unsigned threads, of_error *error) {
    size_t image = of_round_up(of_target_bytes(&pipeline->target), OF_ALIGNMENT);
    size_t capacity = (size_t)RING_BYTES / image;
    size_t least = MIN_SLOTS + (size_t)2 * threads;
    capacity = capacity > MAX_SLOTS ? MAX_SLOTS : capacity;
    capacity = capacity < least ? least : capacity;
    pipeline->slots = of_allocate_zeroed(capacity, sizeof *pipeline->slots);
    pipeline->pixels = of_allocate(capacity, image);
    pipeline->threads = of_allocate((size_t)threads + 1, sizeof *pipeline->threads);
    if (pipeline->slots == NULL || pipeline->pixels == NULL || pipeline->threads == NULL)
        return of_fail_memory(error, "the decoding buffers");
    pipeline->capacity = capacity;
    for (size_t i = 0; i < capacity; i++)
        pipeline->slots[i].pixels = pipeline->pixels + i * image;
    return OF_OK;
}

/* Signals are for the caller's threads. */
static of_status start_threads(of_pipeline *pipeline, unsigned threads, of_error *error) {
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int failure = 0;
    for (unsigned i = 0; i <= threads && failure == 0; i++) {
        failure = pthread_create(&pipeline->threads[i], NULL, i == 0 ? run_reader : run_decoder,
                                 pipeline);
        pipeline->thread_count += failure == 0;
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (failure != 0)
        return of_fail(error, OF_ERROR_INTERNAL, "cannot start %u decoding threads: %s", threads,
                       strerror(failure));
    return OF_OK;
}

/* The caller's waits end by a clock that nobody sets. */
static void make_conditions(of_pipeline *pipeline) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline->has_space, NULL);
    pthread_cond_init(&pipeline->has_work, NULL);
    pthread_cond_init(&pipeline->has_memory, NULL);
    pthread_cond_init(&pipeline->has_results, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

of_status of_pipeline_start(of_reader *reader, const of_target *target, unsigned threads,
                            size_t decoding_bytes, of_pipeline **pipeline, of_error *error) {
    of_pipeline *started = of_allocate_zeroed(1, sizeof *started);
    if (started == NULL) {
        of_reader_close(reader);
        return of_fail_memory(error, "a decoding pipeline");
    }
    started->reader = reader;
    started->target = *target;
    started->most_decoding_bytes = decoding_bytes;
    pthread_mutex_init(&started->mutex, NULL);
    make_conditions(started);
    of_status status = allocate_slots(started, threads, error);
    if (status == OF_OK)
        status = start_threads(started, threads, error);
    if (status != OF_OK) {
        of_pipeline_free(started);
        return status;
    }
    *pipeline = started;
    return OF_OK;
}

static void stop_threads(of_pipeline *pipeline) {
    pthread_mutex_lock(&pipeline->mutex);
    pipeline->stopping = true;
    pthread_cond_broadcast(&pipeline->has_space);
    pthread_cond_broadcast(&pipeline->has_work);
    pthread_cond_broadcast(&pipeline->has_memory);
    pthread_mutex_unlock(&pipeline->mutex);
    if (pipeline->reader->cancel != NULL)
        pipeline->reader->cancel(pipeline->reader);
    for (unsigned i = 0; i < pipeline->thread_count; i++)
        pthread_join(pipeline->threads[i], NULL);
}

void of_pipeline_free(of_pipeline *pipeline) {
    if (pipeline == NULL)
        return;
    stop_threads(pipeline);
    of_reader_close(pipeline->reader);
    for (size_t i = 0; i < pipeline->capacity; i++)
        of_entry_free(&pipeline->slots[i].entry);
    pthread_cond_destroy(&pipeline->has_results);
    pthread_cond_destroy(&pipeline->has_memory);
    pthread_cond_destroy(&pipeline->has_work);
    pthread_cond_destroy(&pipeline->has_space);
    pthread_mutex_destroy(&pipeline->mutex);
    of_free(pipeline->threads);
    of_free(pipeline->pixels);
    of_free(pipeline->slots);
    of_free(pipeline);
}
