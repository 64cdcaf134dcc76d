/* SPDX-License-Identifier: Apache-2.0 */
/* Kept images from inside, and what a gallery does with them beyond the API. */
#ifndef OF_EVALUATE_EXAMPLES_H
#define OF_EVALUATE_EXAMPLES_H

#include <outflow/evaluate.h>

typedef struct of_kept_image {
    char *path, *label;
    const char *source; /* not owned */
    double value;       /* of the score */
    uint64_t number;    /* in the order of the stream */
    uint8_t *pixels;    /* [height][width][channels] */
    double *heat;       /* [height][width]; NULL until it is made */
    double limit;
    uint32_t height, width;
    bool cut; /* a picture that was cut: it came with its heat */
} of_kept_image;

struct of_examples {
    const of_detector *detector;
    of_kept_image *items; /* a heap before of_examples_sort */
    size_t count, capacity, most;
    bool lowest, sorted;
    uint64_t offered;
};

/* Of sorted ones, no more than the first `count`. */
void of_examples_shorten(of_examples *examples, size_t count);

/* An observer of the heat of several examples, one after the other. */
typedef struct of_heat_watch {
    of_stream_observer observer;
    uint64_t done; /* images */
} of_heat_watch;

/* Tells the observer (NULL: nobody) that heat of so many images begins. */
of_status of_heat_watch_start(const of_stream_observer *observer, uint64_t images,
                              of_heat_watch *watch, of_error *error);

/* of_examples_heat as a part of that. */
of_status of_examples_heat_watched(of_examples *examples, of_score score,
                                   const of_heat_reference *reference, of_heat_watch *watch,
                                   of_error *error);

#endif
