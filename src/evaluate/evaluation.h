/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation from inside: what the files of this folder, and reports, share. */
#ifndef OF_EVALUATE_EVALUATION_H
#define OF_EVALUATE_EVALUATION_H

#include "evaluate/gallery.h"
#include "evaluate/pixels.h"

#include <outflow/evaluate.h>

/* Of the intervals of flagged shares. */
#define OF_FLAG_CONFIDENCE 0.99

/* A column of doubles that grows. */
typedef struct of_values {
    double *items;
    size_t count, capacity;
} of_values;

/* A score of the images of a set. */
typedef struct of_score_column {
    of_values values;
    uint64_t flagged;
    of_metrics metrics; /* against the first set, where sets are compared */
} of_score_column;

/* A file that could not be read. */
typedef struct of_fault {
    char *path, *reason; /* freed with free() */
} of_fault;

enum { OF_FAULTS_MOST = 1000 /* that a set remembers */ };

typedef struct of_image_set {
    char *name, *source;
    of_stream_result stream;
    bool ended;               /* all images have been added */
    uint64_t non_finite;      /* images with a score that is not finite */
    of_score_column *columns; /* [score_count] */
    of_values logp, general_logp;
    double mean_logp, mean_general_logp; /* over the finite ones */
    double rank_correlation, correlation;
    of_fault *faults; /* [fault_count] */
    size_t fault_count, fault_capacity;
} of_image_set;

struct of_evaluation {
    const of_detector *detector;
    bool compared, with_general, finished;
    of_score *scores; /* [score_count] */
    bool *judged;     /* [score_count]: images are flagged under this score */
    size_t score_count, main_score;
    double rate; /* false-positive rate that images are flagged at; 0: none */
    bool with_threshold;
    double threshold;   /* of the asked score */
    of_image_set *sets; /* [set_count] */
    size_t set_count;
    double rank_correlation, correlation; /* over all sets together */
    of_gallery *gallery;                  /* NULL: no images are kept */
    of_pixel_sets *pixels;                /* NULL: there are no masks */
    of_evaluation_pixels *found;          /* [set_count] with masks: of the main score's heat */
};

/* Is it complete? If not, the error says so. */
of_status of_evaluation_check_finished(const of_evaluation *evaluation, of_error *error);

/* What is flagged under a score from this value on; NaN where there is no such value. */
double of_evaluation_threshold(const of_evaluation *evaluation, size_t score);

/* ---- sets.c: the images of a set ----------------------------------------------------------- */

of_status of_image_set_open(const of_evaluation_set_options *options, size_t score_count,
                            of_image_set *set, of_error *error);

/* Adds an image; false when memory is exhausted. */
bool of_image_set_add(const of_evaluation *evaluation, of_image_set *set,
                      const of_image_likelihood *likelihood);

/* All images are there: computes the means. */
void of_image_set_end(of_image_set *set, const of_stream_result *result);

/* What needs all images of a set and of the first one: metrics, and correlations of the models. */
of_status of_image_set_compare(const of_evaluation *evaluation, of_image_set *set, of_error *error);
of_status of_image_sets_correlate(of_evaluation *evaluation, of_error *error);

/* faults.c */
void of_faults_close(of_image_set *set);

/* Accepts a zeroed set. */
void of_image_set_close(of_image_set *set, size_t score_count);

#endif
