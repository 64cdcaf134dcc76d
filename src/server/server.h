/* SPDX-License-Identifier: Apache-2.0 */
/* The scoring server: what the program starts. */
#ifndef OF_SERVER_SERVER_H
#define OF_SERVER_SERVER_H

#include <outflow/detect.h>

typedef struct of_server_options {
    const char *const *models; /* "NAME", "FILE" or "NAME=FILE", then ",general=FILE" or
                                  ",ensemble=FILE" */
    size_t model_count;
    const char *address;  /* to listen at */
    uint16_t port;        /* 0: any that is free */
    const char *key_file; /* one key a line; NULL: everybody may ask */

    unsigned threads; /* of a worker; 0: CPUs / workers */
    of_isa isa;
    of_precision precision;
    bool lossy_scores; /* as in of_detector_options */
    unsigned workers;  /* batches that are computed at the same time */
    size_t max_batch;  /* images */
    double max_wait;   /* seconds that an image waits for others */
    double rate;       /* p-values up to this are flagged */

    size_t max_body;     /* bytes of a request's body */
    size_t max_images;   /* of a request */
    uint64_t max_pixels; /* of an encoded image */
    size_t max_memory;   /* bytes of bodies, pixels and results of all requests */
    size_t max_queue;    /* images, and requests, that wait */
    unsigned max_connections;
    unsigned max_per_address; /* connections; 0: no limit */
    double client_rate;       /* images a second of a client; 0: no limit */
    double request_time; /* seconds for a request to arrive, to wait, and for its answer to leave */
    double idle_time;    /* seconds that a connection may stay open without a request */

    unsigned decoders;     /* threads that read bodies, each with a process that decodes */
    bool isolate;          /* false: images are decoded in this process */
    size_t decoder_memory; /* bytes that such a process may take for an image */
    double decode_time;    /* seconds for an image */

    double drain_delay; /* seconds from "not ready" to no new connections */
    bool quiet;         /* no line for each request in the log */
} of_server_options;

of_server_options of_server_options_default(void);

/* Runs until SIGTERM or SIGINT. Blocks signals and raises the limit of open files for the process.
 */
of_status of_server_run(const of_server_options *options, of_error *error);

enum { OF_DECODER_SOCKET = 3 /* where a decoder process talks to the server */ };

/* A decoder process: reads images from the socket and writes pixels to it, until it is closed.
 * `memory`: bytes it may take beside what it has at its start. Returns the exit code of a failure,
 * else ends the process. */
int of_decoder_process(size_t memory);

/* The first argument of the verb that starts one. */
#define OF_DECODER_ARGUMENT "decoder-process"

#endif
