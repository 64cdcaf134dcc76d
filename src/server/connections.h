/* SPDX-License-Identifier: Apache-2.0 */
/* Open connections and since when they are in what state: those that take too long are closed,
 * however many bytes trickle in. */
#ifndef OF_SERVER_CONNECTIONS_H
#define OF_SERVER_CONNECTIONS_H

#include "server/metrics.h"

typedef enum of_connection_state {
    OF_CONNECTION_IDLE,      /* no request */
    OF_CONNECTION_RECEIVING, /* headers or body of a request */
    OF_CONNECTION_WORKING,   /* the server has it all */
    OF_CONNECTION_SENDING    /* the answer */
} of_connection_state;

typedef struct of_connection of_connection;
typedef struct of_connections of_connections;

of_status of_connections_create(const of_server_options *options, of_meters *metrics,
                                of_connections **connections, of_error *error);
/* All must have been removed; NULL is allowed. */
void of_connections_free(of_connections *connections);

/* A new connection, NULL without memory; and its end, before its socket is closed. */
of_connection *of_connections_add(of_connections *connections, int socket);
void of_connections_remove(of_connections *connections, of_connection *connection);

/* A step ahead. NULL is allowed. */
void of_connections_enter(of_connections *connections, of_connection *connection,
                          of_connection_state state);

/* Closes those that are late; to be called a few times a second. */
void of_connections_watch(of_connections *connections);

size_t of_connections_count(of_connections *connections);

#endif
