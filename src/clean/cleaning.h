/* SPDX-License-Identifier: Apache-2.0 */
/* A cleaning from inside: what the files of this folder share. */
#ifndef OF_CLEAN_CLEANING_H
#define OF_CLEAN_CLEANING_H

#include "data/labels.h"
#include "fit/survey.h"

#include <outflow/clean.h>

enum { OF_CLEAN_STATISTICS = 12 /* most of a model's values of an image */ };

/* Beside the survey's image of the same number. */
typedef struct of_clean_image {
    char *path;
    int32_t label, suggested; /* -1: none */
    uint8_t source;           /* 0 or 1 */
    bool blank;
    double misfit; /* how much better the best other class fits; NaN: not judged */
    double unlike; /* log of the distance to the nearest class */
    double p_misfit, p_unlike;
    double statistics[OF_CLEAN_STATISTICS];
} of_clean_image;

typedef struct of_clean_fault {
    char *path, *reason;
    uint8_t source;
} of_clean_fault;

/* What of_clean_finding says, by numbers. */
typedef struct of_clean_entry {
    of_clean_issue issue;
    uint32_t image;     /* of a fault: its number */
    uint32_t duplicate; /* UINT32_MAX: none */
    double p_value;
    char notes[96];
} of_clean_entry;

struct of_cleaning {
    of_clean_options options;
    char *sources[2];
    of_survey survey;
    of_clean_image *images; /* [image_capacity], the first survey.count are set */
    size_t image_capacity;
    size_t statistic_count;
    of_labels labels;
    of_clean_fault *faults;
    size_t fault_count, fault_capacity;
    of_clean_entry *entries;
    size_t entry_count, entry_capacity;
    of_clean_summary summary;
};

/* Reads both sources into memory. */
of_status of_clean_gather(of_cleaning *cleaning, const of_stream_observer *observer,
                          of_error *error);

/* Values of an image that classes are told apart by, [of_features_count]. */
size_t of_features_count(const of_cleaning *cleaning);
void of_features_fill(const of_cleaning *cleaning, size_t index, double *values);

/* Sets misfit, unlike and suggested of the images of all classes that are large enough; needs the
 * survey's groups. */
of_status of_discriminate(of_cleaning *cleaning, const of_stream_observer *observer,
                          of_error *error);

/* Makes p-values of misfit and unlike. */
of_status of_clean_test(of_cleaning *cleaning, of_error *error);

/* The largest p-value that the procedure of Benjamini and Hochberg rejects at `rate`; negative for
 * none. Sorts `p`. */
double of_clean_threshold(double *p, size_t count, double rate);

/* Makes the entries, in order. */
of_status of_clean_find(of_cleaning *cleaning, of_error *error);

#endif
