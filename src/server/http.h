/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP through libmicrohttpd: one thread has all connections, and never waits for work. */
#ifndef OF_SERVER_HTTP_H
#define OF_SERVER_HTTP_H

#include "server/service.h"

typedef struct of_http of_http;

/* Listens at the options' address and port. */
of_status of_http_start(of_service *service, of_http **http, of_error *error);

/* The port that it listens at. */
uint16_t of_http_port(const of_http *http);

/* Takes no more connections. */
void of_http_quiesce(of_http *http);

/* Closes all connections, of which none may be at work, and frees it; NULL is allowed. */
void of_http_stop(of_http *http);

#endif
