/* SPDX-License-Identifier: Apache-2.0 */
/* Heat against masks: where in pictures the defects are, and where heat says so. */
#ifndef OF_EVALUATE_PIXELS_H
#define OF_EVALUATE_PIXELS_H

#include <outflow/evaluate.h>

/* The longer side of a picture's map at most. */
enum { OF_PIXELS_SIDE = 512 };

/* Heat and regions of the pictures of one set, one after the other. */
typedef struct of_pixel_set {
    float *heat;
    uint32_t *regions; /* 0: normal; else numbered through the set */
    size_t count, capacity;
    uint32_t region_count;
    uint64_t pictures, without_mask; /* the latter are left out */
} of_pixel_set;

typedef struct of_pixel_sets {
    const of_detector *detector;
    char *folder; /* of the masks, freed with free() */
    of_score score;
    of_pixel_set *sets; /* [set_count] */
    size_t set_count;
    double *room; /* heat of one image of the model's size */
} of_pixel_sets;

of_status of_pixel_sets_open(const of_detector *detector, const char *folder, of_score score,
                             size_t set_count, of_pixel_sets **pixels, of_error *error);
/* Accepts NULL. */
void of_pixel_sets_free(of_pixel_sets *pixels);

/* Image `index` of a batch. In the first set all is normal; in others, named `name`, a picture's
 * mask is FOLDER/NAME/PATH or FOLDER/PATH, with .png or _mask.png in place of its ending. */
of_status of_pixel_sets_add(of_pixel_sets *pixels, size_t set, const char *name,
                            const of_scored_batch *batch, size_t index, of_error *error);

/* Set `set` against the first one; set 0: all of them. */
of_status of_pixel_sets_compare(const of_pixel_sets *pixels, size_t set, of_pixel_metrics *metrics,
                                of_error *error);

#endif
