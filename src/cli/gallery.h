/* SPDX-License-Identifier: Apache-2.0 */
/* The images that a report shows: the most and the least anomalous of each set. */
#ifndef OF_CLI_GALLERY_H
#define OF_CLI_GALLERY_H

#include "cli/examples.h"

enum { OF_GALLERY_IMAGES = 8 /* at each end of a set */ };

typedef struct of_gallery {
    size_t main_score; /* number of the score that orders them */
    size_t image_bytes, set_count;
    of_examples *most, *least; /* [set_count] */
    bool with_sample;          /* of the first set */
    of_sample sample;
    of_score heat; /* filled by of_gallery_heat */
    of_heat_reference reference;
} of_gallery;

/* The first set is the reference of heat if it is in-distribution. */
of_status of_gallery_open(of_gallery *gallery, const of_engine *engine, size_t set_count,
                          size_t main_score, bool with_sample, of_error *error);

of_status of_gallery_offer(of_gallery *gallery, size_t set, const char *source,
                           const of_scored_batch *batch, size_t index, double value,
                           of_error *error);

/* Sorts the images and makes their heat. */
of_status of_gallery_heat(of_gallery *gallery, of_engine *engine, of_score main_score,
                          of_error *error);

/* Accepts a zeroed one. */
void of_gallery_close(of_gallery *gallery);

#endif
