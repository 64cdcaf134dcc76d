/* SPDX-License-Identifier: Apache-2.0 */
/* Starts all parts, waits for signals, and ends the parts in order. */
#define _POSIX_C_SOURCE 200809L
#include "server/server.h"

#include "server/connections.h"
#include "server/http.h"
#include "server/journal.h"
#include "server/sandbox.h"
#include "server/tasks.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { TICK_MILLISECONDS = 250, SPARE_FILES = 128 };

/* ---- Signals -------------------------------------------------------------------------------- */

/* In all threads that are started from now on: this one asks for them. */
static void block_signals(sigset_t *signals) {
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* The next signal, or 0 after a short while. */
static int next_signal(const sigset_t *signals) {
    const struct timespec tick = {.tv_nsec = TICK_MILLISECONDS * 1000000L};
    int number = sigtimedwait(signals, NULL, &tick);
    return number > 0 ? number : 0;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static of_status check_options(const of_server_options *options, of_error *error) {
    if (options->max_images > options->max_queue)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "max_images",
                               "a request of %zu images would never fit into a queue of %zu",
                               options->max_images, options->max_queue);
    if (options->max_body > options->max_memory)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "max_body",
                               "a body of %zu bytes would never fit into %zu bytes of memory",
                               options->max_body, options->max_memory);
    if (options->workers == 0 || options->decoders == 0 || options->max_batch == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "workers, decoders and batches are at least 1");
    return OF_OK;
}

/* Sockets of connections and decoders, and some more. */
static void raise_file_limit(const of_server_options *options) {
    struct rlimit files;
    rlim_t wanted = options->max_connections + 2 * options->decoders + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
        return;
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static void open_service(of_service *service, const of_server_options *options) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *service = (of_service){.options = options, .budget = {.limit = options->max_memory}};
    service->id_start = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    (void)pthread_mutex_init(&service->mutex, NULL);
    of_meters_open(&service->metrics);
}

/* The parts that others use are freed last. */
static void close_service(of_service *service) {
    of_tasks_free(service->tasks);
    of_scorer_free(service->scorer);
    of_rates_free(service->rates);
    of_connections_free(service->connections);
    of_model_set_release(service->models);
    of_keys_free(service->keys);
    of_meters_close(&service->metrics);
    (void)pthread_mutex_destroy(&service->mutex);
}

static of_status read_keys(const of_server_options *options, of_keys **keys, of_error *error) {
    return options->key_file != NULL ? of_keys_read(options->key_file, keys, error) : OF_OK;
}

static of_status start_parts(of_service *service, of_http **http, of_error *error) {
    const of_server_options *options = service->options;
    of_status status = read_keys(options, &service->keys, error);
    if (status == OF_OK)
        status = of_model_set_open(options, &service->models, error);
    if (status == OF_OK)
        status = of_connections_create(options, &service->metrics, &service->connections, error);
    if (status == OF_OK)
        status = of_rates_create(options->client_rate, &service->rates, error);
    if (status == OF_OK)
        status = of_scorer_create(options, &service->metrics, &service->scorer, error);
    if (status == OF_OK)
        status = of_tasks_create(service, &service->tasks, error);
    return status == OF_OK ? of_http_start(service, http, error) : status;
}

/* ---- Reloading ------------------------------------------------------------------------------ */

static void take_over(of_service *service, of_model_set *models, of_keys *keys) {
    (void)pthread_mutex_lock(&service->mutex);
    of_model_set *old_models = service->models;
    of_keys *old_keys = service->keys;
    service->models = models;
    service->keys = keys;
    (void)pthread_mutex_unlock(&service->mutex);
    of_model_set_release(old_models);
    of_keys_free(old_keys);
}

/* Both sets are in memory for a while. Requests go on with the old one until the new is there. */
static void reload(of_service *service) {
    of_model_set *models = NULL;
    of_keys *keys = NULL;
    of_error error;
    of_status status = read_keys(service->options, &keys, &error);
    if (status == OF_OK)
        status = of_model_set_open(service->options, &models, &error);
    if (status == OF_OK) {
        take_over(service, models, keys);
        of_meters_count(&service->metrics, &service->metrics.reloads);
        of_journal_say("info", "reloaded", "models and keys were read anew");
        return;
    }
    of_keys_free(keys);
    of_meters_count(&service->metrics, &service->metrics.reload_failures);
    of_journal_say("error", "reload_failed", error.message);
}

/* ---- From start to end ---------------------------------------------------------------------- */

static void announce(const of_service *service, const of_http *http) {
    of_journal_line line;
    if (!of_journal_begin(&line, "info", "listening"))
        return;
    of_json_text(line.json, "address", service->options->address);
    of_json_count(line.json, "port", of_http_port(http));
    of_json_text(line.json, "version", of_version());
    of_json_array(line.json, "models");
    for (size_t i = 0; i < of_model_set_count(service->models); i++)
        of_json_text(line.json, NULL, of_model_set_at(service->models, i)->name);
    of_json_end(line.json);
    of_json_count(line.json, "decoder_processes",
                  service->options->isolate ? service->options->decoders : 0);
    of_json_flag(line.json, "decoder_filter", of_sandbox_has_filter());
    of_journal_end(&line);
}

static void serve(of_service *service, const sigset_t *signals) {
    for (;;) {
        int number = next_signal(signals);
        if (number == SIGTERM || number == SIGINT)
            return;
        if (number == SIGHUP)
            reload(service);
        of_connections_watch(service->connections);
    }
}

/* True once it is over: the time has passed, or a second signal wants an end. */
static bool wait_until(of_service *service, const sigset_t *signals, double end) {
    int number = next_signal(signals);
    of_connections_watch(service->connections);
    return number == SIGTERM || number == SIGINT || of_seconds() >= end;
}

/* Not ready any more, but still there, so that balancers see it; then without new connections,
 * until what has begun is answered. */
static void drain(of_service *service, of_http *http, const sigset_t *signals) {
    double delay = of_seconds() + service->options->drain_delay;
    atomic_store(&service->draining, true);
    of_journal_say("info", "draining", "no new requests are taken");
    while (service->options->drain_delay > 0 && !wait_until(service, signals, delay))
        continue;
    of_http_quiesce(http);
    double end = of_seconds() + 2 * service->options->request_time;
    while (atomic_load(&service->requests) > 0 && !wait_until(service, signals, end))
        continue;
}

/* Requests that are still at work hold suspended connections: tasks and scorer finish them before
 * the connections are closed. */
static void stop(of_service *service, of_http *http) {
    of_tasks_stop(service->tasks);
    of_scorer_stop(service->scorer);
    of_http_stop(http);
}

of_status of_server_run(const of_server_options *options, of_error *error) {
    of_service service;
    of_http *http = NULL;
    sigset_t signals;
    of_status status = check_options(options, error);
    if (status != OF_OK)
        return status;
    block_signals(&signals);
    raise_file_limit(options);
    open_service(&service, options);
    status = start_parts(&service, &http, error);
    if (status == OF_OK) {
        announce(&service, http);
        serve(&service, &signals);
        drain(&service, http, &signals);
        stop(&service, http);
        of_journal_say("info", "stopped", "all requests were answered");
    }
    close_service(&service);
    return status;
}
