/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the images of a source through one or two plans, a batch at a time. */
#ifndef OF_SCORE_STREAM_H
#define OF_SCORE_STREAM_H

#include <outflow/outflow.h>

/* Likelihoods of consecutive images; everything is valid during the callback only. */
typedef struct of_scored_batch {
    uint64_t first; /* number of the first image in the stream */
    size_t count;
    const of_item *items;                /* [count] */
    uint32_t scales;                     /* of the model */
    const double *logp;                  /* [count] */
    const double *contributions;         /* [count][scales] */
    uint32_t general_scales;             /* 0 without a general model */
    const double *general_logp;          /* [count], NULL without a general model */
    const double *general_contributions; /* [count][general_scales], NULL without one */
} of_scored_batch;

/* Image `index` of the batch, in the form that of_score_value takes. */
of_image_likelihood of_scored_image(const of_scored_batch *batch, size_t index);

/* Called for each batch in order; a failure ends the stream and is returned. */
typedef of_status of_scored_visit(void *user, const of_scored_batch *batch, of_error *error);

/* Checks that one image can be given to both; OF_ERROR_MISMATCH names the two sizes. */
of_status of_stream_check(const of_architecture *architecture, const of_architecture *general,
                          of_error *error);

/* A batch that keeps every thread of the plan busy while the next one is decoded. */
size_t of_stream_batch_size(const of_plan *plan);

/* `general` may be NULL. Memory is that of one batch, whatever the source's length. */
of_status of_stream_run(of_source *source, of_plan *plan, of_plan *general, size_t batch_size,
                        of_scored_visit *visit, void *user, of_error *error);

#endif
