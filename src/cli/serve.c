/* SPDX-License-Identifier: Apache-2.0 */
/* outflow serve: scores for other programs, over HTTP. */
#include "cli/shared_options.h"
#include "cli/terminal/hint.h"
#include "cli/verbs.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const of_command of_serve_command = {
    .name = "serve",
    .summary = "Score images for other programs, over HTTP",
    .operands = "",
    .details =
        "Answers until SIGTERM. POST /v1/score takes an image, or many as multipart/form-data; "
        "POST /v1/heatmap gives a PNG that shows where a score comes from; /v2 is the Open "
        "Inference Protocol with JSON and binary tensors; GET /metrics is for Prometheus; GET / is "
        "a page to drop images on. docs/server.md explains them.\n\n"
        "--model may be repeated: NAME=FILE gives a model a name, and ',general=FILE' or "
        "',ensemble=FILE' after it what it is compared with; installed models have their own "
        "names. SIGHUP reads models and keys anew while requests go on; what cannot be read leaves "
        "the old ones in use. SIGTERM answers what has come, then ends.\n\n"
        "Images that wait at the same time are scored together, with the same bits as alone. They "
        "are decoded in processes that may do nothing else. The log on standard error has a line "
        "of JSON for each request, and nothing of its content. There is no TLS: a proxy does that, "
        "so the address is that of this machine alone unless --address says otherwise.",
    .examples = "outflow serve --model cifar10\n"
                "outflow serve --model shop=in.safetensors,general=general.safetensors --port 8080",
};

typedef struct serve_settings {
    of_shared_settings shared;
    of_text_list models;
    const char *address, *key_file;
    uint64_t port, workers, max_batch, max_body, max_images, max_pixels, max_memory, max_queue,
        max_connections, max_per_address, decoders, decoder_memory;
    double max_wait, rate, client_rate, request_time, idle_time, decode_time, drain_delay;
    bool trust_decoders, quiet;
} serve_settings;

static serve_settings default_settings(void) {
    const of_server_options options = of_server_options_default();
    return (serve_settings){.address = options.address,
                            .port = options.port,
                            .workers = options.workers,
                            .max_batch = options.max_batch,
                            .max_wait = options.max_wait * 1000,
                            .rate = options.rate,
                            .max_body = options.max_body,
                            .max_images = options.max_images,
                            .max_pixels = options.max_pixels,
                            .max_memory = options.max_memory,
                            .max_queue = options.max_queue,
                            .max_connections = options.max_connections,
                            .max_per_address = options.max_per_address,
                            .client_rate = options.client_rate,
                            .request_time = options.request_time,
                            .idle_time = options.idle_time,
                            .decoders = options.decoders,
                            .decoder_memory = options.decoder_memory,
                            .decode_time = options.decode_time,
                            .drain_delay = options.drain_delay};
}

/* ---- Options -------------------------------------------------------------------------------- */

static void declare_service(serve_settings *s, of_option_table *table) {
    of_option_list(table, "model", "MODEL", &s->models,
                   "What to serve: NAME=FILE, a file or an installed model's name, with "
                   "',general=FILE' and ',ensemble=FILE' after it as wished; may be repeated. "
                   "Without it, cifar10 if it is installed.");
    of_option_text(table, 0, "address", "IP", &s->address,
                   "Listen at this address; without it, 127.0.0.1, which only this machine "
                   "reaches.");
    of_option_count(table, 'p', "port", &s->port, 0, 65535,
                    "Listen at this port; 0: any that is free, which the log tells. Without it, "
                    "8000.");
    of_option_text(table, 0, "api-key-file", "FILE", &s->key_file,
                   "Answer only requests with one of the keys in FILE, one a line.")
        ->role = OF_ROLE_READ;
    of_option_real(table, 0, "fpr", "A", &s->rate, 1e-9, 0.999,
                   "Flag images with a p-value up to A, unless a request says otherwise; without "
                   "it, 0.01.");
    of_shared_plan_options(&s->shared, table);
    of_shared_precision_option(&s->shared, table);
    of_shared_lossy_option(&s->shared, table);
    of_option_flag(table, 'q', "quiet", &s->quiet, "Log no requests, only what happens else.");
}

static void declare_batching(serve_settings *s, of_option_table *table) {
    of_option_count(table, 0, "workers", &s->workers, 1, 256,
                    "Batches that are computed at the same time, each with its share of the CPUs; "
                    "without it, 1.");
    of_option_count(table, 0, "max-batch", &s->max_batch, 1, 65536,
                    "Images scored together; without it, 64.");
    of_option_real(table, 0, "max-wait", "MS", &s->max_wait, 0, 60000,
                   "Milliseconds that an image waits for others; without it, 0: what came while "
                   "the batch before was computed is scored together.");
}

