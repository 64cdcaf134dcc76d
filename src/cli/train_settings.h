/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of `outflow train` say, and what is made of it. */
#ifndef OF_CLI_TRAIN_SETTINGS_H
#define OF_CLI_TRAIN_SETTINGS_H

#include "cli/terminal/options.h"

#include <outflow/train.h>

typedef struct of_train_settings {
    of_train_options train;
    /* In the forms of the command line. */
    const char *size, *background;
    of_text_list data, general_data, valid, data_shares, general_shares, out_of, edges;
    uint64_t channels, scales, steps, hidden, threads, micro_batch, lanes, memory;
    uint64_t input_bits;
    double leak;
    int family, coupling, permutation, mixing, block;
    int split_prior, latents, scale_map, coupling_shift, net_input;
    bool closing;
    int outlier_loss, optimizer, schedule, isa, precision, gradient_precision;
    bool quiet;
    /* What `train` refers to. */
    of_architecture architecture;
    of_model *init;
    of_named_source out_sets[OF_TRAIN_MOST_OUT_SETS];
    char *set_names[OF_TRAIN_MOST_OUT_SETS];
    double data_share_values[OF_TRAIN_MOST_SOURCES], general_share_values[OF_TRAIN_MOST_SOURCES];
} of_train_settings;

void of_train_settings_declare(of_train_settings *settings, of_option_table *table);

/* What can be said before a file is opened: an error here is one of usage. */
of_status of_train_settings_check(of_train_settings *settings, of_error *error);

/* train_sources.c: the part of it about sets of images. */
of_status of_train_sources_take(of_train_settings *settings, of_error *error);
/* Of all sets together. */
size_t of_train_sources_count(const of_train_options *train);
void of_train_sources_free(of_train_settings *settings);

/* train_architecture.c: the wish for an architecture, over that of the weights to start from. */
of_status of_train_settings_settle(of_train_settings *settings, const of_option_table *table,
                                   of_error *error);

void of_train_settings_free(of_train_settings *settings);

#endif
