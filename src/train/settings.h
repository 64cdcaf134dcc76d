/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a run once they are settled: defaults filled in, held-out images divided off, the
 * architecture known. */
#ifndef OF_TRAIN_SETTINGS_H
#define OF_TRAIN_SETTINGS_H

#include "ranks/ranks.h"
#include "train/optimizers.h"

#include <outflow/train.h>

enum { OF_TRAIN_MOST_LANES = 64 /* of a rank */ };

/* Sources that form one set, in this order. */
typedef struct of_source_list {
    const char *const *items;
    size_t count;         /* 0: there is no such set */
    const double *shares; /* [count] of the draw, relative to their sum; NULL: by size */
} of_source_list;

/* Fields that are not explained here are those of of_train_options. */
typedef struct of_trainer_settings {
    of_architecture architecture;
    bool class_conditional;
    const of_model *init;
    const char *init_name;
    const char *out;

    of_source_list data, general_data, valid; /* `valid` without shares */
    const char *general_model;
    const of_named_source *out_of;
    size_t out_of_count;
    double shift, zoom, color;
    bool flip;
    uint64_t cache_bytes;
    unsigned ranks_here; /* on this machine, which share its memory */
    uint64_t limit;
    bool strict;
    uint32_t background;

    of_outlier_loss outlier_loss;
    /* label_weight: of the full-label loss; the ratio loss's, 6000 with the margin. */
    double outlier_weight, label_weight, temperature;
    uint64_t batch, general_batch;
    of_optimizer_options optimizer;
    double rate;
    of_schedule_kind schedule;
    uint64_t warmup;
    uint64_t seed, init_images;

    uint64_t epochs, images;
    double minutes;
    uint64_t valid_every;
    uint64_t patience;

    unsigned threads, micro_batch, lanes;
    of_isa isa;
    of_precision precision, gradient_precision;
    size_t memory_bytes;
    double checkpoint_every;
    uint64_t log_every;
    bool resume, overwrite, shard_optimizer;
    of_communicator *communicator; /* NULL: there is one process */
    const char *log, *record;

    of_model *own_init; /* what `init` refers to if it was read here */
    char init_text[32]; /* what init_name refers to if weights were given without one */
    char *parts[2][OF_TRAIN_MOST_SOURCES]; /* names of what is kept and what is held out */
} of_trainer_settings;

/* Options of any version, with what can be said of them before a file is opened. */
of_status of_train_options_read(const of_train_options *given, of_train_options *options,
                                of_error *error);

/* Loads the weights to start from and looks at the data. `options` were read; what they refer to
 * must live as long. To be closed, also after a failure. */
of_status of_trainer_settings_open(const of_train_options *options, of_trainer_settings *settings,
                                   of_error *error);
void of_trainer_settings_close(of_trainer_settings *settings);

/* lanes.c */
/* Lanes of a batch on any number of processes up to that of the lanes: 4, fewer where a lane would
 * have few images. */
unsigned of_train_lanes(uint64_t batch);
/* Images of a group without a wish: of_train_micro_batch, or all few images of a lane of a large
 * model: then two lanes can be added up in one block. */
unsigned of_train_group(const of_model *model, uint64_t batch, unsigned lanes);

/* shape.c: the architecture, from `init`, or from the wish and a look at the data. */
of_status of_trainer_settle_architecture(of_trainer_settings *settings, const of_architecture *wish,
                                         of_error *error);

#endif
