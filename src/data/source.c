/* SPDX-License-Identifier: Apache-2.0 */
/* The public face: batches of items out of the pipeline. */
#include "data/source.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "data/labels.h"
#include "data/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DECODING_BYTES ((size_t)1 << 30) /* for all images that are being decoded */
#define STOP_SECONDS 0.1                 /* between two questions whether to stop */

enum { MAX_THREADS = 256, MAX_CHOSEN_THREADS = 16 };

/* The strings behind an of_item. */
typedef struct names {
    of_bytes path, label;
} names;

struct of_source {
    of_pipeline *pipeline;
    of_source_options options;
    of_labels labels;
    uint64_t total, expected, delivered, unreadable;
    bool ended, stopped;
    double next_asked; /* when options.stop is asked again */
    of_error failure;  /* what every further call returns */

    size_t image_bytes, capacity, count; /* the batch */
    uint8_t *pixels;
    of_item *items;
    names *names;
};

of_source_options of_source_options_default(const of_architecture *architecture) {
    of_source_options options = {.size = sizeof options, .channels = 3, .height = 32, .width = 32};
    if (architecture != NULL) {
        options.channels = architecture->channels;
        options.height = architecture->height;
        options.width = architecture->width;
    }
    options.max_pixels = OF_MAX_PIXELS;
    return options;
}

of_status of_source_target(const of_source_options *options, of_target *target, of_error *error) {
    of_target checked = {
        .channels = options->channels,
        .height = options->height,
        .width = options->width,
        .max_pixels = options->max_pixels > 0 ? options->max_pixels : OF_MAX_PIXELS,
        .max_bytes = OF_MAX_FILE_BYTES,
        .min_height = options->min_height,
        .min_width = options->min_width,
        .max_memory = options->max_bytes > 0 ? options->max_bytes : OF_MAX_DECODER_BYTES,
        .max_unpacked = options->max_unpacked,
        .background = options->background,
        .full_decoding = options->full_decoding,
        .all_frames = options->all_frames};
    of_status status = of_target_check(&checked, "image source", error);
    if (status == OF_OK)
        *target = checked;
    return status;
}

static of_status choose_threads(const of_source_options *options, unsigned *threads,
                                of_error *error) {
    unsigned cpus = of_cpu_count();
    *threads = options->threads > 0        ? options->threads
               : cpus < MAX_CHOSEN_THREADS ? cpus
                                           : MAX_CHOSEN_THREADS;
    if (*threads > MAX_THREADS)
        return of_fail(error, OF_ERROR_ARGUMENT, "image source: %u threads; at most %d", *threads,
                       (int)MAX_THREADS);
    return OF_OK;
}

of_status of_source_from_reader(of_reader *reader, const of_source_options *options,
                                of_source **source, of_error *error) {
    of_target target;
    unsigned threads;
    of_source *made = NULL;
    uint64_t expected = reader->expected;
    of_status status = of_source_target(options, &target, error);
    if (status == OF_OK)
        status = choose_threads(options, &threads, error);
    if (status == OF_OK && (made = calloc(1, sizeof *made)) == NULL)
        status = of_fail_memory(error, "an image source");
    if (status != OF_OK) {
        of_reader_close(reader);
        return status;
    }
    made->options = *options;
    made->image_bytes = of_target_bytes(&target);
    made->total = expected;
    made->expected = options->limit > 0 && expected > options->limit ? options->limit : expected;
    status = of_pipeline_start(reader, &target, threads, DECODING_BYTES, &made->pipeline, error);
    if (status != OF_OK)
        of_source_free(made);
    else
        *source = made;
    return status;
}

