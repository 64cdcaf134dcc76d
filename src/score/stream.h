/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the images of a source through one or more models, a batch at a time. */
#ifndef OF_SCORE_STREAM_H
#define OF_SCORE_STREAM_H

#include <outflow/outflow.h>

enum { OF_STREAM_MEMBERS = 15 }; /* most further models of an ensemble */

/* What images run through, and what is found out about them. */
typedef struct of_stream_models {
    of_session *own, *general; /* general may be NULL */
    of_session *members[OF_STREAM_MEMBERS];
    size_t member_count;
    bool with_png, with_webp; /* also code every image */
    /* Several processes read the same source: each runs its part of every batch. share_items checks
     * that it is the same, share gives every process the parts of the others: rows of `width`
     * doubles, part p from of_stream_part(count, parts, p) to before the next. */
    unsigned part, parts; /* parts 0: there is one process */
    of_status (*share_items)(void *user, const of_source_batch *images, of_error *error);
    of_status (*share)(void *user, double *rows, size_t width, size_t count, of_error *error);
    void *user;
} of_stream_models;

/* Where part `part` of `parts` of a batch begins. */
size_t of_stream_part(size_t count, unsigned parts, unsigned part);

/* Results of a model for the images of a batch. */
typedef struct of_lane_results {
    uint32_t scales;        /* 0: there is no such model */
    uint32_t classes;       /* of it */
    double *logp;           /* [count] */
    double *contributions;  /* [count][scales] */
    double *latent_squares; /* [count][scales] */
    double *class_logp;     /* [count][classes], NULL without classes */
} of_lane_results;

/* All that is known of consecutive images; everything is valid during the callback only. */
typedef struct of_scored_batch {
    uint64_t first; /* number of the first image in the stream */
    size_t count;
    const of_item *items;  /* [count] */
    const uint8_t *pixels; /* [count][height][width][channels] */
    of_lane_results own, general;
    size_t members;
    double *member_logp;            /* [count][members], NULL without */
    double *png_bytes, *webp_bytes; /* [count], NULL where they are not asked for */
} of_scored_batch;

/* Image `index` of the batch, in the form that of_score_value takes. */
of_image_likelihood of_scored_image(const of_scored_batch *batch, size_t index);

/* Called for each batch in order; a failure ends the stream and is returned. */
typedef of_status of_scored_visit(void *user, const of_scored_batch *batch, of_error *error);

/* Checks that one image can be given to both; OF_ERROR_MISMATCH names the two sizes and `what` the
 * other model is ("the general model"). */
of_status of_stream_check(const of_architecture *architecture, const of_architecture *other,
                          const char *what, of_error *error);

/* A batch that keeps every thread of a plan busy while the next one is decoded; of large images
 * no more than that takes. */
size_t of_stream_batch_size(const of_plan *plan);

/* Takes every `every`-th image of the source, beginning with the first. Memory is that of one
 * batch, whatever the source's length. */
of_status of_stream_run(of_source *source, const of_stream_models *models, size_t batch_size,
                        uint64_t every, of_scored_visit *visit, void *user, of_error *error);

#endif
