/* SPDX-License-Identifier: Apache-2.0 */
/* A first look at the images: all of them in memory at the model's size, in colour, with what is to
 * be known of each. Memory is bounded: of too many a share is taken, chosen by their paths. */
#ifndef OF_FIT_SURVEY_H
#define OF_FIT_SURVEY_H

#include <outflow/fit.h>

enum { OF_SURVEY_CHANNELS = 3 };

typedef struct of_survey_image {
    uint64_t content;  /* hash of its pixels */
    uint64_t gradient; /* a bit for each pair of neighbours in a thumbnail: which is brighter */
    double place;      /* of_part_number of its path */
    char *path;        /* in its source */
    uint32_t height, width; /* before it was resized */
    uint32_t group;         /* similar.c: images that are nearly the same have the same number */
    uint32_t original;      /* similar.c: of a copy, the earliest image that it equals */
    bool coloured;
    bool copy; /* similar.c: equals an earlier one */
} of_survey_image;

typedef struct of_survey {
    uint32_t height, width;
    size_t image_bytes, count, capacity, most;
    of_survey_image *images; /* [count] */
    uint8_t *pixels;         /* [count][height][width][3] */
    double share;            /* of the paths that are taken, 1: all */
    uint64_t found;          /* in the source; 0: not known */
    uint64_t unreadable, skipped;
    char reason[512]; /* why the first unreadable one was */
} of_survey;

/* `options` have been read; height and width of 0 are 32. To be closed, also after a failure. */
of_status of_survey_run(const of_fit_options *options, const of_fit_observer *observer,
                        of_survey *survey, of_error *error);

/* Adds the images of a batch that belong to its share, and takes some out if there are more than
 * `most`. */
of_status of_survey_take(of_survey *survey, const of_source_batch *batch, of_error *error);

/* Accepts a zeroed one. */
void of_survey_close(of_survey *survey);

static inline const uint8_t *of_survey_pixels(const of_survey *survey, size_t index) {
    return survey->pixels + index * survey->image_bytes;
}

#endif
