/* SPDX-License-Identifier: Apache-2.0 */
/* Training of a model from beginning to end: data, steps, validation, checkpoints. Nothing is
 * printed here: what happens is told to an observer. */
#ifndef OF_TRAIN_TRAINER_H
#define OF_TRAIN_TRAINER_H

#include "graph/gradient.h"
#include "ranks/communicator.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"

enum {
    OF_TRAIN_MAX_OUT_SETS = 16,
    OF_TRAIN_MAX_SKIPPED = 20,
    OF_TRAIN_MOST_LANES = 64 /* of a rank */
};

/* Sources that form one set, in this order. */
typedef struct of_source_list {
    const char *const *items;
    size_t count;         /* 0: there is no such set */
    const double *shares; /* [count] of the draw, relative to their sum; NULL: by size */
} of_source_list;

typedef struct of_named_source {
    const char *name, *source;
} of_named_source;

typedef struct of_train_options {
    /* What is trained. */
    of_architecture architecture; /* `classes` is taken from the data if class_conditional */
    bool class_conditional;
    const of_model *init; /* weights to start from, NULL: random ones */
    const char *init_name;
    const char *out; /* weight file; the checkpoint is OUT.checkpoint */

    /* On what. */
    of_source_list data, general_data, valid; /* `valid` without shares */
    const char *general_model;
    of_named_source out_of[OF_TRAIN_MAX_OUT_SETS];
    size_t out_of_count;
    double shift, zoom, color; /* as in of_augmentation */
    bool flip;
    uint64_t cache_bytes; /* of each set's decoded images; 0: chosen */
    unsigned ranks_here;  /* on this machine, which share its memory; 0: 1 */
    uint64_t limit;       /* of each source's images; 0: all */
    bool strict;

    /* How. */
    of_outlier_loss outlier_loss;
    /* Weights of 0: 6000 for the ratio loss, 1 for the margin; the full-label loss has the ratio
     * loss's, 6000 with the margin. */
    double outlier_weight, label_weight, temperature;
    uint64_t batch, general_batch; /* general_batch 0: as batch */
    of_optimizer_options optimizer;
    double rate;
    of_schedule_kind schedule;
    uint64_t warmup; /* steps */
    uint64_t seed, init_images;

    /* How long: the first limit that is reached ends the run; 0: no limit. */
    uint64_t epochs, images;
    double minutes;
    uint64_t valid_every; /* images; 0: an epoch */
    uint64_t patience;    /* validations without improvement; 0: no early stop */

    /* With what. */
    unsigned threads, micro_batch; /* 0: chosen; micro_batch by batch */
    /* Sums of a batch's gradient that may lie in several processes. The result depends on it, not
     * on the processes. 0: that of the run that is resumed, else of_train_lanes, or the least power
     * of two for the processes if that is more. */
    unsigned lanes;
    of_isa isa;
    size_t memory_bytes;
    double checkpoint_every; /* seconds */
    uint64_t log_every;      /* steps */
    bool resume;             /* go on from the checkpoint if there is one */
    bool overwrite;          /* else replace one that is there */
    bool shard_optimizer;    /* several processes: each updates its share of the weights */
    /* Several processes: all call of_train with the same options. The first one alone reads and
     * writes weights, checkpoints and outputs; each loads the data. */
    of_communicator *communicator; /* NULL: there is one process */
    const char *command;           /* for the metadata; may be NULL */
} of_train_options;

/* The defaults: glow 3x32x32, batch 64, Adamax lr 5e-4. Sources and `out` are NULL. */
of_train_options of_train_defaults(void);

/* Told once, before the first step. */
typedef struct of_train_start {
    const of_architecture *architecture;
    size_t parameters, trained;
    of_training_memory memory;
    size_t optimizer_bytes, data_bytes;
    unsigned threads, micro_batch, ranks, lanes;
    of_isa isa;
    size_t images, general_images, valid_images;
    uint64_t total_images;                 /* of the run, 0 if only time ends it */
    uint64_t resumed_step, resumed_images; /* 0: a new run */
} of_train_start;

typedef struct of_valid_set {
    const char *name;
    double bits_per_dim, auroc_nll, auroc_last, auroc_ratio; /* NaN where there is none */
} of_valid_set;

typedef struct of_valid_report {
    double bits_per_dim;
    size_t non_finite;       /* likelihoods, over all sets */
    size_t valid_non_finite; /* of them, those of the held-out set itself */
    size_t out_of_count;
    of_valid_set out_of[OF_TRAIN_MAX_OUT_SETS];
    bool best; /* better than all before */
    uint64_t since_best;
} of_valid_report;

/* Means since the last report. */
typedef struct of_train_report {
    uint64_t step, images, skipped; /* so far */
    double epoch;
    double loss;                 /* all of it, in nats an image; NaN where no step was taken */
    double bits_per_dim;         /* with classes: of the image's own */
    double outlier_loss;         /* without w; NaN without one */
    double general_bits_per_dim; /* of the general batch; NaN without one */
    uint32_t scales;
    double scale_bits[OF_MAX_SCALES]; /* -contribution / (D ln 2): with 8, they sum to bits/dim */
    double rate, grad_norm;           /* of the last step; the norm in bits/dim, before clipping */
    double condition;                 /* largest condition number of a mixing matrix; see mixing */
    double images_per_second, seconds;
    /* Of the last step: what adding gradients over the ranks took, and how much of it was not
     * hidden behind the backward pass; NaN with one rank. */
    double reduction_seconds, reduction_waited;
    size_t resident_bytes;
    const of_valid_report *validation; /* NULL: no validation at this step */
} of_train_report;

/* Each function may be NULL. */
typedef struct of_train_observer {
    void *user;
    void (*started)(void *user, const of_train_start *start);
    /* After each step: images so far, and the mean bits/dim of about the last 50 steps. */
    void (*progressed)(void *user, uint64_t images, double bits_per_dim, double rate);
    void (*loading)(void *user, const char *source, uint64_t loaded, uint64_t expected);
    void (*validating)(void *user, uint64_t done, uint64_t total);
    of_status (*report)(void *user, const of_train_report *report, of_error *error);
    void (*unreadable)(void *user, const char *source, const char *path, const char *reason);
    void (*warn)(void *user, const char *text);
    bool (*stop)(void *user); /* asked after each step: true ends the run with a checkpoint */
} of_train_observer;

typedef enum of_train_end {
    OF_TRAIN_FINISHED = 0,
    OF_TRAIN_EARLY_STOP,  /* validation no longer improved */
    OF_TRAIN_INTERRUPTED, /* the observer asked for it; the checkpoint is written */
} of_train_end;

typedef struct of_train_result {
    of_train_end end;
    uint64_t step, images, skipped, unreadable;
    double bits_per_dim, seconds;
    char checkpoint[1024]; /* its path */
} of_train_result;

/* Trains. On a failure the last checkpoint stays as it was written. A failure that the ranks have
 * not agreed on (of_communicator_is_agreed) leaves the others waiting, and memory that messages may
 * still be on their way to: the caller ends all of them. */
of_status of_train(const of_train_options *options, const of_train_observer *observer,
                   of_train_result *result, of_error *error);

/* Images that a thread takes forward and back at a time, for a batch. */
unsigned of_train_micro_batch(uint64_t batch);

/* Lanes of a batch on any number of processes up to that of the lanes: 4, fewer where a lane would
 * have few images or its gradient is large. */
unsigned of_train_lanes(const of_model *model, uint64_t batch);

#endif
