/* SPDX-License-Identifier: Apache-2.0 */
/* The sets of images of `outflow train` in the forms of the command line. */
#define _POSIX_C_SOURCE 200809L
#include "cli/train_settings.h"

#include <stdlib.h>
#include <string.h>

void of_train_sources_free(of_train_settings *settings) {
    of_text_list_free(&settings->data);
    of_text_list_free(&settings->general_data);
    of_text_list_free(&settings->valid);
    of_text_list_free(&settings->data_shares);
    of_text_list_free(&settings->general_shares);
    of_text_list_free(&settings->out_of);
    for (size_t i = 0; i < OF_TRAIN_MOST_OUT_SETS; i++)
        free(settings->set_names[i]);
}

size_t of_train_sources_count(const of_train_options *train) {
    size_t valid = train->hold_out > 0 ? train->data_count : train->valid_count;
    return train->data_count + train->general_count + valid + train->out_of_count;
}

/* "--data-share 1 --data-share 2": one for each source. */
static of_status take_shares(const char *option, const char *sources, const of_text_list *given,
                             size_t count, double *values, const double **shares, of_error *error) {
    if (given->count == 0)
        return OF_OK;
    if (given->count != count || count > OF_TRAIN_MOST_SOURCES)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "--%s is given %zu times, and there are %zu sources of --%s: one for each",
                       option, given->count, count, sources);
    for (size_t i = 0; i < given->count; i++) {
        char *end = NULL;
        values[i] = strtod(given->items[i], &end);
        if (end == given->items[i] || *end != '\0' || !(values[i] >= 1e-6 && values[i] <= 1e6))
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "option --%s: '%s' is not a number between 0.000001 and 1000000", option,
                           given->items[i]);
    }
    *shares = values;
    return OF_OK;
}

/* "NAME=SRC" */
static of_status take_out_sets(of_train_settings *settings, of_error *error) {
    of_train_options *train = &settings->train;
    if (settings->out_of.count > OF_TRAIN_MOST_OUT_SETS)
        return of_fail(error, OF_ERROR_ARGUMENT, "more than %d sets are given with --out-of",
                       (int)OF_TRAIN_MOST_OUT_SETS);
    for (size_t i = 0; i < settings->out_of.count; i++) {
        const char *text = settings->out_of.items[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals[1] == '\0')
            return of_fail(error, OF_ERROR_ARGUMENT, "out set '%s' is not of the form NAME=SRC",
                           text);
        settings->set_names[i] = strndup(text, (size_t)(equals - text));
        if (settings->set_names[i] == NULL)
            return of_fail_memory(error, "a set's name");
        settings->out_sets[i] = (of_named_source){settings->set_names[i], equals + 1};
    }
    train->out_of = settings->out_sets;
    train->out_of_count = settings->out_of.count;
    return OF_OK;
}

of_status of_train_sources_take(of_train_settings *settings, of_error *error) {
    of_train_options *train = &settings->train;
    train->data = settings->data.items;
    train->data_count = settings->data.count;
    train->general_data = settings->general_data.items;
    train->general_count = settings->general_data.count;
    train->valid = settings->valid.items;
    train->valid_count = settings->valid.count;
    of_status status = take_shares("data-share", "data", &settings->data_shares, train->data_count,
                                   settings->data_share_values, &train->data_shares, error);
    if (status == OF_OK)
        status = take_shares("general-share", "general-data", &settings->general_shares,
                             train->general_count, settings->general_share_values,
                             &train->general_shares, error);
    if (status == OF_OK && settings->background != NULL)
        status = of_colour_parse(settings->background, &train->background, error);
    return status == OF_OK ? take_out_sets(settings, error) : status;
}