of_status of_source_open(const char *spec, const of_source_options *options, of_source **source,
                         of_error *error) {
    of_target target;
    of_reader *reader;
    of_source_options own = of_source_options_default(NULL);
    if (spec == NULL || options == NULL || source == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_source_open: NULL argument");
    of_status status = of_options_read(&own, sizeof own, OF_SIZE_UP_TO(of_source_options, stop),
                                       options, "source options", error);
    if (status == OF_OK)
        status = of_source_target(&own, &target, error);
    if (status == OF_OK)
        status = of_reader_open(spec, &target, own.seed, &reader, error);
    return status != OF_OK ? status : of_source_from_reader(reader, &own, source, error);
}

void of_source_free(of_source *source) {
    if (source == NULL)
        return;
    of_pipeline_free(source->pipeline);
    of_labels_free(&source->labels);
    for (size_t i = 0; i < source->capacity; i++) {
        of_bytes_free(&source->names[i].path);
        of_bytes_free(&source->names[i].label);
    }
    free(source->names);
    free(source->items);
    free(source->pixels);
    free(source);
}

uint64_t of_source_unreadable(const of_source *source) {
    return source->unreadable;
}

uint64_t of_source_skipped(const of_source *source) {
    return of_pipeline_skipped(source->pipeline);
}

uint64_t of_source_total(const of_source *source) {
    return source->total;
}

uint64_t of_source_expected(const of_source *source) {
    return source->expected;
}

/* ---- Batches ------------------------------------------------------------------------------- */

static void *grow(void *block, size_t capacity, size_t size) {
    size_t bytes;
    return of_multiply(capacity, size, &bytes) ? realloc(block, bytes) : NULL;
}

/* Makes room for one more image; grows with what arrives, not with what is asked for. */
static of_status reserve_image(of_source *source, size_t max_count, of_error *error) {
    if (source->count < source->capacity)
        return OF_OK;
    size_t capacity = source->capacity + (source->capacity >> 1) + 16;
    if (capacity > max_count)
        capacity = max_count;
    void *pixels = grow(source->pixels, capacity, source->image_bytes);
    source->pixels = pixels != NULL ? pixels : source->pixels;
    void *items = grow(source->items, capacity, sizeof *source->items);
    source->items = items != NULL ? items : source->items;
    void *storage = grow(source->names, capacity, sizeof *source->names);
    source->names = storage != NULL ? storage : source->names;
    if (pixels == NULL || items == NULL || storage == NULL)
        return of_fail_memory(error, "a batch of images");
    memset(source->names + source->capacity, 0,
           (capacity - source->capacity) * sizeof *source->names);
    source->capacity = capacity;
    return OF_OK;
}

static of_status append(of_source *source, of_slot *slot, size_t max_count, of_error *error) {
    of_status status = reserve_image(source, max_count, error);
    if (status != OF_OK)
        return status;
    names *kept = &source->names[source->count];
    of_item *item = &source->items[source->count];
    memcpy(source->pixels + source->count * source->image_bytes, slot->pixels, source->image_bytes);
    of_bytes_swap(&kept->path, &slot->entry.path);
    of_bytes_swap(&kept->label, &slot->entry.label);
    *item = (of_item){of_text(&kept->path), of_text(&kept->label), slot->entry.class_index,
                      slot->info.height,    slot->info.width,      slot->info.reshaped,
                      slot->info,           slot->entry.tile};
    if (item->class_index < 0 && item->label[0] != '\0' &&
        !of_labels_number(&source->labels, item->label, &item->class_index))
        return of_fail_memory(error, "the class names");
    source->count++;
    source->delivered++;
    return OF_OK;
}

static of_status report(of_source *source, const of_slot *slot, of_error *error) {
    const char *path = of_text(&slot->entry.path);
    source->unreadable++;
    if (source->options.strict || slot->result.status == OF_ERROR_MEMORY)
        return of_fail_from(error, &slot->result, "%s: %s", path, slot->result.message);
    if (source->options.on_unreadable != NULL)
        source->options.on_unreadable(source->options.user, path, slot->result.message);
    return OF_OK;
}

static bool is_stopped(of_source *source) {
    if (source->options.stop == NULL)
        return false;
    double now = of_seconds();
    if (now < source->next_asked)
        return false;
    source->next_asked = now + STOP_SECONDS;
    return source->options.stop(source->options.user);
}

static of_status take(of_source *source, size_t wanted, of_slot **slot, of_error *error) {
    bool late = true;
    of_status status = OF_OK;
    *slot = NULL;
    while (status == OF_OK && late) {
        source->stopped = is_stopped(source);
        status = source->stopped ? of_fail(error, OF_ERROR_IO, "interrupted")
                                 : of_pipeline_take(source->pipeline, wanted, &late, slot, error);
    }
    return status;
}

/* Takes one entry; sets source->ended at the end of the stream. */
static of_status advance(of_source *source, size_t max_count, of_error *error) {
    of_slot *slot;
    if (source->options.limit > 0 && source->delivered == source->options.limit) {
        source->ended = true;
        return OF_OK;
    }
    of_status status = take(source, max_count - source->count, &slot, error);
    source->ended = slot == NULL;
    if (status != OF_OK || slot == NULL)
        return status;
    status = slot->result.status == OF_OK ? append(source, slot, max_count, error)
                                          : report(source, slot, error);
    of_pipeline_release(source->pipeline);
    return status;
}

of_status of_source_next(of_source *source, size_t max_count, of_source_batch *batch,
                         of_error *error) {
    if (source == NULL || batch == NULL || max_count == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_source_next: NULL or an empty batch");
    source->count = 0;
    while (!source->ended && source->failure.status == OF_OK && source->count < max_count) {
        of_error failure;
        if (advance(source, max_count, &failure) != OF_OK)
            source->failure = failure;
    }
    /* Images that came before a failure are handed out first, except to whom has enough of them. */
    if (source->failure.status != OF_OK && (source->count == 0 || source->stopped))
        return of_error_copy(error, &source->failure);
    *batch = (of_source_batch){source->count, source->pixels, source->items};
    return OF_OK;
}