static void declare_limits(serve_settings *s, of_option_table *table) {
    of_option_bytes(table, "max-body", &s->max_body, 1, "Largest body of a request; 32M.");
    of_option_count(table, 0, "max-images", &s->max_images, 1, 1e9,
                    "Most images of a request; 1024.");
    of_option_count(table, 0, "max-pixels", &s->max_pixels, 1, 0x1p32,
                    "Most pixels of an encoded image; 16777216.");
    of_option_bytes(table, "max-memory", &s->max_memory, 1,
                    "Most memory of the bodies, pixels and results of all requests; 256M.");
    of_option_count(table, 0, "max-queue", &s->max_queue, 1, 1e9,
                    "Most images, and requests, that wait; more are answered 503 at once. 4096.");
    of_option_count(table, 0, "max-connections", &s->max_connections, 1, 1e6,
                    "Most connections; 512.");
    of_option_count(table, 0, "max-per-address", &s->max_per_address, 0, 1e6,
                    "Most connections from one address; 0, the default: no limit, as behind a "
                    "proxy.");
    of_option_real(table, 0, "rate-limit", "N", &s->client_rate, 0, 1e9,
                   "Images a second of a client, known by its API key or else its address; ten "
                   "seconds' worth may come at once, and more is answered 429. 0, the default: no "
                   "limit.");
    of_option_real(table, 0, "request-time", "S", &s->request_time, 0.1, 86400,
                   "Seconds that a request may take to come, to wait, or its answer to be taken; "
                   "30.");
    of_option_real(table, 0, "idle-time", "S", &s->idle_time, 0.1, 86400,
                   "Seconds that a connection stays open without a request; 60.");
    of_option_real(table, 0, "drain-delay", "S", &s->drain_delay, 0, 3600,
                   "Seconds after SIGTERM in which requests are still taken while "
                   "/v2/health/ready says no, for balancers that ask; 0.");
}

static void declare_decoders(serve_settings *s, of_option_table *table) {
    of_option_count(table, 0, "decoders", &s->decoders, 1, 1024,
                    "Processes that decode images; without it, one for each CPU, at least 2.");
    of_option_bytes(table, "decoder-memory", &s->decoder_memory, 1 << 20,
                    "Memory that one of them may take for an image; 320M.");
    of_option_real(table, 0, "decode-time", "S", &s->decode_time, 0.01, 3600,
                   "Seconds that it may take; 10.");
    of_option_flag(table, 0, "trust-decoders", &s->trust_decoders,
                   "Decode in the server itself: a little faster, for images from people you "
                   "trust.");
}

/* ---- Running -------------------------------------------------------------------------------- */

static of_server_options options_of(const serve_settings *s) {
    of_server_options options = of_server_options_default();
    options.models = (const char *const *)s->models.items;
    options.model_count = s->models.count;
    options.address = s->address;
    options.port = (uint16_t)s->port;
    options.key_file = s->key_file;
    options.threads = (unsigned)s->shared.threads;
    options.isa = (of_isa)s->shared.isa;
    options.precision = (of_precision)s->shared.precision;
    options.lossy_scores = s->shared.lossy_scores;
    options.workers = (unsigned)s->workers;
    options.max_batch = (size_t)s->max_batch;
    options.max_wait = s->max_wait / 1000;
    options.rate = s->rate;
    options.max_body = (size_t)s->max_body;
    options.max_images = (size_t)s->max_images;
    options.max_pixels = s->max_pixels;
    options.max_memory = (size_t)s->max_memory;
    options.max_queue = (size_t)s->max_queue;
    options.max_connections = (unsigned)s->max_connections;
    options.max_per_address = (unsigned)s->max_per_address;
    options.client_rate = s->client_rate;
    options.request_time = s->request_time;
    options.idle_time = s->idle_time;
    options.decoders = (unsigned)s->decoders;
    options.isolate = !s->trust_decoders;
    options.decoder_memory = (size_t)s->decoder_memory;
    options.decode_time = s->decode_time;
    options.drain_delay = s->drain_delay;
    options.quiet = s->quiet;
    return options;
}

static int serve(const serve_settings *settings, of_console *console) {
    static const char *const without_any[] = {"cifar10"};
    of_server_options options = options_of(settings);
    of_error error;
    if (options.model_count == 0) {
        options.models = without_any;
        options.model_count = 1;
    }
    if (of_server_run(&options, &error) != OF_OK)
        return error.status == OF_ERROR_ARGUMENT ? of_usage_fail(console, &of_serve_command, &error)
                                                 : of_console_fail(console, &error);
    return OF_EXIT_FINE;
}

int of_verb_serve(int argc, char **argv, of_console *console) {
    serve_settings settings = default_settings();
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    /* What the server starts itself, not people. */
    if (argc == 3 && strcmp(argv[1], OF_DECODER_ARGUMENT) == 0)
        return of_decoder_process((size_t)strtoull(argv[2], NULL, 10));
    declare_service(&settings, &table);
    declare_batching(&settings, &table);
    declare_limits(&settings, &table);
    declare_decoders(&settings, &table);
    if (of_options_parse(&of_serve_command, &table, argc, argv, &operands, console, &code)) {
        if (operands.count > 0)
            code = of_usage_error(console, &of_serve_command, "unexpected operand '%s'",
                                  operands.items[0]);
        else
            code = serve(&settings, console);
    }
    of_text_list_free(&operands);
    of_text_list_free(&settings.models);
    of_shared_settings_free(&settings.shared);
    return code;
}
