/* SPDX-License-Identifier: Apache-2.0 */
/* The architecture that is wished for: what was given of it on the command line, over that of the
 * weights to start from, or over the default one. */
#include "cli/train_settings.h"

#include "cli/shared_options.h"

#include <stdlib.h>

static void apply_variants(const of_train_settings *settings, const of_option_table *table,
                           of_architecture *architecture) {
    if (of_option_given(table, "split-prior"))
        architecture->split_prior = (of_split_prior)settings->split_prior;
    if (of_option_given(table, "latents"))
        architecture->latents = (of_latents)settings->latents;
    if (of_option_given(table, "scale-map"))
        architecture->scale_map = (of_scale_map)settings->scale_map;
    if (of_option_given(table, "coupling-shift"))
        architecture->shift = (of_shift)settings->coupling_shift;
    if (of_option_given(table, "input-bits"))
        architecture->input = of_input_map_of_bits((uint32_t)settings->input_bits);
    if (of_option_given(table, "net-input"))
        architecture->net_input = (of_net_input)settings->net_input;
    if (of_option_given(table, "leak"))
        architecture->leak = settings->leak;
    if (settings->closing)
        architecture->closing = true;
}

static of_status apply_edges(const of_text_list *names, of_architecture *architecture,
                             of_error *error) {
    of_status status = OF_OK;
    if (names->count > 0)
        architecture->edges = 0;
    for (size_t i = 0; status == OF_OK && i < names->count; i++) {
        of_edges edge = OF_EDGES_CONV1;
        of_error inner;
        status = of_edges_parse(names->items[i], &edge, &inner);
        if (status != OF_OK)
            return of_fail(error, status, "option --edges: %.900s", inner.message);
        architecture->edges |= (uint32_t)edge;
    }
    return status;
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
    apply_variants(settings, table, architecture);
    of_status status = apply_edges(&settings->edges, architecture, error);
    return status == OF_OK && of_option_given(table, "size")
               ? of_size_parse(settings->size, &architecture->height, &architecture->width, error)
               : status;
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
