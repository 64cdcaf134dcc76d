/* SPDX-License-Identifier: Apache-2.0 */
/* The architecture of a run: that of the weights it starts from, or what is wished for and, where
 * that leaves it open, what the data's first image suggests. */
#include "core/error.h"
#include "data/probe.h"
#include "model/model.h"
#include "train/settings.h"

#include <inttypes.h>

/* Larger models are possible, but hardly what somebody means who gives a folder of photographs. */
enum { LARGEST_CHOSEN = 128 };

static bool same_input(const of_input_map *a, const of_input_map *b) {
    return a->bits == b->bits && a->scale == b->scale && a->shift == b->shift && a->bin == b->bin &&
           a->logit == b->logit;
}

static bool same_extension(const of_architecture *a, const of_architecture *b) {
    return a->latents == b->latents && a->split_prior == b->split_prior && a->edges == b->edges &&
           a->scale_map == b->scale_map && a->shift == b->shift && a->net_input == b->net_input &&
           a->leak == b->leak && a->closing == b->closing;
}

static bool same(const of_architecture *a, const of_architecture *b) {
    return a->family == b->family && a->channels == b->channels && a->height == b->height &&
           a->width == b->width && a->scales == b->scales && a->steps == b->steps &&
           a->hidden == b->hidden && a->coupling == b->coupling &&
           a->permutation == b->permutation && a->lu == b->lu && a->block == b->block &&
           same_input(&a->input, &b->input) && same_extension(a, b);
}

static bool without_size(const of_architecture *a) {
    return a->height == 0 || a->width == 0;
}

/* `wish` NULL: none. */
static of_status settle_from_init(of_trainer_settings *settings, const of_architecture *wish,
                                  of_error *error) {
    const of_architecture *init = of_model_architecture(settings->init);
    settings->architecture = *init;
    settings->class_conditional = settings->class_conditional || init->classes > 0;
    if (wish == NULL)
        return OF_OK;
    of_architecture wanted = *wish;
    if (wanted.channels == 0)
        wanted.channels = init->channels;
    if (without_size(&wanted)) {
        wanted.height = init->height;
        wanted.width = init->width;
    }
    return same(init, &wanted) ? OF_OK
                               : of_fail_setting(error, OF_ERROR_MISMATCH, "init_file",
                                                 "%s has another architecture than the one that is "
                                                 "asked for; without a wish, its own is taken",
                                                 settings->init_name);
}

static uint32_t round_up(uint32_t value, uint32_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* What the scales can halve; their number is checked later. */
static uint32_t size_multiple(const of_architecture *architecture) {
    if (architecture->family == OF_FAMILY_PATCH_GLOW)
        return OF_PATCH_SIZE;
    return 1u << (architecture->scales <= OF_MAX_SCALES ? architecture->scales : OF_MAX_SCALES);
}

static of_status take_shape(const char *source, of_architecture *architecture, of_error *error) {
    of_image_shape shape;
    of_status status = of_probe_source(source, &shape, error);
    if (status != OF_OK)
        return status;
    if (architecture->channels == 0)
        architecture->channels = shape.channels;
    if (!without_size(architecture))
        return OF_OK;
    if (shape.height > LARGEST_CHOSEN || shape.width > LARGEST_CHOSEN)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "height",
                               "%s: its first image has %" PRIu32 " x %" PRIu32
                               " pixels: say what the model shall take, for example 32 x 32",
                               source, shape.width, shape.height);
    architecture->height = round_up(shape.height, size_multiple(architecture));
    architecture->width = round_up(shape.width, size_multiple(architecture));
    return OF_OK;
}

of_status of_trainer_settle_architecture(of_trainer_settings *settings, const of_architecture *wish,
                                         of_error *error) {
    of_architecture *architecture = &settings->architecture;
    of_architecture own;
    of_status status = of_architecture_read(wish, &own, error);
    if (status != OF_OK)
        return status;
    if (settings->init != NULL)
        return settle_from_init(settings, wish != NULL ? &own : NULL, error);
    *architecture = own;
    architecture->classes = 0;
    if (wish == NULL)
        architecture->channels = architecture->height = architecture->width = 0;
    if (architecture->channels == 0 || without_size(architecture))
        status = take_shape(settings->data.items[0], architecture, error);
    if (architecture->permutation != OF_PERMUTATION_INVCONV)
        architecture->lu = false;
    return status == OF_OK ? of_architecture_check(architecture, error) : status;
}
