/* SPDX-License-Identifier: Apache-2.0 */
#include "server/intake.h"

#include "server/journal.h"
#include "server/routes.h"
#include "server/tasks.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bodies up to this are read even if the answer is clear: closing a connection with unread bytes in
 * it can lose the answer. */
enum { READ_ANYWAY = 1 << 20 };

static const char *header(const of_request *request, const char *name) {
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

/* ---- Texts of the request ------------------------------------------------------------------- */

static bool is_sane_id(const char *id) {
    size_t length = strlen(id);
    return length > 0 && length < OF_REQUEST_ID &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

static void set_id(of_request *request) {
    const char *id = header(request, "X-Request-Id");
    if (id != NULL && is_sane_id(id))
        (void)snprintf(request->id, sizeof request->id, "%s", id);
    else
        (void)snprintf(request->id, sizeof request->id, "%016llx-%llu",
                       (unsigned long long)request->service->id_start,
                       (unsigned long long)atomic_fetch_add(&request->service->numbers, 1));
}

static void copy_query(of_request *request, const char *key, char *to, size_t size) {
    const char *value = MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, key);
    if (value == NULL)
        return;
    if (strlen(value) >= size)
        of_answer_fail(request, 400, "'%s' has more than %zu bytes", key, size - 1);
    else
        (void)snprintf(to, size, "%s", value);
}

static void copy_texts(of_request *request) {
    const char *type = header(request, "Content-Type");
    if (type != NULL && strlen(type) < sizeof request->content_type)
        (void)snprintf(request->content_type, sizeof request->content_type, "%s", type);
    copy_query(request, "model", request->model, sizeof request->model);
    copy_query(request, "score", request->score, sizeof request->score);
    copy_query(request, "scores", request->scores, sizeof request->scores);
    copy_query(request, "fpr", request->rate, sizeof request->rate);
}

/* A whole number in a header. */
static bool read_size(const char *text, size_t *size) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    *size = (size_t)value;
    return end != NULL && *end == '\0' && errno == 0;
}

static void read_json_size(of_request *request) {
    const char *text = header(request, "Inference-Header-Content-Length");
    request->has_json_size = text != NULL;
    if (text != NULL && !read_size(text, &request->json_size))
        of_answer_fail(request, 400, "Inference-Header-Content-Length is no number");
}

/* ---- Checks --------------------------------------------------------------------------------- */

static of_client client_by_address(const of_request *request) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL ? of_client_of_address(info->client_addr) : of_client_of_key(SIZE_MAX);
}

/* With the client that the key, or else the address, tells. */
static bool has_key(of_request *request) {
    of_service *service = request->service;
    const char *bearer = header(request, "Authorization"), *key = header(request, "X-Api-Key");
    if (bearer != NULL && strncasecmp(bearer, "Bearer ", 7) == 0)
        key = bearer + 7;
    (void)pthread_mutex_lock(&service->mutex);
    size_t place = 0;
    bool open = service->keys == NULL;
    bool fine = open || (key != NULL && of_keys_have(service->keys, key, &place));
    (void)pthread_mutex_unlock(&service->mutex);
    request->client = open ? client_by_address(request) : of_client_of_key(place);
    return fine;
}

/* Before anything else is done for it. What fails later has been paid for as well. */
static void check_rate(of_request *request) {
    double wait = of_rates_ask(request->service->rates, &request->client, request->started);
    if (wait > 0)
        of_answer_limited(request, wait);
}

static void check_size(of_request *request) {
    const char *length = header(request, "Content-Length");
    size_t most = request->service->options->max_body, size = 0;
    if (length != NULL && (!read_size(length, &size) || size > most))
        of_answer_fail(request, 413, "the body has more than %zu bytes", most);
}

