/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: all images of both sources, with their labels and what a model says of them. */
#define _POSIX_C_SOURCE 200809L
#include "clean/cleaning.h"
#include "core/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, BLANK_LEVELS = 3, MOST_SCALES = OF_CLEAN_STATISTICS / 2 };

#define PIXEL_BYTES ((size_t)512 << 20) /* of all images */

typedef struct gatherer {
    of_cleaning *cleaning;
    const of_stream_observer *observer;
    of_model *model;
    of_plan *plan;
    of_session *session;
    uint8_t source;
    bool failed; /* no memory for a fault */
} gatherer;

/* ---- What could not be read ---------------------------------------------------------------- */

static bool keep_fault(of_cleaning *cleaning, uint8_t source, const char *path,
                       const char *reason) {
    if (cleaning->fault_count == cleaning->fault_capacity) {
        size_t capacity = 2 * cleaning->fault_capacity + 16;
        of_clean_fault *faults = realloc(cleaning->faults, capacity * sizeof *faults);
        if (faults == NULL)
            return false;
        cleaning->faults = faults;
        cleaning->fault_capacity = capacity;
    }
    of_clean_fault *fault = &cleaning->faults[cleaning->fault_count];
    *fault = (of_clean_fault){strdup(path), strdup(reason), source};
    cleaning->fault_count++;
    return fault->path != NULL && fault->reason != NULL;
}

static void note_unreadable(void *user, const char *path, const char *reason) {
    gatherer *g = user;
    g->failed |= !keep_fault(g->cleaning, g->source, path, reason);
    if (g->observer->unreadable != NULL)
        g->observer->unreadable(g->observer->user, g->cleaning->sources[g->source], path, reason);
}

static bool is_stopped(void *user) {
    const gatherer *g = user;
    return g->observer->stop(g->observer->user);
}

/* ---- A model's statistics ------------------------------------------------------------------ */

static of_status open_model(gatherer *g, of_error *error) {
    const of_clean_options *options = &g->cleaning->options;
    of_plan_options wish = of_plan_options_default();
    wish.threads = options->threads;
    wish.isa = options->isa;
    of_status status = of_model_open(options->model, &g->model, error);
    if (status == OF_OK)
        status = of_plan_compile(g->model, &wish, &g->plan, error);
    if (status == OF_OK)
        status = of_session_create(g->plan, 0, &g->session, error);
    if (status != OF_OK)
        return status;
    const of_architecture *shape = of_plan_architecture(g->plan);
    g->cleaning->survey.height = shape->height;
    g->cleaning->survey.width = shape->width;
    size_t count = 2 * (size_t)of_architecture_scale_count(shape);
    g->cleaning->statistic_count = count < OF_CLEAN_STATISTICS ? count : OF_CLEAN_STATISTICS;
    return OF_OK;
}

/* Rec. 601 luma, as sources make grey of colour. */
static uint8_t luma(const uint8_t *p) {
    return (uint8_t)((299u * p[0] + 587u * p[1] + 114u * p[2] + 500u) / 1000u);
}

/* Contribution and log of latent squares of each scale (src/score/statistics.h says why the log).
 * `images` is the memory of a batch. */
static of_status fill_statistics(gatherer *g, size_t first, size_t count, uint8_t *images,
                                 of_error *error) {
    of_cleaning *cleaning = g->cleaning;
    const of_architecture *shape = of_plan_architecture(g->plan);
    size_t scales = of_architecture_scale_count(shape), places = cleaning->survey.image_bytes / 3;
    const uint8_t *pixels = of_survey_pixels(&cleaning->survey, first);
    double *contributions = malloc(2 * scales * count * sizeof *contributions);
    if (contributions == NULL)
        return of_fail_memory(error, "the likelihoods of a batch");
    double *squares = contributions + scales * count;
    for (size_t i = 0; shape->channels == 1 && i < count * places; i++)
        images[i] = luma(pixels + 3 * i);
    of_batch batch = {OF_PIXEL_U8, shape->channels == 1 ? images : pixels, count};
    of_likelihoods out = {.contributions = contributions, .latent_squares = squares};
    of_status status = of_session_forward(g->session, &batch, &out, error);
    size_t used = cleaning->statistic_count / 2;
    for (size_t i = 0; status == OF_OK && i < count; i++)
        for (size_t s = 0; s < used; s++) {
            double a = contributions[i * scales + s], b = log(squares[i * scales + s] + 1);
            cleaning->images[first + i].statistics[2 * s] = isfinite(a) ? a : 0;
            cleaning->images[first + i].statistics[2 * s + 1] = isfinite(b) ? b : 0;
        }
    free(contributions);
    return status;
}

/* ---- Images -------------------------------------------------------------------------------- */

static bool reserve(of_cleaning *cleaning, size_t count) {
    if (count <= cleaning->image_capacity)
        return true;
    size_t capacity = count + count / 2;
    of_clean_image *images = realloc(cleaning->images, capacity * sizeof *images);
    if (images == NULL)
        return false;
    cleaning->images = images;
    cleaning->image_capacity = capacity;
    return true;
}

