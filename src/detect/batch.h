/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of images and all that is found out about them. */
#ifndef OF_DETECT_BATCH_H
#define OF_DETECT_BATCH_H

#include "detect/detector.h"

/* Results of one model for the images of a batch. */
typedef struct of_model_results {
    uint32_t scales, classes; /* scales 0: there is no such model */
    double bin;               /* of_input_map.bin */
    double *logp;             /* [count] */
    double *contributions;    /* [count][scales] */
    double *latent_squares;   /* [count][scales] */
    double *class_logp;       /* [count][classes], NULL without classes */
} of_model_results;

struct of_scored_batch {
    size_t count, capacity; /* images */
    size_t image_bytes;     /* [height][width][channels] */
    const uint8_t *pixels;  /* [count][image_bytes] */
    const of_item *items;   /* [count], NULL for images in memory */
    of_model_results own, general;
    size_t members;                 /* of the ensemble */
    double *member_logp;            /* [count][members], NULL without */
    double *png_bytes, *webp_bytes; /* [count], NULL where they are not wanted */
    double *spare;                  /* [capacity] */
    const of_tile_summary *tiles;   /* of the one picture, where pictures are cut; else NULL */
    const of_tiled_heat *heat;      /* likewise, if it is made */
};

/* Room for the results of `capacity` images; `needs` says which coders' sizes are wanted, as in
 * of_stream_options. */
of_status of_scored_batch_open(const of_detector *detector, size_t capacity, unsigned needs,
                               of_scored_batch *batch, of_error *error);
/* Accepts a zeroed batch. */
void of_scored_batch_close(of_scored_batch *batch);

/* Results from image `first` on, as a batch that owns nothing. */
void of_scored_batch_view(const of_scored_batch *batch, size_t first, of_scored_batch *view);

/* Runs `images` through all models; of them, `bytes` [count] are coded: the same images as bytes.
 */
of_status of_scored_batch_run(const of_detector *detector, of_runner *runner,
                              const of_batch *images, const uint8_t *bytes, of_scored_batch *batch,
                              of_error *error);

/* images.c: runs images in memory, as many at a time as keep all threads busy, and `visit` after
 * each batch. Their items are NULL; their pixels too, unless they are bytes. */
of_status of_scored_batch_visit(const of_detector *detector, const of_batch *images, unsigned needs,
                                of_scored_visit *visit, void *user, of_error *error);

#endif
