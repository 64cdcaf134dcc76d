/* SPDX-License-Identifier: Apache-2.0 */
/* The sets of images of `outflow train`: sources, their shares, and what is held out. */
#define _POSIX_C_SOURCE 200809L
#include "cli/terminal/words.h"
#include "cli/train_settings.h"

#include "core/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void of_train_sources_free(of_train_settings *settings) {
    of_text_list_free(&settings->data);
    of_text_list_free(&settings->general_data);
    of_text_list_free(&settings->valid);
    of_text_list_free(&settings->data_shares);
    of_text_list_free(&settings->general_shares);
    of_text_list_free(&settings->out_of);
    for (size_t i = 0; i < OF_TRAIN_MAX_OUT_SETS; i++)
        free(settings->set_names[i]);
    for (size_t i = 0; i < OF_DATASET_MAX_SOURCES; i++) {
        free(settings->kept[i]);
        free(settings->held_out[i]);
    }
}

size_t of_train_sources_count(const of_train_options *train) {
    return train->data.count + train->general_data.count + train->valid.count + train->out_of_count;
}

/* ---- Sources and shares ------------------------------------------------------------------- */

static of_status take_sources(const char *option, const of_text_list *given,
                              of_source_list *sources, of_error *error) {
    if (given->count > OF_DATASET_MAX_SOURCES)
        return of_fail(error, OF_ERROR_ARGUMENT, "--%s is given %zu times, at most %d", option,
                       given->count, (int)OF_DATASET_MAX_SOURCES);
    sources->items = given->items;
    sources->count = given->count;
    return OF_OK;
}

static of_status take_shares(const char *option, const of_text_list *given, double *values,
                             of_source_list *sources, of_error *error) {
    if (given->count == 0)
        return OF_OK;
    if (given->count != sources->count)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "--%s-share is given %zu times, and there are %zu sources of --%s: one for "
                       "each",
                       option, given->count, sources->count,
                       strcmp(option, "general") == 0 ? "general-data" : option);
    for (size_t i = 0; i < given->count; i++) {
        char *end = NULL;
        values[i] = strtod(given->items[i], &end);
        if (end == given->items[i] || *end != '\0' || !(values[i] >= 1e-6 && values[i] <= 1e6))
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "option --%s-share: '%s' is not a number between 0.000001 and 1000000",
                           option, given->items[i]);
    }
    sources->shares = values;
    return OF_OK;
}

/* ---- Holding out -------------------------------------------------------------------------- */

static bool name_part(char **name, double from, double to, const char *source) {
    size_t size = strlen(source) + sizeof "part:-:" + (size_t)2 * OF_NUMBER_SIZE;
    *name = malloc(size);
    if (*name == NULL)
        return false;
    char low[OF_NUMBER_SIZE], high[OF_NUMBER_SIZE];
    (void)snprintf(*name, size, "part:%s-%s:%s", of_number_text(from, low),
                   of_number_text(to, high), source);
    return true;
}

/* --data and --valid as if they had been given as parts. */
static of_status hold_out(of_train_settings *settings, of_error *error) {
    of_train_options *train = &settings->train;
    if (train->valid.count > 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "--hold-out and --valid exclude each other");
    for (size_t i = 0; i < train->data.count; i++) {
        const char *source = train->data.items[i];
        if (strncmp(source, "part:", 5) == 0 || strcmp(source, "-") == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "--hold-out cannot divide '%s': give the two parts with --data and "
                           "--valid",
                           source);
        if (!name_part(&settings->kept[i], settings->hold_out, 1, source) ||
            !name_part(&settings->held_out[i], 0, settings->hold_out, source))
            return of_fail_memory(error, "names of parts");
    }
    train->data.items = (const char *const *)settings->kept;
    train->valid = (of_source_list){.items = (const char *const *)settings->held_out,
                                    .count = train->data.count};
    return OF_OK;
}

/* ---- Outliers of validation --------------------------------------------------------------- */

static of_status take_out_sets(of_train_settings *settings, of_error *error) {
    of_train_options *train = &settings->train;
    if (settings->out_of.count > OF_TRAIN_MAX_OUT_SETS)
        return of_fail(error, OF_ERROR_ARGUMENT, "more than %d sets are given with --out-of",
                       (int)OF_TRAIN_MAX_OUT_SETS);
    for (size_t i = 0; i < settings->out_of.count; i++) {
        const char *text = settings->out_of.items[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals[1] == '\0')
            return of_fail(error, OF_ERROR_ARGUMENT, "out set '%s' is not of the form NAME=SRC",
                           text);
        settings->set_names[i] = strndup(text, (size_t)(equals - text));
        if (settings->set_names[i] == NULL)
            return of_fail_memory(error, "a set's name");
        train->out_of[i] = (of_named_source){settings->set_names[i], equals + 1};
        train->out_of_count++;
    }
    return OF_OK;
}

static size_t count_of_input(const of_source_list *sources) {
    size_t times = 0;
    for (size_t i = 0; i < sources->count; i++)
        times += strcmp(sources->items[i], "-") == 0;
    return times;
}

/* Standard input can be read once. */
static of_status check_standard_input(const of_train_options *train, of_error *error) {
    size_t times = count_of_input(&train->data) + count_of_input(&train->general_data) +
                   count_of_input(&train->valid);
    for (size_t i = 0; i < train->out_of_count; i++)
        times += strcmp(train->out_of[i].source, "-") == 0;
    return times > 1 ? of_fail(error, OF_ERROR_ARGUMENT,
                               "standard input ('-') can be read for one set only")
                     : OF_OK;
}

of_status of_train_sources_check(of_train_settings *settings, const of_option_table *table,
                                 of_error *error) {
    of_train_options *train = &settings->train;
    of_status status = take_sources("data", &settings->data, &train->data, error);
    if (status == OF_OK)
        status = take_sources("general-data", &settings->general_data, &train->general_data, error);
    if (status == OF_OK)
        status = take_sources("valid", &settings->valid, &train->valid, error);
    if (status == OF_OK)
        status = take_shares("data", &settings->data_shares, settings->data_share_values,
                             &train->data, error);
    if (status == OF_OK)
        status = take_shares("general", &settings->general_shares, settings->general_share_values,
                             &train->general_data, error);
    if (status == OF_OK && of_option_given(table, "hold-out"))
        status = hold_out(settings, error);
    if (status == OF_OK)
        status = take_out_sets(settings, error);
    return status == OF_OK ? check_standard_input(train, error) : status;
}
