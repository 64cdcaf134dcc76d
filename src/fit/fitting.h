/* SPDX-License-Identifier: Apache-2.0 */
/* A call of of_fit while it is under way: what the files of this folder share. */
#ifndef OF_FIT_FITTING_H
#define OF_FIT_FITTING_H

#include "core/file_lock.h"
#include "fit/similar.h"

#include <outflow/fit.h>

/* The files of OUT.work. */
typedef struct of_work {
    char *folder, *state, *train, *calibrate, *check, *outliers, *samples, *general, *model;
    char *sets[OF_FIT_MOST_SETS]; /* outliers to measure with */
    char *lists[3];               /* of pictures in tiles: to train, to calibrate, to check */
} of_work;

typedef struct of_fitting {
    of_fit_options options;
    const of_fit_observer *observer;
    of_fit_plan plan;
    of_work work;
    char *general_name; /* what plan.general_model refers to */
    of_file_lock lock;  /* of OUT */
    double started;     /* of_seconds() */
    of_fit_result result;
} of_fitting;

/* Did somebody ask to stop? */
static inline bool of_fitting_stopped(const of_fitting *fitting) {
    const of_fit_observer *observer = fitting->observer;
    return observer->stop != NULL && observer->stop(observer->user);
}

/* The model to compare with and to start from: installed, given, or trained in OUT.work. */
static inline const char *of_fitting_general(const of_fitting *fitting) {
    return fitting->plan.general_model != NULL ? fitting->plan.general_model
                                               : fitting->work.general;
}

/* ---- plan.c ---- */
/* What so many images allow; an error where that is nothing. */
of_status of_fitting_plan(of_fitting *fitting, const of_survey *survey, const of_similar *similar,
                          of_error *error);

/* By which score the detector judges. */
of_score of_fitting_score(const of_fitting *fitting);

/* ---- cut.c ---- */
/* Sets the plan's cut and tiles; an error if those that were asked for are not possible. */
of_status of_fitting_choose_tiles(of_fitting *fitting, const of_survey *survey, uint64_t different,
                                  of_error *error);

/* ---- general.c ---- */
/* An installed model of this shape, or the given one: sets general_name and the plan's
 * architecture. Without one both are what is going to be trained. */
of_status of_fitting_find_general(of_fitting *fitting, of_error *error);
/* The two ends of it, for a run that goes on: this model, or none. */
of_status of_fitting_take_general(of_fitting *fitting, const char *name, of_error *error);
of_status of_fitting_shape_own(of_fitting *fitting, of_error *error);
/* Images a second in training, measured in some steps; 0 if it cannot be told. */
double of_fitting_measure_speed(const of_fitting *fitting, const of_survey *survey);

/* ---- divide.c ---- */
/* Writes the parts to OUT.work; the plan then says how large they came out. */
of_status of_fitting_divide(of_fitting *fitting, const of_survey *survey, of_error *error);

/* ---- work.c ---- */
of_status of_work_name(const char *out, of_work *work, of_error *error);
void of_work_free(of_work *work);
/* Removes what of_fit writes there, and the folder if nothing else is in it. */
void of_work_remove(const of_work *work);
/* state.c: what a later call needs to go on; it is there when the parts are complete. */
of_status of_fitting_save_state(const of_fitting *fitting, of_error *error);
/* OF_ERROR_MISMATCH if it belongs to other options. */
of_status of_fitting_load_state(of_fitting *fitting, of_error *error);

/* ---- learn.c ---- */
/* Trains what the plan says, or goes on with it. Sets result.interrupted and result.trained. */
of_status of_fitting_learn(of_fitting *fitting, of_error *error);

/* ---- origin.c ---- */
/* The trained model's file names the user's images as what it was trained on. */
of_status of_fitting_name_origin(const of_fitting *fitting, of_error *error);

/* ---- finish.c ---- */
/* Calibrates, measures, writes OUT and the report. */
of_status of_fitting_finish(of_fitting *fitting, of_error *error);

__attribute__((format(printf, 2, 3))) void of_fitting_warn(const of_fitting *fitting,
                                                           const char *format, ...);

static inline void of_fitting_begin(const of_fitting *fitting, of_fit_stage stage, uint64_t images,
                                    double seconds) {
    if (fitting->observer->stage != NULL)
        fitting->observer->stage(fitting->observer->user, stage, images, seconds);
}

#endif
