/* SPDX-License-Identifier: Apache-2.0 */
/* A request on its way: what has come, what is being done about it, and the answer. One thread at a
 * time works on it. */
#ifndef OF_SERVER_REQUEST_H
#define OF_SERVER_REQUEST_H

#include "server/service.h"

#include <outflow/output.h>

enum { OF_REQUEST_ID = 65, OF_REQUEST_TEXT = 256 };

struct MHD_Connection;
struct of_connection;
struct of_route;

/* What to send back. */
typedef struct of_answer {
    unsigned status; /* HTTP; 0: none yet */
    const char *type;
    const void *fixed; /* bytes that live on; else `bytes`, freed with free() */
    char *bytes;
    size_t size;
    size_t json_size;  /* of the binary-data extension: bytes of JSON before the binary part; 0: all
                        */
    const char *allow; /* of a 405 */
    unsigned wait;     /* of 429 and 503: seconds after which to try again; 0: one */
    FILE *stream;      /* while it is being written */
} of_answer;

typedef struct of_request {
    of_service *service;
    const struct of_route *route; /* NULL: there is none */
    size_t route_number;
    of_model_set *models; /* held */
    of_client client;     /* whose account it is paid from, if there is a limit */
    char id[OF_REQUEST_ID];
    char path_model[OF_SERVED_NAME], path_version[16]; /* of the path; "" where it has none */
    char model[OF_REQUEST_TEXT], score[OF_REQUEST_TEXT], scores[OF_REQUEST_TEXT],
        rate[32]; /* of the query; "" where it has none */
    char content_type[OF_REQUEST_TEXT];
    bool has_json_size; /* the body has a binary part, after json_size bytes */
    size_t json_size;
    of_counted body;
    size_t received; /* bytes of it, those included that were not kept */
    of_answer answer;
    double started;
    size_t images;
    const of_served_model *served; /* for the log; belongs to `models` */
    void *work;                    /* of the route, freed with `free_work` */
    void (*free_work)(void *work);
    void (*run)(struct of_request *request);      /* by a thread of tasks.h */
    void (*answered)(struct of_request *request); /* hands the answer over */
    struct MHD_Connection *mhd;
    struct of_connection *connection;
    bool handed_over; /* to tasks.h, and not answered by the thread of the connections */
    struct of_request *next;
    atomic_bool done; /* the answer is complete */
} of_request;

/* The model of the path or the query, kept for the log; NULL with an answer if there is none. */
const of_served_model *of_request_model(of_request *request);

/* Time from which the request is too late. */
double of_request_deadline(const of_request *request);

/* ---- Answers -------------------------------------------------------------------------------- */

/* Begins an answer of this type; what is written to the stream becomes its body. NULL without
 * memory, with an answer that says so. */
FILE *of_answer_begin(of_request *request, unsigned status, const char *type);
/* Ends it. */
void of_answer_end(of_request *request);

/* The same for JSON. */
of_json *of_answer_json(of_request *request, unsigned status);
void of_answer_json_end(of_request *request, of_json *json);

/* An answer of bytes that live on. */
void of_answer_fixed(of_request *request, const char *type, const void *bytes, size_t size);

/* {"error": "..."}, in place of what was answered before. */
void of_answer_fail(of_request *request, unsigned status, const char *format, ...) OF_PRINTF(3, 4);

/* The same for an error of the library: what a client got wrong is 400 (413 beyond a limit), all
 * else 500. */
void of_answer_error(of_request *request, const of_error *error);

/* The status for it. */
unsigned of_answer_status_of(const of_error *error);

/* Answers for a job that did not end well. */
void of_answer_job(of_request *request, const of_job *job);

/* 503: not now. */
void of_answer_busy(of_request *request, const char *why);

/* 429: not this client, for so many seconds. */
void of_answer_limited(of_request *request, double seconds);

/* Frees what a request holds, and the request. */
void of_request_free(of_request *request);

#endif
