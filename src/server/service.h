/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests share. */
#ifndef OF_SERVER_SERVICE_H
#define OF_SERVER_SERVICE_H

#include "server/budget.h"
#include "server/keys.h"
#include "server/metrics.h"
#include "server/rates.h"
#include "server/scorer.h"

struct of_tasks;
struct of_connections;

typedef struct of_service {
    const of_server_options *options;
    of_budget budget;
    of_meters metrics;
    of_scorer *scorer;
    of_rates *rates; /* NULL: clients have no limit of their own */
    struct of_tasks *tasks;
    struct of_connections *connections;
    pthread_mutex_t mutex; /* of the two below, which a reload replaces */
    of_model_set *models;
    of_keys *keys;          /* NULL: everybody may ask */
    atomic_bool draining;   /* not ready: the end is near */
    atomic_size_t requests; /* begun and not yet answered */
    atomic_ullong numbers;  /* for request ids */
    uint64_t id_start;
} of_service;

/* The set of models in use, held for the caller. */
of_model_set *of_service_models(of_service *service);

#endif
