/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/sets/dataset.h"

#include "core/cgroup.h"
#include "core/error.h"
#include "core/memory.h"
#include "data/sets/image_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 256 };

/* What is needed while a set is loaded. */
typedef struct loader {
    const char *spec;
    const of_dataset_options *options;
    of_dataset *dataset;
    of_image_store *store;
    size_t capacity;     /* of dataset->classes */
    char *first_reason;  /* why the source's first unreadable image was */
    uint64_t unreadable; /* of the source */
    int32_t *renumbered; /* [OF_DATASET_MAX_CLASSES] the source's class -> the set's, -1: not seen;
                            NULL while the first source is read, whose numbers stay */
} loader;

/* A part of half of what the machine has, or of what this process's control group may take. */
static size_t default_cache(unsigned sharers) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
    double memory = pages > 0 && page > 0 ? (double)pages * (double)page : 0x1p32;
    double granted = of_cgroup_memory(of_cgroup_self());
    double usable = granted > 0 && granted < memory ? granted : memory;
    return (size_t)(usable / 2 / (sharers > 0 ? sharers : 1));
}

/* FNV-1a over words instead of bytes, with the upper half folded in: a check against mistakes,
 * not against forgery. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; size > 0; size--, at++)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

static void note_unreadable(void *user, const char *path, const char *reason) {
    loader *load = user;
    const of_dataset_options *options = load->options;
    if (load->first_reason == NULL) {
        size_t size = strlen(path) + strlen(reason) + 3;
        load->first_reason = malloc(size);
        if (load->first_reason != NULL)
            (void)snprintf(load->first_reason, size, "%s: %s", path, reason);
    }
    if (options->on_unreadable != NULL)
        options->on_unreadable(options->user, load->spec, path, reason);
}

static bool is_stopped(void *user) {
    const loader *load = user;
    const of_source_options *source = &load->options->source;
    return source->stop(source->user);
}

static of_status name_class(of_dataset *dataset, int32_t number, const char *label,
                            of_error *error) {
    size_t needed = (size_t)number + 1;
    if (needed > dataset->class_count) {
        char **names = realloc(dataset->class_names, needed * sizeof *names);
        if (names == NULL)
            return of_fail_memory(error, "class names");
        for (size_t i = dataset->class_count; i < needed; i++)
            names[i] = NULL;
        dataset->class_names = names;
        dataset->class_count = needed;
    }
    char **name = &dataset->class_names[number];
    if (*name == NULL && (*name = strdup(label)) == NULL)
        return of_fail_memory(error, "a class name");
    return OF_OK;
}

/* The set's class of a label of a source after the first. */
static int32_t find_class(const of_dataset *dataset, const of_item *item) {
    size_t own = (size_t)item->class_index;
    for (size_t i = 0; i < dataset->class_count; i++)
        if (dataset->class_names[i] != NULL && strcmp(dataset->class_names[i], item->label) == 0)
            return (int32_t)i;
    bool fills_gap = own < dataset->class_count && dataset->class_names[own] == NULL;
    return fills_gap ? item->class_index : (int32_t)dataset->class_count;
}

static int32_t renumber(const loader *load, const of_item *item) {
    int32_t number = item->class_index;
    if (load->renumbered == NULL || number < 0 || number >= OF_DATASET_MAX_CLASSES)
        return number;
    if (load->renumbered[number] < 0)
        load->renumbered[number] = find_class(load->dataset, item);
    return load->renumbered[number];
}

static of_status take_class(const loader *load, const of_item *item, of_error *error) {
    of_dataset *dataset = load->dataset;
    int32_t number = renumber(load, item);
    if (load->options->with_classes && number < 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: %s has no label, and a class-conditional model needs one for every "
                       "image: put the images of each class in a folder of its own",
                       load->spec, item->path);
    if (load->options->with_classes && number >= OF_DATASET_MAX_CLASSES)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: more than %d classes", load->spec,
                       (int)OF_DATASET_MAX_CLASSES);
    dataset->classes[dataset->count] = number;
    dataset->fingerprint = mix(dataset->fingerprint, &number, sizeof number);
    return number >= 0 && number < OF_DATASET_MAX_CLASSES
               ? name_class(dataset, number, item->label, error)
               : OF_OK;
}

static of_status reserve_classes(loader *load, size_t more, of_error *error) {
    size_t needed = load->dataset->count + more, bytes;
    if (needed <= load->capacity)
        return OF_OK;
    size_t capacity = needed + load->capacity / 2;
    int32_t *classes = of_multiply(capacity, sizeof *classes, &bytes)
                           ? realloc(load->dataset->classes, bytes)
                           : NULL;
    if (classes == NULL)
        return of_fail_memory(error, "the labels of a set");
    load->dataset->classes = classes;
    load->capacity = capacity;
    return OF_OK;
}

