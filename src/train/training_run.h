/* SPDX-License-Identifier: Apache-2.0 */
/* A run of training while it is under way: what the files of this folder share. */
#ifndef OF_TRAIN_TRAINING_RUN_H
#define OF_TRAIN_TRAINING_RUN_H

#include "core/file_lock.h"
#include "data/sets/dataset.h"
#include "graph/gradient.h"
#include "ranks/reduction.h"
#include "train/feeder.h"
#include "train/run_log.h"
#include "train/settings.h"
#include "train/state.h"
#include "train/validate.h"

/* What all ranks do, because one of them wants it. Only kept where there are several. */
typedef struct of_train_decisions {
    bool stop, late, due; /* asked to end; out of time; a checkpoint is due */
    double passed;        /* share of the time that the run may take; 0 without such a limit */
} of_train_decisions;

typedef struct of_trainer {
    of_trainer_settings options; /* with what was chosen filled in */
    const of_train_observer *observer;
    of_run_log log;
    of_error log_error; /* after one no more is written to the log */
    char *checkpoint_path, *identity;
    of_file_lock lock;                              /* of the checkpoint; the first rank's */
    uint64_t total_images;                          /* 0: only time ends the run */
    uint64_t init_fingerprint, general_fingerprint; /* of the two models' values */

    of_dataset data, general_data;
    of_validation validation;
    uint64_t unreadable;

    of_model *model;
    of_model *output; /* same architecture: averaged or best weights on their way to a file */
    of_training_plan *plan;
    of_plan *general_plan; /* NULL without a general model, as its session */
    of_session *general;
    of_optimizer optimizer;
    float *best; /* block; NULL unless early stopping is on */
    of_feeder *feeder, *general_feeder;
    double *general_nll;     /* of un-moved general images, NaN until computed; NULL: not kept */
    uint8_t *missing_pixels; /* room for the general batch's images without one, */
    uint32_t *missing;       /* and for their numbers */

    /* of one batch */
    double *logp, *contributions, *nll, *loss, *inlier_general;
    double *general_logp, *outlier_nll, *outlier_loss, *outlier_general;

    /* of several ranks: */
    unsigned first_lane, own_lanes;
    of_train_decisions decisions;
    of_reduction *reduction; /* NULL: there is one rank */
    size_t *shards;          /* rank r updates the floats of the block from shards[r] to before
                                shards[r + 1]; NULL: every rank updates all */
    of_gradient_exchange exchange;
    bool begun;       /* a reduction was announced, */
    unsigned reduced; /* and has started for so many scales */

    of_train_state state;
    double started; /* of_seconds() */
    double checkpointed;
} of_trainer;

/* ---- inputs.c ---- */
/* Before any work is done: OUT and its checkpoint can be written, and nothing is lost by it. */
of_status of_trainer_check_outputs(of_trainer *trainer, of_error *error);
of_status of_trainer_load_data(of_trainer *trainer, of_error *error);

/* ---- setup.c: everything up to the first step ---- */
of_status of_trainer_open(of_trainer *trainer, const of_train_options *options, of_error *error);
void of_trainer_close(of_trainer *trainer);

/* ---- identity.c ---- */
/* "name=value" lines, freed with free(); NULL when memory is exhausted. */
char *of_trainer_identity(const of_trainer *trainer);
uint64_t of_block_fingerprint(const of_model *model);

/* ---- lanes.c: how many lanes, also of a resumed run, and which are the rank's ---- */
of_status of_trainer_choose_lanes(of_trainer *trainer, of_error *error);

/* ---- shards.c: each rank updates its share of the weights; nothing unless that is wished ---- */
of_status of_trainer_open_shards(of_trainer *trainer, of_error *error);
/* After an update. */
of_status of_trainer_share_weights(of_trainer *trainer, of_error *error);
/* The moments of all ranks come to the first one, for a checkpoint, and after it leave it again. */
of_status of_trainer_collect_moments(of_trainer *trainer, of_error *error);
void of_trainer_release_moments(of_trainer *trainer);
/* The moments that the first rank has of all go to their ranks. */
of_status of_trainer_divide_moments(of_trainer *trainer, of_error *error);
/* Floats of the block whose moments this rank holds. */
size_t of_trainer_shard_floats(const of_trainer *trainer);

/* ---- together.c: what several ranks do together; nothing for one ---- */
static inline bool of_trainer_is_first(const of_trainer *trainer) {
    return of_communicator_rank(trainer->options.communicator) == 0;
}
static inline bool of_trainer_is_split(const of_trainer *trainer) {
    return of_communicator_size(trainer->options.communicator) > 1;
}
/* An error if a rank has other images than the first one. */
of_status of_trainer_compare_data(const of_trainer *trainer, of_error *error);
of_status of_trainer_open_reduction(of_trainer *trainer, of_error *error);
/* The first rank's weights, moments and state to all. */
of_status of_trainer_share_state(of_trainer *trainer, of_error *error);
/* Before each step. Before one with a checkpoint, weights that have come to differ from the first
 * rank's are replaced by those, with a warning. */
of_status of_trainer_decide(of_trainer *trainer, of_error *error);
/* Announces the last gradient of a step, whose reduction starts with it. */
void of_trainer_begin_reduction(of_trainer *trainer);
/* The figures of the own images, from the beginning of the arrays, become those of the whole batch
 * in its order. `status` is how the rank fared with them; all ranks get the same back. */
of_status of_trainer_gather_batch(of_trainer *trainer, of_status status, of_error *error);
of_status of_trainer_gather_general(of_trainer *trainer, of_status status, of_error *error);
/* Waits for the sums over all ranks. To be called if the reduction was begun, whatever came of
 * the gradient. */
of_status of_trainer_end_reduction(of_trainer *trainer, of_error *error);

/* ---- step.c ---- */
of_status of_trainer_step(of_trainer *trainer, of_error *error);

/* ---- records.c ---- */
/* `validation` may be NULL. */
of_status of_trainer_report(of_trainer *trainer, const of_valid_report *validation,
                            of_error *error);
double of_trainer_seconds(const of_trainer *trainer);
/* The share of the run's minutes that have passed, the same in all ranks; 0 without such a limit.
 */
double of_trainer_time_passed(const of_trainer *trainer);
/* Once the state is known. A failure of the log ends the log, not the run. */
void of_trainer_tell_start(of_trainer *trainer);

/* ---- save.c ---- */
of_status of_trainer_checkpoint(of_trainer *trainer, of_error *error);
of_status of_trainer_resume(of_trainer *trainer, of_error *error);
/* The weights that count: averaged ones if they are kept, else the trained ones. */
const unsigned char *of_trainer_weights(const of_trainer *trainer);
/* Writes the weight file: the best weights if they are kept, else those that count. */
of_status of_trainer_save(of_trainer *trainer, of_error *error);
/* Validates the weights that count and keeps them if they are the best. False in *interrupted:
 * the validation is complete. */
of_status of_trainer_validate(of_trainer *trainer, of_valid_report *report, bool *interrupted,
                              of_error *error);

__attribute__((format(printf, 2, 3))) void of_trainer_warn(const of_trainer *trainer,
                                                           const char *format, ...);
static inline bool of_trainer_stopped(const of_trainer *trainer) {
    const of_train_observer *observer = trainer->observer;
    return observer->stop != NULL && observer->stop(observer->user);
}

#endif
