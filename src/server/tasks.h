/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that read the bodies of requests, so that the thread of the connections never waits. */
#ifndef OF_SERVER_TASKS_H
#define OF_SERVER_TASKS_H

#include "server/decoder.h"
#include "server/request.h"

typedef struct of_tasks of_tasks;

/* Starts the threads, each with a decoder. The service must outlive them. */
of_status of_tasks_create(of_service *service, of_tasks **tasks, of_error *error);

/* Lets a thread call request->run. False: too many wait. */
bool of_tasks_submit(of_tasks *tasks, of_request *request);

/* Requests that wait. */
size_t of_tasks_waiting(of_tasks *tasks);

/* The decoder of the calling thread, which must be one of these. */
of_decoder *of_tasks_decoder(void);

/* Does what waits, and ends the threads and their decoders. Nothing is taken any more. */
void of_tasks_stop(of_tasks *tasks);

/* The same, and frees it; NULL is allowed. */
void of_tasks_free(of_tasks *tasks);

#endif