static of_status take_batch(loader *load, const of_source_batch *batch, of_error *error) {
    of_dataset *dataset = load->dataset;
    of_status status = reserve_classes(load, batch->count, error);
    if (status == OF_OK)
        status = of_image_store_append(load->store, batch->pixels,
                                       batch->count * dataset->image_bytes, error);
    for (size_t i = 0; status == OF_OK && i < batch->count; i++) {
        status = take_class(load, &batch->items[i], error);
        dataset->count++;
    }
    if (status == OF_OK)
        dataset->fingerprint =
            mix(dataset->fingerprint, batch->pixels, batch->count * dataset->image_bytes);
    return status;
}

static of_status read_all(loader *load, of_source *source, of_error *error) {
    const of_dataset_options *options = load->options;
    size_t before = load->dataset->count;
    for (;;) {
        of_source_batch batch;
        of_status status = of_source_next(source, BATCH, &batch, error);
        if (status != OF_OK || batch.count == 0)
            return status;
        if ((status = take_batch(load, &batch, error)) != OF_OK)
            return status;
        if (options->on_loaded != NULL &&
            !options->on_loaded(options->user, load->spec, load->dataset->count - before,
                                of_source_expected(source)))
            return of_fail(error, OF_ERROR_IO, "interrupted while images were loaded");
    }
}

/* Each source has images of its own. */
static of_status check_source(const loader *load, size_t images, of_error *error) {
    if (images == 0 && load->unreadable > 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: none of its %" PRIu64 " images can be used; the first: %s", load->spec,
                       load->unreadable,
                       load->first_reason != NULL ? load->first_reason : "unknown reason");
    if (images == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", load->spec);
    if (load->dataset->count > UINT32_MAX)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: more than 2^32 images", load->spec);
    return OF_OK;
}

static of_status check_classes(const loader *load, of_error *error) {
    const of_dataset *dataset = load->dataset;
    if (!load->options->with_classes)
        return OF_OK;
    if (dataset->class_count < 2)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: all images have the label '%s'; a class-conditional model needs two "
                       "classes or more",
                       load->spec, dataset->class_names[0]);
    for (size_t i = 0; i < dataset->class_count; i++)
        if (dataset->class_names[i] == NULL)
            return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image of class %zu of %zu",
                           load->spec, i, dataset->class_count);
    return OF_OK;
}

static of_status load_source(loader *load, of_error *error) {
    of_source_options wish = load->options->source;
    of_source *source = NULL;
    size_t before = load->dataset->count;
    wish.on_unreadable = note_unreadable;
    wish.user = load;
    wish.stop = wish.stop != NULL ? is_stopped : NULL;
    of_status status = of_source_open(load->spec, &wish, &source, error);
    if (status != OF_OK)
        return status;
    status = read_all(load, source, error);
    load->unreadable = of_source_unreadable(source);
    load->dataset->unreadable += load->unreadable;
    of_source_free(source);
    if (status == OF_OK)
        status = check_source(load, load->dataset->count - before, error);
    load->dataset->source_ends[load->dataset->source_count++] = load->dataset->count;
    free(load->first_reason);
    load->first_reason = NULL;
    return status;
}

static of_status load_sources(loader *load, const char *const *specs, size_t count,
                              of_error *error) {
    int32_t renumbered[OF_DATASET_MAX_CLASSES];
    of_status status = OF_OK;
    if (count == 0 || count > OF_DATASET_MAX_SOURCES)
        return of_fail(error, OF_ERROR_ARGUMENT, "a set of %zu sources; expected 1 to %d", count,
                       (int)OF_DATASET_MAX_SOURCES);
    for (size_t i = 0; status == OF_OK && i < count; i++) {
        for (size_t j = 0; j < OF_DATASET_MAX_CLASSES; j++)
            renumbered[j] = -1;
        load->renumbered = i > 0 ? renumbered : NULL;
        load->spec = specs[i];
        status = load_source(load, error);
    }
    load->renumbered = NULL;
    return status == OF_OK ? check_classes(load, error) : status;
}

of_status of_dataset_load(const char *const *specs, size_t spec_count,
                          const of_dataset_options *options, of_dataset *dataset, of_error *error) {
    of_dataset made = {.fingerprint = 0xcbf29ce484222325u};
    of_image_store *store = malloc(sizeof *store);
    loader load = {.options = options, .dataset = &made, .store = store};
    if (store == NULL)
        return of_fail_memory(error, "a set of images");
    *store = of_image_store_open(options->cache_bytes > 0 ? (size_t)options->cache_bytes
                                                          : default_cache(options->sharers));
    made.image_bytes =
        (size_t)options->source.height * options->source.width * options->source.channels;
    made.storage = store;
    of_status status = load_sources(&load, specs, spec_count, error);
    if (status == OF_OK)
        status = of_image_store_close(store, error);
    if (status != OF_OK) {
        of_dataset_free(&made);
        return status;
    }
    made.pixels = store->bytes;
    made.in_file = store->descriptor >= 0;
    *dataset = made;
    return OF_OK;
}

void of_dataset_free(of_dataset *dataset) {
    for (size_t i = 0; i < dataset->class_count; i++)
        free(dataset->class_names[i]);
    free(dataset->class_names);
    free(dataset->classes);
    if (dataset->storage != NULL)
        of_image_store_free(dataset->storage);
    free(dataset->storage);
    *dataset = (of_dataset){0};
}
