/* SPDX-License-Identifier: Apache-2.0 */
/* The images that a report shows: the most and the least anomalous of each set. */
#ifndef OF_EVALUATE_GALLERY_H
#define OF_EVALUATE_GALLERY_H

#include "evaluate/examples.h"

enum {
    OF_GALLERY_IMAGES = 8,   /* at each end of a set */
    OF_GALLERY_FLAGGED = 500 /* at its most anomalous end, where flagged images are listed */
};

typedef struct of_gallery of_gallery;

/* The first set is the reference of heat if it is in-distribution. `most`: OF_GALLERY_IMAGES, or
 * OF_GALLERY_FLAGGED. */
of_status of_gallery_create(const of_detector *detector, size_t set_count, bool first_is_reference,
                            size_t most, of_gallery **gallery, of_error *error);

/* Accepts NULL. */
void of_gallery_free(of_gallery *gallery);

/* `source` must outlive the gallery. */
of_status of_gallery_offer(of_gallery *gallery, size_t set, const char *source,
                           const of_scored_batch *batch, size_t index, double value,
                           of_error *error);

/* Sorts the images, keeps of each set those on the wall and at its most anomalous end
 * `flagged[set]` (NULL: none beyond the wall), and makes their heat, once: no more are offered
 * afterwards. */
of_status of_gallery_heat(of_gallery *gallery, of_score score, const uint64_t *flagged,
                          const of_stream_observer *observer, of_error *error);

/* How many images of the most anomalous end belong to the wall. */
size_t of_gallery_wall(const of_gallery *gallery, size_t set);

/* With heat: the most, or the least, anomalous images of a set. */
const of_examples *of_gallery_images(const of_gallery *gallery, size_t set, bool least);

/* What heat is relative to; NULL: not to other images. */
const of_heat_reference *of_gallery_reference(const of_gallery *gallery);

#endif
