/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of `outflow train` say, and what is made of it. */
#ifndef OF_CLI_TRAIN_SETTINGS_H
#define OF_CLI_TRAIN_SETTINGS_H

#include "cli/terminal/options.h"
#include "data/sets/dataset.h"
#include "train/trainer.h"

typedef struct of_train_settings {
    of_train_options train;
    /* In the forms of the command line. */
    const char *init, *size, *log;
    of_text_list data, general_data, valid, data_shares, general_shares, out_of;
    double hold_out;
    uint64_t channels, scales, steps, hidden, threads, micro_batch, lanes, memory;
    int family, coupling, permutation, mixing, block;
    int outlier_loss, optimizer, schedule, isa;
    bool quiet;
    of_model *init_model; /* owns what train.init refers to */
    char *set_names[OF_TRAIN_MAX_OUT_SETS];
    double data_share_values[OF_DATASET_MAX_SOURCES], general_share_values[OF_DATASET_MAX_SOURCES];
    char *kept[OF_DATASET_MAX_SOURCES], *held_out[OF_DATASET_MAX_SOURCES]; /* of --hold-out */
} of_train_settings;

void of_train_settings_declare(of_train_settings *settings, of_option_table *table);

/* What can be said before a file is opened: an error here is one of usage. */
of_status of_train_settings_check(of_train_settings *settings, const of_option_table *table,
                                  of_error *error);

/* train_sources.c: the part of it about sets of images. */
of_status of_train_sources_check(of_train_settings *settings, const of_option_table *table,
                                 of_error *error);
/* Of all sets together. */
size_t of_train_sources_count(const of_train_options *train);
void of_train_sources_free(of_train_settings *settings);

/* Loads --init, looks at the data, and settles the architecture. */
of_status of_train_settings_settle(of_train_settings *settings, const of_option_table *table,
                                   of_error *error);

void of_train_settings_free(of_train_settings *settings);

#endif