/* Images are known by their content: curl, for one, calls them forms. */
static void check_type(of_request *request) {
    const char *coding = header(request, "Content-Encoding");
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        of_answer_fail(request, 415, "bodies with a Content-Encoding are not read");
    else if (strncasecmp(request->content_type, "text/", 5) == 0)
        of_answer_fail(request, 415, "a body of type '%s' is not read", request->content_type);
}

/* Before a body is read for nothing. */
static void check_queue(of_request *request) {
    of_service *service = request->service;
    if (of_tasks_waiting(service->tasks) >= service->options->max_queue ||
        of_scorer_waiting(service->scorer) >= service->options->max_queue)
        of_answer_busy(request, "too many images wait to be scored");
}

static void check(of_request *request, const char *method, const char *path) {
    of_routes_find(request, method, path);
    if (request->answer.status == 0 && request->route->access == OF_ACCESS_KEY && !has_key(request))
        of_answer_fail(request, 401, "an API key is needed: Authorization: Bearer KEY");
    if (request->answer.status != 0 || !request->route->has_body)
        return;
    copy_texts(request);
    if (request->answer.status == 0)
        check_rate(request);
    if (request->answer.status == 0)
        check_size(request);
    if (request->answer.status == 0)
        check_type(request);
    if (request->answer.status == 0)
        read_json_size(request);
    if (request->answer.status == 0)
        check_queue(request);
}

/* ---- The steps ------------------------------------------------------------------------------ */

of_request *of_intake_begin(of_service *service, struct MHD_Connection *connection,
                            const char *method, const char *path) {
    of_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->service = service;
    request->mhd = connection;
    request->route_number = SIZE_MAX;
    request->started = of_seconds();
    request->body = of_counted_of(&service->budget);
    request->models = of_service_models(service);
    (void)atomic_fetch_add(&service->requests, 1);
    set_id(request);
    check(request, method, path);
    return request;
}

bool of_intake_is_hopeless(const of_request *request) {
    const char *length = header(request, "Content-Length");
    size_t size = 0;
    return request->answer.status != 0 && length != NULL &&
           (!read_size(length, &size) || size > READ_ANYWAY);
}

bool of_intake_take(of_request *request, const char *data, size_t size) {
    size_t most = request->service->options->max_body;
    request->received += size;
    if (request->received > most + READ_ANYWAY)
        return false;
    if (request->answer.status != 0 || !request->route->has_body)
        return true;
    if (request->received > most)
        of_answer_fail(request, 413, "the body has more than %zu bytes", most);
    else if (!of_counted_append(&request->body, data, size, most))
        of_answer_busy(request, "requests have all the memory they may have");
    if (request->answer.status != 0)
        of_counted_free(&request->body);
    return true;
}

static void log_request(const of_request *request, bool sent, double seconds) {
    of_journal_line line;
    if (!of_journal_begin(&line, request->answer.status < 500 ? "info" : "error", "request"))
        return;
    of_json_text(line.json, "id", request->id);
    of_json_text(line.json, "method", request->route != NULL ? request->route->method : NULL);
    of_json_text(line.json, "route", request->route != NULL ? request->route->path : NULL);
    of_json_count(line.json, "status", request->answer.status);
    of_json_flag(line.json, "sent", sent);
    of_json_count(line.json, "received_bytes", request->received);
    of_json_count(line.json, "sent_bytes", request->answer.size);
    if (request->served != NULL)
        of_json_text(line.json, "model", request->served->name);
    of_json_count(line.json, "images", request->images);
    of_json_real(line.json, "milliseconds", (double)(int64_t)(seconds * 1e6) / 1e3);
    of_journal_end(&line);
}

void of_intake_end(of_request *request, bool sent) {
    of_service *service = request->service;
    double seconds = of_seconds() - request->started;
    of_meters_request(&service->metrics, request->route_number, request->answer.status,
                      request->received, request->answer.size, seconds);
    if (!service->options->quiet)
        log_request(request, sent, seconds);
    of_request_free(request);
    (void)atomic_fetch_sub(&service->requests, 1);
}
