/* SPDX-License-Identifier: Apache-2.0 */
/* Where a run stands: everything that a checkpoint keeps besides blocks of values. Both structs
 * are stored as arrays of their only type; fields may be appended, not moved. */
#ifndef OF_TRAIN_STATE_H
#define OF_TRAIN_STATE_H

#include "model/model.h"

typedef struct of_train_counters {
    uint64_t step;           /* steps taken, the skipped ones included */
    uint64_t images;         /* of the inlier set; its place in the data */
    uint64_t general_images; /* the same of the general set */
    uint64_t applied;        /* steps that changed the weights */
    uint64_t skipped, skipped_in_row;
    uint64_t report_steps, report_images, report_general; /* since the last report */
    uint64_t validations, since_best;
    uint64_t next_validation; /* images */
    uint64_t has_best;
    uint64_t validated_at; /* images at the last validation */
    uint64_t isa;          /* of_isa of the kernels */
} of_train_counters;

typedef struct of_train_figures {
    double seconds;        /* of all parts of the run */
    double report_seconds; /* `seconds` at the last report */
    double loss, nll;      /* sums since the last report, of steps and of images */
    double outlier_loss, general_nll;
    double contributions[OF_MAX_SCALES];
    double grad_norm, rate; /* of the last step */
    double recent_bits;     /* moving mean for the progress bar */
    double last_bits;       /* of the last report */
    double best_criterion;  /* higher is better */
    double valid_bits;      /* of the last validation */
    double best_bits;       /* of the best one */
} of_train_figures;

enum {
    OF_TRAIN_COUNTERS = sizeof(of_train_counters) / sizeof(uint64_t),
    OF_TRAIN_FIGURES = sizeof(of_train_figures) / sizeof(double)
};

typedef struct of_train_state {
    of_train_counters counters;
    of_train_figures figures;
} of_train_state;

#endif
