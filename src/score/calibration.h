/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a calibration: made by calibrator.c, used by calibration.c, as text in
 * calibration_json.c. */
#ifndef OF_SCORE_CALIBRATION_H
#define OF_SCORE_CALIBRATION_H

#include "score/combine.h"
#include "score/conformal.h"
#include "score/density.h"
#include "score/statistics.h"

enum { OF_CALIBRATED_SCORES = 16, OF_CALIBRATED_PICTURES_LEAST = 20 };

typedef struct of_calibrated_score {
    of_score score;
    of_conformal table;
    of_conformal pictures; /* of the largest value in a picture; empty where none was cut */
} of_calibrated_score;

struct of_calibration {
    of_architecture architecture; /* of the model */
    of_statistics_layout layout;
    uint64_t images;
    char *source;                     /* UTF-8, freed with free() */
    uint64_t model, general, members; /* fingerprints; 0: none */
    double mean_nll;                  /* of the images that are fitted to */
    of_density density;               /* over statistics of the same images */
    of_combination combination;       /* of distance, complexity and ratio, likewise */
    of_calibrated_score scores[OF_CALIBRATED_SCORES];
    size_t score_count;
    of_tiling tiling;  /* of pictures; all zero: the images were not cut */
    uint64_t pictures; /* that were cut; `images` are then tiles */
};

/* Which models a calibration is made with: all that it takes of them. */
typedef struct of_calibrated_models {
    const of_architecture *architecture, *general; /* general NULL: none */
    size_t member_count;                           /* further models of an ensemble */
    uint64_t model_fingerprint, general_fingerprint, members_fingerprint; /* 0: none */
    bool webp;          /* also calibrate complexity-webp */
    const char *source; /* may be NULL */
} of_calibrated_models;

/* of_calibrator_create for models that are no longer loaded. */
of_status of_calibrator_create_for(const of_calibrated_models *models, of_calibrator **calibrator,
                                   of_error *error);

/* Allocated JSON text, freed with free(); NULL when memory is exhausted. Doubles are printed with
 * 17 digits, which read back as the same double. */
char *of_calibration_print(const of_calibration *calibration);

/* The reverse, trusting nothing: sizes, ranges, order and finiteness are checked. The architecture
 * is that of the model that the text belongs to. */
of_status of_calibration_parse(const char *text, const of_architecture *architecture,
                               of_calibration **calibration, of_error *error);

#endif
