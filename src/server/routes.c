/* SPDX-License-Identifier: Apache-2.0 */
#include "server/routes.h"

#include "server/connections.h"
#include "server/tasks.h"

#include <string.h>

static const of_route routes[] = {
    {"GET", "/", of_handle_page, OF_ACCESS_OPEN, false},
    {"GET", "/page.js", of_handle_page_script, OF_ACCESS_OPEN, false},
    {"GET", "/page.css", of_handle_page_style, OF_ACCESS_OPEN, false},
    {"GET", "/openapi.json", of_handle_openapi, OF_ACCESS_OPEN, false},
    {"GET", "/metrics", of_handle_metrics, OF_ACCESS_KEY, false},
    {"GET", "/v1/models", of_handle_models, OF_ACCESS_KEY, false},
    {"POST", "/v1/score", of_handle_score, OF_ACCESS_KEY, true},
    {"POST", "/v1/heatmap", of_handle_heatmap, OF_ACCESS_KEY, true},
    {"GET", "/v2", of_handle_server, OF_ACCESS_KEY, false},
    {"GET", "/v2/health/live", of_handle_live, OF_ACCESS_OPEN, false},
    {"GET", "/v2/health/ready", of_handle_ready, OF_ACCESS_OPEN, false},
    {"POST", "/v2/repository/index", of_handle_index, OF_ACCESS_KEY, true},
    {"GET", "/v2/models/MODEL", of_handle_model, OF_ACCESS_KEY, false},
    {"GET", "/v2/models/MODEL/ready", of_handle_model_ready, OF_ACCESS_KEY, false},
    {"POST", "/v2/models/MODEL/infer", of_handle_infer, OF_ACCESS_KEY, true},
    {"GET", "/v2/models/MODEL/versions/VERSION", of_handle_model, OF_ACCESS_KEY, false},
    {"GET", "/v2/models/MODEL/versions/VERSION/ready", of_handle_model_ready, OF_ACCESS_KEY, false},
    {"POST", "/v2/models/MODEL/versions/VERSION/infer", of_handle_infer, OF_ACCESS_KEY, true},
};

enum { ROUTES = sizeof routes / sizeof *routes };

_Static_assert((int)ROUTES <= (int)OF_METRICS_ROUTES, "metrics have a row for every route");

/* ---- Matching ------------------------------------------------------------------------------- */

static size_t segment_size(const char *path) {
    return strcspn(path, "/");
}

static bool copy_segment(const char *path, char *to, size_t room) {
    size_t size = segment_size(path);
    if (size == 0 || size >= room)
        return false;
    memcpy(to, path, size);
    to[size] = '\0';
    return true;
}

static bool match_segment(const char *pattern, const char *path, of_request *request) {
    size_t size = segment_size(pattern);
    if (size == 5 && memcmp(pattern, "MODEL", size) == 0)
        return copy_segment(path, request->path_model, sizeof request->path_model);
    if (size == 7 && memcmp(pattern, "VERSION", size) == 0)
        return copy_segment(path, request->path_version, sizeof request->path_version);
    return segment_size(path) == size && memcmp(pattern, path, size) == 0;
}

static bool match(const char *pattern, const char *path, of_request *request) {
    while (match_segment(pattern, path, request)) {
        pattern += segment_size(pattern);
        path += segment_size(path);
        if (*pattern == '\0' || *path == '\0')
            return *pattern == *path;
        pattern++;
        path++;
    }
    return false;
}

static bool takes(const of_route *route, const char *method) {
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

void of_routes_find(of_request *request, const char *method, const char *path) {
    const of_route *other = NULL;
    for (size_t i = 0; i < ROUTES; i++) {
        request->path_model[0] = request->path_version[0] = '\0';
        if (!match(routes[i].path, path, request))
            continue;
        request->route = &routes[i];
        request->route_number = i;
        if (takes(&routes[i], method))
            break;
        other = &routes[i];
        request->route = NULL;
        request->route_number = SIZE_MAX;
    }
    if (request->route == NULL && other != NULL) {
        of_answer_fail(request, 405, "%s is the method for this path", other->method);
        request->answer.allow = strcmp(other->method, "GET") == 0 ? "GET, HEAD" : "POST";
    } else if (request->route == NULL) {
        of_answer_fail(request, 404,
                       "there is nothing at this path; /openapi.json lists what "
                       "there is");
    } else if (request->path_version[0] != '\0' && strcmp(request->path_version, "1") != 0) {
        of_answer_fail(request, 404, "models have one version, '1'");
    }
}

/* ---- /metrics ------------------------------------------------------------------------------- */

bool of_handle_metrics(of_request *request) {
    of_service *service = request->service;
    const char *names[ROUTES];
    const of_gauges gauges = {.queue_images = of_scorer_waiting(service->scorer),
                              .tasks = of_tasks_waiting(service->tasks),
                              .connections = of_connections_count(service->connections),
                              .memory = atomic_load(&service->budget.used),
                              .memory_limit = service->budget.limit,
                              .ready = !atomic_load(&service->draining)};
    for (size_t i = 0; i < ROUTES; i++)
        names[i] = routes[i].path;
    FILE *stream = of_answer_begin(request, 200, "text/plain; version=0.0.4; charset=utf-8");
    if (stream == NULL)
        return true;
    of_meters_write(&service->metrics, names, ROUTES, request->models, &gauges, stream);
    of_answer_end(request);
    return true;
}
