/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/connections.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

struct of_connection {
    int socket;
    of_connection_state state;
    double since;
    bool closed; /* by the watch */
    of_connection *before, *after;
};

struct of_connections {
    const of_server_options *options;
    of_meters *metrics;
    pthread_mutex_t mutex;
    of_connection *first;
    size_t count;
};

static const char late_answer[] =
    "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Content-Length: 47\r\n\r\n{\"error\": \"the request takes too long to come\"}";

of_status of_connections_create(const of_server_options *options, of_meters *metrics,
                                of_connections **connections, of_error *error) {
    of_connections *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "connections");
    made->options = options;
    made->metrics = metrics;
    (void)pthread_mutex_init(&made->mutex, NULL);
    *connections = made;
    return OF_OK;
}

void of_connections_free(of_connections *connections) {
    if (connections == NULL)
        return;
    (void)pthread_mutex_destroy(&connections->mutex);
    free(connections);
}

of_connection *of_connections_add(of_connections *connections, int socket) {
    of_connection *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->socket = socket;
    made->since = of_seconds();
    (void)pthread_mutex_lock(&connections->mutex);
    made->after = connections->first;
    if (made->after != NULL)
        made->after->before = made;
    connections->first = made;
    connections->count++;
    (void)pthread_mutex_unlock(&connections->mutex);
    return made;
}

void of_connections_remove(of_connections *connections, of_connection *connection) {
    (void)pthread_mutex_lock(&connections->mutex);
    if (connection->before != NULL)
        connection->before->after = connection->after;
    else
        connections->first = connection->after;
    if (connection->after != NULL)
        connection->after->before = connection->before;
    connections->count--;
    (void)pthread_mutex_unlock(&connections->mutex);
    free(connection);
}

void of_connections_enter(of_connections *connections, of_connection *connection,
                          of_connection_state state) {
    if (connection == NULL)
        return;
    (void)pthread_mutex_lock(&connections->mutex);
    connection->state = state;
    connection->since = of_seconds();
    (void)pthread_mutex_unlock(&connections->mutex);
}

static double seconds_for(const of_connections *connections, of_connection_state state) {
    switch (state) {
    case OF_CONNECTION_IDLE:
        return connections->options->idle_time;
    case OF_CONNECTION_WORKING:
        return 1e9; /* the work has a limit of its own */
    default:
        return connections->options->request_time;
    }
}

/* The socket is open as long as the connection is in the list. Nothing else is being written to it
 * while a request is still coming in. */
static void close_late(of_connections *connections, of_connection *connection) {
    if (connection->state == OF_CONNECTION_RECEIVING)
        (void)send(connection->socket, late_answer, sizeof late_answer - 1,
                   MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(connection->socket, SHUT_RDWR);
    connection->closed = true;
    if (connection->state != OF_CONNECTION_IDLE)
        of_meters_count(connections->metrics, &connections->metrics->closed_late);
}

/* Has the client gone before its request was whole? libmicrohttpd does not notice where the last
 * bytes and the end come together: epoll tells of both but once. */
static bool is_left(const of_connection *connection) {
    char byte;
    return (connection->state == OF_CONNECTION_IDLE ||
            connection->state == OF_CONNECTION_RECEIVING) &&
           recv(connection->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void of_connections_watch(of_connections *connections) {
    double now = of_seconds();
    (void)pthread_mutex_lock(&connections->mutex);
    for (of_connection *c = connections->first; c != NULL; c = c->after) {
        if (!c->closed && is_left(c)) {
            (void)shutdown(c->socket, SHUT_RDWR);
            c->closed = true;
        } else if (!c->closed && now - c->since > seconds_for(connections, c->state)) {
            close_late(connections, c);
        }
    }
    (void)pthread_mutex_unlock(&connections->mutex);
}

size_t of_connections_count(of_connections *connections) {
    (void)pthread_mutex_lock(&connections->mutex);
    size_t count = connections->count;
    (void)pthread_mutex_unlock(&connections->mutex);
    return count;
}
