/* SPDX-License-Identifier: Apache-2.0 */
/* All images of one or more sources, decoded, for random access. They are kept in memory up to a
 * cap; what is larger lies in a temporary file without a name, which is mapped, so that the system
 * keeps in memory what fits. */
#ifndef OF_DATA_SETS_DATASET_H
#define OF_DATA_SETS_DATASET_H

#include <outflow/outflow.h>

enum { OF_DATASET_MAX_CLASSES = 1000, OF_DATASET_MAX_SOURCES = 64 };

typedef struct of_dataset_options {
    of_source_options source; /* size; the limit is each source's */
    uint64_t cache_bytes;     /* cap of decoded images in memory; 0: chosen, see below */
    unsigned sharers;         /* sets, of all processes on this machine, in memory at once; 0: 1 */
    bool with_classes;        /* every image must have a label */
    /* Called now and then while images of a source are loaded; false ends the loading with an
     * error. May be NULL. `expected` is 0 if it is not known. */
    bool (*on_loaded)(void *user, const char *source, uint64_t loaded, uint64_t expected);
    /* Called with each image that cannot be read. May be NULL. */
    void (*on_unreadable)(void *user, const char *source, const char *path, const char *reason);
    void *user;
} of_dataset_options;

typedef struct of_dataset {
    size_t count, image_bytes;
    const uint8_t *pixels; /* [count][height][width][channels] */
    int32_t *classes;      /* [count], -1 without a label */
    size_t source_count;   /* images of source i end at source_ends[i] */
    size_t source_ends[OF_DATASET_MAX_SOURCES];
    size_t class_count;   /* largest class + 1 */
    char **class_names;   /* [class_count] */
    uint64_t fingerprint; /* of pixels and classes, in their order */
    uint64_t unreadable;
    bool in_file;
    void *storage; /* what `pixels` points into */
} of_dataset;

/*
 * Loads the sources one after the other. Classes of the first have the numbers that the source
 * gives them; a label of a later source is the class of that name if there is one, else it keeps
 * its number if that fills a gap, else it gets the next one. Without a cap the sets together take
 * half of the memory that the process may use. An empty source, or one in which no image could be
 * read, is an error with the first reason.
 */
of_status of_dataset_load(const char *const *specs, size_t spec_count,
                          const of_dataset_options *options, of_dataset *dataset, of_error *error);

/* Accepts a zeroed dataset. */
void of_dataset_free(of_dataset *dataset);

static inline const uint8_t *of_dataset_image(const of_dataset *dataset, size_t index) {
    return dataset->pixels + index * dataset->image_bytes;
}

#endif
