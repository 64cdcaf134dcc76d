/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics.h"

#include <math.h>
#include <string.h>

static const unsigned statuses[OF_METRICS_STATUSES] = {200, 400, 401, 404, 405, 408,
                                                       413, 415, 429, 500, 503, 0};

static const double second_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,  0.5,    1,     2.5,  5,     10};
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
static const double bit_bounds[] = {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 10};
static const double p_bounds[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.3,
                                  0.4,   0.5,   0.6,  0.7,  0.8, 0.9, 1};

#define HISTOGRAM(of_bounds)                                                                       \
    (of_histogram) {                                                                               \
        .bounds = (of_bounds), .bound_count = sizeof(of_bounds) / sizeof *(of_bounds)              \
    }

static void observe(of_histogram *histogram, double value) {
    size_t place = 0;
    while (place < histogram->bound_count && !(value <= histogram->bounds[place]))
        place++;
    histogram->counts[place]++;
    histogram->total++;
    if (isfinite(value))
        histogram->sum += value;
}

void of_meters_open(of_meters *metrics) {
    memset(metrics, 0, sizeof *metrics);
    (void)pthread_mutex_init(&metrics->mutex, NULL);
    for (size_t i = 0; i < OF_STAGES; i++)
        metrics->stages[i] = HISTOGRAM(second_bounds);
    metrics->batches = HISTOGRAM(batch_bounds);
    for (size_t i = 0; i < OF_SERVED_MOST; i++) {
        metrics->models[i].bits = HISTOGRAM(bit_bounds);
        metrics->models[i].p_values = HISTOGRAM(p_bounds);
    }
}

void of_meters_close(of_meters *metrics) {
    (void)pthread_mutex_destroy(&metrics->mutex);
}

/* ---- Counting ------------------------------------------------------------------------------- */

static size_t place_of_status(unsigned status) {
    size_t place = 0;
    while (place < OF_METRICS_STATUSES - 1 && statuses[place] != status)
        place++;
    return place;
}

