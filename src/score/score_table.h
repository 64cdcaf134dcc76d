/* SPDX-License-Identifier: Apache-2.0 */
/* The scores, a row each, in the order of reports. What else there is to know of a score (whether
 * it can be computed, its p-values, its heat, its place in files) follows from its row: a new
 * score is an of_score_kind, a row, and a function. */
#ifndef OF_SCORE_SCORE_TABLE_H
#define OF_SCORE_SCORE_TABLE_H

#include <outflow/outflow.h>

/* What a score that is fitted to calibration images is computed from. */
typedef struct of_fitted_input {
    const double *statistics; /* statistics.h; NULL: the image lacks some of them */
    double nll, complexity, ratio;
} of_fitted_input;

typedef struct of_score_row {
    of_score_kind kind;
    const char *name;
    unsigned needs; /* of_score_need flags */
    bool per_scale; /* one for each scale, "name:i" */
    /* One of the two. Both give NaN if the image lacks what the score needs. */
    double (*value)(of_score score, const of_architecture *architecture,
                    const of_image_likelihood *image);
    double (*fitted)(const of_calibration *calibration, const of_fitted_input *input);
    /* Whose heat is shown for it, with a general model and without: one that is a sum of
     * contributions. */
    of_score_kind heat, heat_alone;
} of_score_row;

enum { OF_SCORE_KINDS = OF_SCORE_COMBINED + 1 };

extern const of_score_row of_score_table[OF_SCORE_KINDS];

/* The row of a kind; NULL if there is no such kind. */
const of_score_row *of_score_row_of(of_score_kind kind);

/* fitted.c */
double of_fitted_typicality(const of_calibration *calibration, const of_fitted_input *input);
double of_fitted_combined(const of_calibration *calibration, const of_fitted_input *input);

#endif
