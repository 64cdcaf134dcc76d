/* SPDX-License-Identifier: Apache-2.0 */
/* What a request must be before anything is done for it: route, key, type, limits. And its end, in
 * metrics and log. */
#ifndef OF_SERVER_INTAKE_H
#define OF_SERVER_INTAKE_H

#include "server/request.h"

struct MHD_Connection;

/* A request whose headers have come. It may have an answer already. NULL without memory. */
of_request *of_intake_begin(of_service *service, struct MHD_Connection *connection,
                            const char *method, const char *path);

/* It has an answer, and its body is too large to be read only to be dropped: the answer goes out
 * now, and the connection is closed. */
bool of_intake_is_hopeless(const of_request *request);

/* Bytes of the body. False: close the connection, this is more than anybody may send. */
bool of_intake_take(of_request *request, const char *data, size_t size);

/* Counts, logs and frees it. `sent`: the answer was sent as a whole. */
void of_intake_end(of_request *request, bool sent);

#endif