void of_meters_request(of_meters *metrics, size_t route, unsigned status, size_t bytes_in,
                       size_t bytes_out, double seconds) {
    (void)pthread_mutex_lock(&metrics->mutex);
    metrics->requests[route < OF_METRICS_ROUTES ? route : OF_METRICS_ROUTES]
                     [place_of_status(status)]++;
    metrics->bytes_in += bytes_in;
    metrics->bytes_out += bytes_out;
    observe(&metrics->stages[OF_STAGE_REQUEST], seconds);
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void of_meters_stage(of_meters *metrics, of_stage stage, double seconds) {
    (void)pthread_mutex_lock(&metrics->mutex);
    observe(&metrics->stages[stage], seconds);
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void of_meters_batch(of_meters *metrics, size_t images, double seconds) {
    (void)pthread_mutex_lock(&metrics->mutex);
    observe(&metrics->batches, (double)images);
    observe(&metrics->stages[OF_STAGE_COMPUTE], seconds);
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void of_meters_count(of_meters *metrics, uint64_t *counter) {
    (void)pthread_mutex_lock(&metrics->mutex);
    (*counter)++;
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void of_meters_image(of_meters *metrics, size_t model, double bits_per_dim, double p_value,
                     bool flagged) {
    of_model_meters *own = &metrics->models[model];
    (void)pthread_mutex_lock(&metrics->mutex);
    own->images++;
    observe(&own->bits, bits_per_dim);
    if (!isnan(p_value)) {
        own->judged++;
        own->flagged += flagged;
        observe(&own->p_values, p_value);
    }
    (void)pthread_mutex_unlock(&metrics->mutex);
}

/* ---- Text ----------------------------------------------------------------------------------- */

static void write_head(FILE *file, const char *name, const char *type, const char *help) {
    (void)fprintf(file, "# HELP outflow_%s %s\n# TYPE outflow_%s %s\n", name, help, name, type);
}

static void write_number(FILE *file, const char *name, const char *type, const char *help,
                         double value) {
    write_head(file, name, type, help);
    (void)fprintf(file, "outflow_%s %.17g\n", name, value);
}

/* `label`: "" or "model=\"cifar10\"". */
static void write_histogram(FILE *file, const char *name, const char *label,
                            const of_histogram *histogram) {
    const char *comma = label[0] != '\0' ? "," : "";
    uint64_t sum = 0;
    for (size_t i = 0; i < histogram->bound_count; i++) {
        sum += histogram->counts[i];
        (void)fprintf(file, "outflow_%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma,
                      histogram->bounds[i], (unsigned long long)sum);
    }
    (void)fprintf(file, "outflow_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma,
                  (unsigned long long)histogram->total);
    (void)fprintf(file, "outflow_%s_sum{%s} %.17g\noutflow_%s_count{%s} %llu\n", name, label,
                  histogram->sum, name, label, (unsigned long long)histogram->total);
}

static void write_requests(const of_meters *metrics, const char *const *routes, size_t route_count,
                           FILE *file) {
    write_head(file, "requests_total", "counter", "Requests answered, by route and status.");
    for (size_t r = 0; r <= OF_METRICS_ROUTES; r++)
        for (size_t s = 0; s < OF_METRICS_STATUSES; s++) {
            if (metrics->requests[r][s] == 0)
                continue;
            char status[16];
            (void)snprintf(status, sizeof status, "%u", statuses[s]);
            (void)fprintf(file, "outflow_requests_total{route=\"%s\",status=\"%s\"} %llu\n",
                          r < route_count ? routes[r] : "none", statuses[s] != 0 ? status : "other",
                          (unsigned long long)metrics->requests[r][s]);
        }
}

static void write_stages(const of_meters *metrics, FILE *file) {
    static const char *const names[OF_STAGES] = {"request_seconds", "queue_seconds",
                                                 "decode_seconds", "compute_seconds"};
    static const char *const helps[OF_STAGES] = {
        "Time of a request, its answer included.", "Time that a request waits to be scored.",
        "Time to decode an image.", "Time to score a batch."};
    for (size_t i = 0; i < OF_STAGES; i++) {
        write_head(file, names[i], "histogram", helps[i]);
        write_histogram(file, names[i], "", &metrics->stages[i]);
    }
    write_head(file, "batch_images", "histogram", "Images scored together.");
    write_histogram(file, "batch_images", "", &metrics->batches);
}

static void write_model_counter(const of_meters *metrics, const of_model_set *models,
                                const char *name, const char *help, size_t offset, FILE *file) {
    write_head(file, name, "counter", help);
    for (size_t i = 0; i < of_model_set_count(models); i++) {
        uint64_t value;
        memcpy(&value, (const char *)&metrics->models[i] + offset, sizeof value);
        (void)fprintf(file, "outflow_%s{model=\"%s\"} %llu\n", name,
                      of_model_set_at(models, i)->name, (unsigned long long)value);
    }
}

static void write_model_histogram(const of_meters *metrics, const of_model_set *models,
                                  const char *name, const char *help, bool p_values, FILE *file) {
    write_head(file, name, "histogram", help);
    for (size_t i = 0; i < of_model_set_count(models); i++) {
        char label[OF_SERVED_NAME + 16];
        const of_model_meters *own = &metrics->models[i];
        (void)snprintf(label, sizeof label, "model=\"%s\"", of_model_set_at(models, i)->name);
        write_histogram(file, name, label, p_values ? &own->p_values : &own->bits);
    }
}

static void write_models(const of_meters *metrics, const of_model_set *models, FILE *file) {
    write_model_counter(metrics, models, "images_total", "Images scored.",
                        offsetof(of_model_meters, images), file);
    write_model_counter(metrics, models, "judged_total", "Images with a p-value.",
                        offsetof(of_model_meters, judged), file);
    write_model_counter(metrics, models, "flagged_total",
                        "Images whose p-value is at most the server's rate.",
                        offsetof(of_model_meters, flagged), file);
    write_model_histogram(metrics, models, "bits_per_dimension",
                          "Bits per dimension of images: a drift of inputs shows here.", false,
                          file);
    write_model_histogram(metrics, models, "p_value",
                          "p-values of calibrated models: even between 0 and 1 for normal images.",
                          true, file);
}

static void write_counters(const of_meters *metrics, FILE *file) {
    write_number(file, "received_bytes_total", "counter", "Bytes of bodies received.",
                 (double)metrics->bytes_in);
    write_number(file, "sent_bytes_total", "counter", "Bytes of answers.",
                 (double)metrics->bytes_out);
    write_number(file, "closed_late_total", "counter", "Connections closed for being too slow.",
                 (double)metrics->closed_late);
    write_number(file, "decoder_starts_total", "counter", "Decoder processes started.",
                 (double)metrics->decoder_starts);
    write_number(file, "decoder_failures_total", "counter",
                 "Images whose decoder process died or took too long.",
                 (double)metrics->decoder_failures);
    write_number(file, "reloads_total", "counter", "Times the models were read anew.",
                 (double)metrics->reloads);
    write_number(file, "reload_failures_total", "counter", "Times that failed.",
                 (double)metrics->reload_failures);
}

static void write_gauges(const of_gauges *gauges, FILE *file) {
    write_number(file, "queue_images", "gauge", "Images that wait to be scored.",
                 (double)gauges->queue_images);
    write_number(file, "queue_requests", "gauge", "Requests that wait to be read or decoded.",
                 (double)gauges->tasks);
    write_number(file, "connections", "gauge", "Open connections.", (double)gauges->connections);
    write_number(file, "memory_bytes", "gauge", "Bytes of requests in memory.",
                 (double)gauges->memory);
    write_number(file, "memory_limit_bytes", "gauge", "Most bytes of requests in memory.",
                 (double)gauges->memory_limit);
    write_number(file, "ready", "gauge", "1 while requests are taken.", gauges->ready);
}

void of_meters_write(of_meters *metrics, const char *const *routes, size_t route_count,
                     const of_model_set *models, const of_gauges *gauges, FILE *file) {
    (void)pthread_mutex_lock(&metrics->mutex);
    write_requests(metrics, routes, route_count, file);
    write_stages(metrics, file);
    write_models(metrics, models, file);
    write_counters(metrics, file);
    (void)pthread_mutex_unlock(&metrics->mutex);
    write_gauges(gauges, file);
}
