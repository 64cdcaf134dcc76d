/* SPDX-License-Identifier: Apache-2.0 */
/* A detector from inside: what the files of this folder share. */
#ifndef OF_DETECT_DETECTOR_H
#define OF_DETECT_DETECTOR_H

#include "detect/judging.h"

#include <outflow/detect.h>
#include <pthread.h>

/* Places in the detector's arrays of models. */
enum {
    OF_PLACE_MODEL = 0,
    OF_PLACE_GENERAL = 1,
    OF_PLACE_ENSEMBLE = 2, /* and the following ones */
    OF_PLACES = OF_PLACE_ENSEMBLE + OF_ENSEMBLE_MOST
};

/* What one call works with: a session for each plan. */
typedef struct of_runner {
    of_session *sessions[OF_PLACES]; /* NULL where there is no model */
    struct of_runner *next;          /* of the idle ones */
} of_runner;

/* Runners that no call uses at the moment. */
typedef struct of_runner_pool {
    pthread_mutex_t mutex;
    of_runner *idle;
} of_runner_pool;

/* Which file was read: another one of the same name differs in some of this. */
typedef struct of_file_identity {
    uint64_t device, inode, bytes;
    int64_t seconds, nanoseconds; /* of the last change */
} of_file_identity;

enum { OF_LOSSES_MOST = 32 /* nobody's scores are more */ };

/* What is known of scores in integers; see losses.h. */
typedef struct of_losses {
    size_t count;
    of_precision_loss items[OF_LOSSES_MOST];
} of_losses;

struct of_detector {
    bool has_general;
    bool general_found; /* among the installed models, by the calibration's record of it */
    size_t ensemble_count;
    of_detector_model models[OF_PLACES];
    const of_model *given[OF_PLACES]; /* models in memory that it was created from */
    char *files[OF_PLACES]; /* freed with free(); for a model in memory its name, or NULL */
    of_file_identity identities[OF_PLACES];
    of_plan *plans[OF_PLACES];
    char *training; /* the model's own record of it, freed with free(), or NULL */
    bool webp;
    size_t batch; /* images that keep every thread busy */
    of_ranks *ranks;
    of_tiling tiling;             /* of pictures; all zero: they are not cut */
    uint64_t members_fingerprint; /* of_ensemble_fingerprint; 0 for none */
    of_calibration *calibration;  /* NULL: none that can be used */
    char calibration_problem[512];
    of_judging judging;             /* what the model's file says */
    char *quantizations[OF_PLACES]; /* measured since it was opened; freed with free(), or NULL */
    of_losses losses;               /* of scores, in integers */
    char *losses_text;              /* measured since it was opened; freed with free(), or NULL */
    bool in_integers;
    bool lossy_scores; /* are allowed */
    of_runner_pool *pool;
};

/* Is there a model at this place? */
static inline bool of_detector_has(const of_detector *detector, size_t place) {
    return detector->plans[place] != NULL;
}

/* Of one call. */
static inline unsigned of_detector_threads(const of_detector *detector) {
    return of_plan_describe(detector->plans[OF_PLACE_MODEL]).threads;
}

/* 0 without a general model. */
uint64_t of_detector_general_fingerprint(const of_detector *detector);

/* Do the two models have the same number of scales? */
bool of_detector_same_scales(const of_detector *detector);

/* saving.c: of the file that lies there now; all zero without one. */
of_file_identity of_file_identify(const char *path);

/* An idle runner, or a new one. To be given back. */
of_status of_runner_take(const of_detector *detector, of_runner **runner, of_error *error);
void of_runner_give_back(const of_detector *detector, of_runner *runner);

of_status of_runner_pool_create(of_runner_pool **pool, of_error *error);
/* Frees idle runners too; accepts NULL. */
void of_runner_pool_free(of_runner_pool *pool);

#endif
