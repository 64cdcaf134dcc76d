/* SPDX-License-Identifier: Apache-2.0 */
/* The architecture of a run: from --init, or from options and a look at the data. */
#include "cli/train_settings.h"

#include "core/error.h"
#include "data/probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Larger models are possible, but hardly what somebody means who gives a folder of photographs. */
enum { LARGEST_CHOSEN = 128 };

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

static bool same(const of_architecture *a, const of_architecture *b) {
    return a->family == b->family && a->channels == b->channels && a->height == b->height &&
           a->width == b->width && a->scales == b->scales && a->steps == b->steps &&
           a->hidden == b->hidden && a->coupling == b->coupling &&
           a->permutation == b->permutation && a->lu == b->lu && a->block == b->block;
}

static of_status settle_from_init(of_train_settings *settings, const of_option_table *table,
                                  of_error *error) {
    of_train_options *train = &settings->train;
    of_status status = of_model_open(settings->init, &settings->init_model, error);
    if (status != OF_OK)
        return status;
    const of_architecture *init = of_model_architecture(settings->init_model);
    of_architecture wanted = *init;
    status = apply_options(settings, table, &wanted, error);
    if (status == OF_OK && !same(init, &wanted))
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%s has another architecture than the options ask for; leave them out, "
                         "it is taken from the file",
                         settings->init);
    train->architecture = *init;
    train->class_conditional = train->class_conditional || init->classes > 0;
    train->init = settings->init_model;
    train->init_name = settings->init;
    return status;
}

static uint32_t round_up(uint32_t value, uint32_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

static of_status take_shape(const of_train_settings *settings, const of_option_table *table,
                            of_architecture *architecture, of_error *error) {
    of_image_shape shape;
    of_status status = of_probe_source(settings->train.data.items[0], &shape, error);
    if (status != OF_OK)
        return status;
    uint32_t multiple =
        architecture->family == OF_FAMILY_PATCH_GLOW ? OF_PATCH_SIZE : 1u << architecture->scales;
    if (!of_option_given(table, "channels"))
        architecture->channels = shape.channels;
    if (of_option_given(table, "size"))
        return OF_OK;
    if (shape.height > LARGEST_CHOSEN || shape.width > LARGEST_CHOSEN)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "%s: its first image has %" PRIu32 " x %" PRIu32
                       " pixels: say with --size what the model shall take, for example "
                       "--size 32x32",
                       settings->train.data.items[0], shape.width, shape.height);
    architecture->height = round_up(shape.height, multiple);
    architecture->width = round_up(shape.width, multiple);
    return OF_OK;
}

of_status of_train_settings_settle(of_train_settings *settings, const of_option_table *table,
                                   of_error *error) {
    of_train_options *train = &settings->train;
    if (train->general_model != NULL &&
        of_model_locate(train->general_model, (char[OF_MODEL_PATH_SIZE]){0}, OF_MODEL_PATH_SIZE,
                        error) != OF_OK)
        return OF_ERROR_IO;
    if (settings->init != NULL)
        return settle_from_init(settings, table, error);
    of_architecture *architecture = &train->architecture;
    of_status status = apply_options(settings, table, architecture, error);
    bool complete = of_option_given(table, "size") && of_option_given(table, "channels");
    if (status == OF_OK && !complete)
        status = take_shape(settings, table, architecture, error);
    if (architecture->permutation != OF_PERMUTATION_INVCONV)
        architecture->lu = false;
    return status == OF_OK ? of_architecture_check(architecture, error) : status;
}
