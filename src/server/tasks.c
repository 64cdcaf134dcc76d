/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/tasks.h"

#include <pthread.h>
#include <stdlib.h>

struct of_tasks {
    of_service *service;
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    of_request *first, *last;
    size_t waiting;
    bool stopping;
    pthread_t *threads;
    size_t thread_count;
};

static _Thread_local of_decoder *own_decoder;

of_decoder *of_tasks_decoder(void) {
    return own_decoder;
}

static of_request *take_first(of_tasks *tasks) {
    of_request *request = tasks->first;
    tasks->first = request->next;
    if (tasks->first == NULL)
        tasks->last = NULL;
    tasks->waiting--;
    return request;
}

static void *work(void *user) {
    of_tasks *tasks = user;
    of_decoder decoder = of_decoder_make(tasks->service->options, &tasks->service->metrics);
    own_decoder = &decoder;
    of_decoder_warm(&decoder);
    (void)pthread_mutex_lock(&tasks->mutex);
    for (;;) {
        if (tasks->first != NULL) {
            of_request *request = take_first(tasks);
            (void)pthread_mutex_unlock(&tasks->mutex);
            request->run(request);
            (void)pthread_mutex_lock(&tasks->mutex);
        } else if (tasks->stopping) {
            break;
        } else {
            (void)pthread_cond_wait(&tasks->arrived, &tasks->mutex);
        }
    }
    (void)pthread_mutex_unlock(&tasks->mutex);
    of_decoder_close(&decoder);
    return NULL;
}

bool of_tasks_submit(of_tasks *tasks, of_request *request) {
    (void)pthread_mutex_lock(&tasks->mutex);
    bool room = !tasks->stopping && tasks->waiting < tasks->service->options->max_queue;
    if (room) {
        request->next = NULL;
        if (tasks->last != NULL)
            tasks->last->next = request;
        else
            tasks->first = request;
        tasks->last = request;
        tasks->waiting++;
        (void)pthread_cond_signal(&tasks->arrived);
    }
    (void)pthread_mutex_unlock(&tasks->mutex);
    return room;
}

size_t of_tasks_waiting(of_tasks *tasks) {
    (void)pthread_mutex_lock(&tasks->mutex);
    size_t waiting = tasks->waiting;
    (void)pthread_mutex_unlock(&tasks->mutex);
    return waiting;
}

static of_status start_threads(of_tasks *tasks, of_error *error) {
    size_t count = tasks->service->options->decoders;
    tasks->threads = calloc(count, sizeof *tasks->threads);
    if (tasks->threads == NULL)
        return of_fail_memory(error, "threads");
    while (tasks->thread_count < count) {
        if (pthread_create(&tasks->threads[tasks->thread_count], NULL, work, tasks) != 0)
            return of_fail(error, OF_ERROR_INTERNAL, "a thread cannot be started");
        tasks->thread_count++;
    }
    return OF_OK;
}

of_status of_tasks_create(of_service *service, of_tasks **tasks, of_error *error) {
    of_tasks *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "threads");
    made->service = service;
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_cond_init(&made->arrived, NULL);
    of_status status = start_threads(made, error);
    if (status == OF_OK)
        *tasks = made;
    else
        of_tasks_free(made);
    return status;
}

void of_tasks_stop(of_tasks *tasks) {
    (void)pthread_mutex_lock(&tasks->mutex);
    tasks->stopping = true;
    (void)pthread_cond_broadcast(&tasks->arrived);
    (void)pthread_mutex_unlock(&tasks->mutex);
    for (size_t i = 0; i < tasks->thread_count; i++)
        (void)pthread_join(tasks->threads[i], NULL);
    tasks->thread_count = 0;
}

void of_tasks_free(of_tasks *tasks) {
    if (tasks == NULL)
        return;
    of_tasks_stop(tasks);
    (void)pthread_cond_destroy(&tasks->arrived);
    (void)pthread_mutex_destroy(&tasks->mutex);
    free(tasks->threads);
    free(tasks);
}
