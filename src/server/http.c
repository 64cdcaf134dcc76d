/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/http.h"

#include "server/connections.h"
#include "server/intake.h"
#include "server/routes.h"
#include "server/tasks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Headers of a request, and what is read of a body at a time. More headers are 431. */
enum { CONNECTION_MEMORY = 32 << 10, BACKLOG = 512 };

struct of_http {
    struct MHD_Daemon *daemon;
    uint16_t port;
    int quiet_socket; /* the listening one, once it is left alone; else -1 */
};

/* ---- Sending -------------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *response, const of_request *request) {
    const of_answer *answer = &request->answer;
    char size[32];
    (void)MHD_add_response_header(response, "Content-Type", answer->type);
    (void)MHD_add_response_header(response, "X-Request-Id", request->id);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    (void)MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    (void)MHD_add_response_header(
        response, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    if (answer->json_size > 0) {
        (void)snprintf(size, sizeof size, "%zu", answer->json_size);
        (void)MHD_add_response_header(response, "Inference-Header-Content-Length", size);
    }
    if (answer->allow != NULL)
        (void)MHD_add_response_header(response, "Allow", answer->allow);
    if (answer->status == 503 || answer->status == 429) {
        (void)snprintf(size, sizeof size, "%u", answer->wait > 0 ? answer->wait : 1);
        (void)MHD_add_response_header(response, "Retry-After", size);
    }
    if (answer->status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (atomic_load(&request->service->draining))
        (void)MHD_add_response_header(response, "Connection", "close");
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, of_request *request) {
    of_answer *answer = &request->answer;
    void *bytes = answer->bytes;
    if (answer->fixed != NULL)
        memcpy(&bytes, &answer->fixed, sizeof bytes); /* it is only read */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->size, bytes, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, request);
    of_connections_enter(request->service->connections, request->connection, OF_CONNECTION_SENDING);
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* Called by whoever has made the answer. */
static void resume(of_request *request) {
    struct MHD_Connection *connection = request->mhd;
    atomic_store(&request->done, true);
    MHD_resume_connection(connection);
}

static void run(of_request *request) {
    if (request->route->handle(request))
        request->answered(request);
}

/* All has come: either answers, or leaves that to others. */
static enum MHD_Result handle(struct MHD_Connection *connection, of_request *request) {
    if (request->answer.status == 0 && !request->route->has_body)
        (void)request->route->handle(request);
    if (request->answer.status != 0)
        return send_answer(connection, request);
    request->run = run;
    request->answered = resume;
    of_connections_enter(request->service->connections, request->connection, OF_CONNECTION_WORKING);
    MHD_suspend_connection(connection);
    request->handed_over = true;
    if (!of_tasks_submit(request->service->tasks, request)) {
        of_answer_busy(request, "too many requests wait");
        resume(request);
    }
    return MHD_YES;
}

static of_connection *connection_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static enum MHD_Result begin(of_service *service, struct MHD_Connection *connection,
                             const char *method, const char *path, void **context) {
    of_request *request = of_intake_begin(service, connection, method, path);
    if (request == NULL)
        return MHD_NO;
    *context = request;
    request->connection = connection_of(connection);
    return of_intake_is_hopeless(request) ? send_answer(connection, request) : MHD_YES;
}

static enum MHD_Result access_handler(void *user, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *data, size_t *size, void **context) {
    of_request *request = *context;
    (void)version;
    if (request == NULL)
        return begin(user, connection, method, path, context);
    if (*size > 0) {
        bool go_on = of_intake_take(request, data, *size);
        *size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (!request->handed_over)
        return handle(connection, request);
    return atomic_load(&request->done) ? send_answer(connection, request) : MHD_YES;
}

/* ---- Notices -------------------------------------------------------------------------------- */

static void *request_line(void *user, const char *line, struct MHD_Connection *connection) {
    of_service *service = user;
    (void)line;
    of_connections_enter(service->connections, connection_of(connection), OF_CONNECTION_RECEIVING);
    return NULL;
}

static void request_completed(void *user, struct MHD_Connection *connection, void **context,
                              enum MHD_RequestTerminationCode code) {
    of_service *service = user;
    of_request *request = *context;
    of_connections_enter(service->connections, connection_of(connection), OF_CONNECTION_IDLE);
    if (request != NULL)
        of_intake_end(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
}

static void connection_changed(void *user, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code) {
    of_service *service = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info != NULL ? of_connections_add(service->connections, info->connect_fd) : NULL;
    } else if (*context != NULL) {
        of_connections_remove(service->connections, *context);
        *context = NULL;
    }
}

/* ---- Starting and stopping ------------------------------------------------------------------ */

static of_status find_address(const of_server_options *options, struct addrinfo **found,
                              of_error *error) {
    const struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM};
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)options->port);
    return getaddrinfo(options->address, port, &wanted, found) == 0
               ? OF_OK
               : of_fail_setting(error, OF_ERROR_ARGUMENT, "address", "'%s' is no numeric address",
                                 options->address);
}

static struct MHD_Daemon *start_daemon(of_service *service, const struct sockaddr *address) {
    const of_server_options *options = service->options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     (address->sa_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    return MHD_start_daemon(
        flags, options->port, NULL, NULL, access_handler, service, MHD_OPTION_SOCK_ADDR, address,
        MHD_OPTION_CONNECTION_LIMIT, options->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        options->max_per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_URI_LOG_CALLBACK,
        request_line, service, MHD_OPTION_NOTIFY_COMPLETED, request_completed, service,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, service, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
}

static of_status start(of_service *service, of_http *http, of_error *error) {
    struct addrinfo *address = NULL;
    of_status status = find_address(service->options, &address, error);
    if (status != OF_OK)
        return status;
    errno = 0;
    http->daemon = start_daemon(service, address->ai_addr);
    freeaddrinfo(address);
    if (http->daemon == NULL)
        return of_fail_setting(error, OF_ERROR_IO, "port", "cannot listen at %s, port %u%s%s",
                               service->options->address, (unsigned)service->options->port,
                               errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    http->port = info != NULL ? info->port : service->options->port;
    return OF_OK;
}

of_status of_http_start(of_service *service, of_http **http, of_error *error) {
    of_http *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "the server");
    made->quiet_socket = -1;
    of_status status = start(service, made, error);
    if (status == OF_OK)
        *http = made;
    else
        of_http_stop(made);
    return status;
}

uint16_t of_http_port(const of_http *http) {
    return http->port;
}

void of_http_quiesce(of_http *http) {
    http->quiet_socket = MHD_quiesce_daemon(http->daemon);
    if (http->quiet_socket >= 0)
        (void)close(http->quiet_socket);
}

void of_http_stop(of_http *http) {
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    free(http);
}
