/* SPDX-License-Identifier: Apache-2.0 */
/* The architecture that is wished for: what was given of it on the command line, over that of the
 * weights to start from, or over the default one. */
#include "cli/train_settings.h"

#include <stdlib.h>

/* "32" or "32x48": height x width. */
static of_status parse_size(const char *text, uint32_t *height, uint32_t *width, of_error *error) {
    char *end = NULL;
    unsigned long first = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    unsigned long second = first;
    if (end != NULL && *end == 'x' && end[1] >= '0' && end[1] <= '9')
        second = strtoul(end + 1, &end, 10);
    if (end == NULL || *end != '\0' || first == 0 || second == 0 || first > 65535 || second > 65535)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "option --size: '%s' is not a size such as 32 or 32x48 (height x width)",
                       text);
    *height = (uint32_t)first;
    *width = (uint32_t)second;
    return OF_OK;
}

/* What was given on the command line, over what stands in `architecture`. */
static of_status apply_options(const of_train_settings *settings, const of_option_table *table,
                               of_architecture *architecture, of_error *error) {
    if (of_option_given(table, "family"))
        architecture->family = (of_family)settings->family;
    if (of_option_given(table, "scales"))
        architecture->scales = (uint32_t)settings->scales;
    if (of_option_given(table, "steps"))
        architecture->steps = (uint32_t)settings->steps;
    if (of_option_given(table, "hidden"))
        architecture->hidden = (uint32_t)settings->hidden;
    if (of_option_given(table, "coupling"))
        architecture->coupling = (of_coupling)settings->coupling;
    if (of_option_given(table, "permutation"))
        architecture->permutation = (of_permutation)settings->permutation;
    if (of_option_given(table, "mixing"))
        architecture->lu = settings->mixing == 0;
    if (of_option_given(table, "block"))
        architecture->block = (of_block)settings->block;
    if (of_option_given(table, "channels"))
        architecture->channels = (uint32_t)settings->channels;
    return of_option_given(table, "size")
               ? parse_size(settings->size, &architecture->height, &architecture->width, error)
               : OF_OK;
}

of_status of_train_settings_settle(of_train_settings *settings, const of_option_table *table,
                                   of_error *error) {
    of_train_options *train = &settings->train;
    of_status status =
        train->init_file != NULL ? of_model_open(train->init_file, &settings->init, error) : OF_OK;
    if (status != OF_OK)
        return status;
    train->init = settings->init;
    train->architecture = &settings->architecture;
    settings->architecture = of_architecture_default();
    if (train->init != NULL)
        settings->architecture = *of_model_architecture(train->init);
    else /* those of the data's first image */
        settings->architecture.channels = settings->architecture.height =
            settings->architecture.width = 0;
    return apply_options(settings, table, &settings->architecture, error);
}
