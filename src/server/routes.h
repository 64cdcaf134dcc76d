/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler a request goes to. */
#ifndef OF_SERVER_ROUTES_H
#define OF_SERVER_ROUTES_H

#include "server/handlers.h"

typedef enum of_access {
    OF_ACCESS_OPEN, /* probes and the page: without a key */
    OF_ACCESS_KEY
} of_access;

typedef struct of_route {
    const char *method; /* GET answers HEAD as well */
    const char *path;   /* MODEL and VERSION stand for a segment */
    of_handler *handle;
    of_access access;
    bool has_body; /* handled by a thread of tasks.h */
} of_route;

/* Sets the request's route, model and version; else its answer, 404 or 405. */
void of_routes_find(of_request *request, const char *method, const char *path);

#endif