/* Brightest less darkest value of the channel where that is largest. */
static bool is_blank(const uint8_t *pixels, size_t bytes) {
    for (size_t c = 0; c < OF_SURVEY_CHANNELS; c++) {
        uint8_t least = 255, most = 0;
        for (size_t i = c; i < bytes; i += OF_SURVEY_CHANNELS) {
            least = pixels[i] < least ? pixels[i] : least;
            most = pixels[i] > most ? pixels[i] : most;
        }
        if (most - least > BLANK_LEVELS)
            return false;
    }
    return true;
}

static bool describe(gatherer *g, size_t index, const of_item *item) {
    of_cleaning *cleaning = g->cleaning;
    of_clean_image *image = &cleaning->images[index];
    *image = (of_clean_image){.path = strdup(item->path),
                              .label = -1,
                              .suggested = -1,
                              .source = g->source,
                              .misfit = (double)NAN,
                              .unlike = (double)NAN,
                              .p_misfit = (double)NAN,
                              .p_unlike = (double)NAN};
    if (image->path == NULL)
        return false;
    image->blank =
        is_blank(of_survey_pixels(&cleaning->survey, index), cleaning->survey.image_bytes);
    return item->label[0] == '\0' ||
           of_labels_number(&cleaning->labels, item->label, &image->label);
}

static of_status take_batch(gatherer *g, const of_source_batch *batch, uint8_t *room,
                            of_error *error) {
    of_survey *survey = &g->cleaning->survey;
    size_t first = survey->count;
    if (first + batch->count > PIXEL_BYTES / survey->image_bytes)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "limit",
                               "more than %zu images, which is what is kept in memory",
                               PIXEL_BYTES / survey->image_bytes);
    of_status status = of_survey_take(survey, batch, error);
    if (status == OF_OK && !reserve(g->cleaning, survey->count)) {
        survey->count = first;
        status = of_fail_memory(error, "the images that are examined");
    }
    for (size_t i = 0; status == OF_OK && i < batch->count; i++)
        if (!describe(g, first + i, &batch->items[i])) {
            survey->count = first + i + 1;
            status = of_fail_memory(error, "the name of an image");
        }
    if (status == OF_OK && g->session != NULL)
        status = fill_statistics(g, first, batch->count, room, error);
    return status;
}

/* ---- Sources ------------------------------------------------------------------------------- */

static of_source_options reading(gatherer *g) {
    of_source_options wish = of_source_options_default(NULL);
    wish.channels = OF_SURVEY_CHANNELS;
    wish.height = g->cleaning->survey.height;
    wish.width = g->cleaning->survey.width;
    wish.threads = g->cleaning->options.threads;
    wish.limit = g->cleaning->options.limit;
    wish.on_unreadable = note_unreadable;
    wish.stop = g->observer->stop != NULL ? is_stopped : NULL;
    wish.user = g;
    return wish;
}

static of_status read_source(gatherer *g, uint8_t *room, of_error *error) {
    const of_stream_observer *observer = g->observer;
    const of_source_options wish = reading(g);
    const char *name = g->cleaning->sources[g->source];
    of_source *source = NULL;
    of_source_batch batch = {.count = 1};
    uint64_t seen = 0;
    of_status status = of_source_open(name, &wish, &source, error);
    if (status == OF_OK && observer->started != NULL)
        observer->started(observer->user, name, of_source_expected(source));
    while (status == OF_OK && batch.count > 0) {
        status = of_source_next(source, BATCH, &batch, error);
        if (status == OF_OK && batch.count > 0)
            status = take_batch(g, &batch, room, error);
        if (status == OF_OK && g->failed)
            status = of_fail_memory(error, "the name of a file");
        seen += status == OF_OK ? batch.count : 0;
        if (status == OF_OK && observer->progressed != NULL)
            observer->progressed(observer->user, seen);
    }
    if (source != NULL)
        g->cleaning->summary.skipped += of_source_skipped(source);
    of_source_free(source);
    return status;
}

of_status of_clean_gather(of_cleaning *cleaning, const of_stream_observer *observer,
                          of_error *error) {
    gatherer g = {.cleaning = cleaning, .observer = observer};
    of_survey *survey = &cleaning->survey;
    *survey = (of_survey){.height = 32, .width = 32, .most = SIZE_MAX, .share = 1};
    of_status status = cleaning->options.model != NULL ? open_model(&g, error) : OF_OK;
    survey->image_bytes = (size_t)survey->height * survey->width * OF_SURVEY_CHANNELS;
    uint8_t *room = status == OF_OK ? malloc(BATCH * survey->image_bytes) : NULL;
    if (status == OF_OK && room == NULL)
        status = of_fail_memory(error, "a batch of images");
    for (; status == OF_OK && g.source < 2 && cleaning->sources[g.source] != NULL; g.source++)
        status = read_source(&g, room, error);
    free(room);
    of_session_free(g.session);
    of_plan_free(g.plan);
    of_model_free(g.model);
    return status;
}
