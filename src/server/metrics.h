/* SPDX-License-Identifier: Apache-2.0 */
/* What the server counts, and the page of Prometheus that tells it. */
#ifndef OF_SERVER_METRICS_H
#define OF_SERVER_METRICS_H

#include "server/models.h"

#include <pthread.h>
#include <stdio.h>

enum { OF_METRICS_ROUTES = 32, OF_METRICS_STATUSES = 12, OF_METRICS_BOUNDS = 16 };

/* A cumulative histogram: counts[i] are values up to bounds[i] and above the bound before. */
typedef struct of_histogram {
    const double *bounds;
    size_t bound_count;
    uint64_t counts[OF_METRICS_BOUNDS + 1], total;
    double sum;
} of_histogram;

typedef enum of_stage {
    OF_STAGE_REQUEST, /* from its first line to its answer */
    OF_STAGE_QUEUE,   /* waiting to be scored */
    OF_STAGE_DECODE,  /* an image */
    OF_STAGE_COMPUTE, /* a batch */
    OF_STAGES
} of_stage;

typedef struct of_model_meters {
    uint64_t images, judged, flagged;
    of_histogram bits, p_values;
} of_model_meters;

typedef struct of_meters {
    pthread_mutex_t mutex;
    uint64_t requests[OF_METRICS_ROUTES + 1][OF_METRICS_STATUSES]; /* the last row: no route */
    uint64_t bytes_in, bytes_out, closed_late, decoder_starts, decoder_failures, reloads,
        reload_failures;
    of_histogram stages[OF_STAGES], batches;
    of_model_meters models[OF_SERVED_MOST];
} of_meters;

/* What is read when the page is written. */
typedef struct of_gauges {
    size_t queue_images, tasks, connections, memory, memory_limit;
    bool ready;
} of_gauges;

void of_meters_open(of_meters *metrics);
void of_meters_close(of_meters *metrics);

void of_meters_request(of_meters *metrics, size_t route, unsigned status, size_t bytes_in,
                       size_t bytes_out, double seconds);
void of_meters_stage(of_meters *metrics, of_stage stage, double seconds);
void of_meters_batch(of_meters *metrics, size_t images, double seconds);
void of_meters_count(of_meters *metrics, uint64_t *counter);

/* An image's likelihood, and its p-value (NaN: none) with what it means. */
void of_meters_image(of_meters *metrics, size_t model, double bits_per_dim, double p_value,
                     bool flagged);

/* `routes`: their names in the order of their numbers. */
void of_meters_write(of_meters *metrics, const char *const *routes, size_t route_count,
                     const of_model_set *models, const of_gauges *gauges, FILE *file);

#endif
