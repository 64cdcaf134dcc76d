/* SPDX-License-Identifier: Apache-2.0 */
/* What a network looks like: defaults, checks, geometry and cost. */
#include "core/error.h"

#include "model/model.h"
#include <inttypes.h>

#include <math.h>

enum { MAX_SIDE = 4096, MAX_STEPS = 256, MAX_HIDDEN = 8192, MAX_CLASSES = 1000 };

of_architecture of_architecture_default(void) {
    return (of_architecture){.family = OF_FAMILY_GLOW,
                             .channels = 3,
                             .height = 32,
                             .width = 32,
                             .scales = 3,
                             .steps = 8,
                             .hidden = 64,
                             .coupling = OF_COUPLING_AFFINE,
                             .permutation = OF_PERMUTATION_INVCONV,
                             .lu = true,
                             .block = OF_BLOCK_CONV,
                             .classes = 0};
}

static of_status check_range(const char *field, uint32_t value, uint32_t least, uint32_t most,
                             of_error *error) {
    if (value >= least && value <= most)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT, "%s is %u, must be %u to %u", field, value, least,
                   most);
}

static of_status check_divisible(const of_architecture *architecture, of_error *error) {
    bool patches = architecture->family == OF_FAMILY_PATCH_GLOW;
    uint32_t unit = patches ? OF_PATCH_SIZE : 1u << architecture->scales;
    if (architecture->height % unit == 0 && architecture->width % unit == 0)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "image height %u and width %u must be divisible by %u (%s)",
                   architecture->height, architecture->width, unit,
                   patches ? "the patch size" : "2 to the number of scales");
}

static of_status check_choices(const of_architecture *architecture, of_error *error) {
    if (architecture->family != OF_FAMILY_GLOW && architecture->family != OF_FAMILY_PATCH_GLOW)
        return of_fail(error, OF_ERROR_ARGUMENT, "unknown family %d", (int)architecture->family);
    if (architecture->coupling != OF_COUPLING_AFFINE &&
        architecture->coupling != OF_COUPLING_ADDITIVE)
        return of_fail(error, OF_ERROR_ARGUMENT, "unknown coupling %d",
                       (int)architecture->coupling);
    if (architecture->permutation != OF_PERMUTATION_INVCONV &&
        architecture->permutation != OF_PERMUTATION_INVCONV_FIXED &&
        architecture->permutation != OF_PERMUTATION_SHUFFLE)
        return of_fail(error, OF_ERROR_ARGUMENT, "unknown permutation %d",
                       (int)architecture->permutation);
    if (architecture->block != OF_BLOCK_CONV && architecture->block != OF_BLOCK_DENSE)
        return of_fail(error, OF_ERROR_ARGUMENT, "unknown block %d", (int)architecture->block);
    return OF_OK;
}

of_status of_architecture_check(const of_architecture *architecture, of_error *error) {
    const of_architecture *a = architecture;
    if (a == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_architecture_check: a required argument is NULL");
    of_status status = check_choices(a, error);
    if (status == OF_OK && a->channels != 1 && a->channels != 3)
        status =
            of_fail(error, OF_ERROR_ARGUMENT, "image channels are %u, must be 1 or 3", a->channels);
    if (status == OF_OK)
        status = check_range("image height", a->height, 1, MAX_SIDE, error);
    if (status == OF_OK)
        status = check_range("image width", a->width, 1, MAX_SIDE, error);
    if (status == OF_OK && a->family == OF_FAMILY_GLOW)
        status = check_range("number of scales", a->scales, 1, OF_MAX_SCALES, error);
    if (status == OF_OK)
        status = check_range("number of steps", a->steps, 1, MAX_STEPS, error);
    if (status == OF_OK)
        status = check_range("hidden width", a->hidden, 1, MAX_HIDDEN, error);
    if (status == OF_OK)
        status = check_range("number of classes", a->classes, 0, MAX_CLASSES, error);
    return status == OF_OK ? check_divisible(a, error) : status;
}

uint32_t of_architecture_scale_count(const of_architecture *architecture) {
    return architecture->family == OF_FAMILY_PATCH_GLOW ? 1 : architecture->scales;
}

size_t of_architecture_dimensions(const of_architecture *architecture) {
    return (size_t)architecture->channels * architecture->height * architecture->width;
}

uint32_t of_architecture_units(const of_architecture *architecture) {
    if (architecture->family != OF_FAMILY_PATCH_GLOW)
        return 1;
    return architecture->height / OF_PATCH_SIZE * (architecture->width / OF_PATCH_SIZE);
}

of_scale_shape of_architecture_scale(const of_architecture *architecture, uint32_t scale) {
    bool patches = architecture->family == OF_FAMILY_PATCH_GLOW;
    of_scale_shape shape = {
        .channels = (architecture->channels * 4) << scale, /* x4 squeezed, /2 split */
        .height = (patches ? OF_PATCH_SIZE : architecture->height) >> (scale + 1),
        .width = (patches ? OF_PATCH_SIZE : architecture->width) >> (scale + 1),
    };
    bool last = scale + 1 == of_architecture_scale_count(architecture);
    shape.latent_channels = last ? shape.channels : shape.channels / 2;
    shape.dimensions = shape.channels * shape.height * shape.width;
    shape.latents = shape.latent_channels * shape.height * shape.width;
    return shape;
}

/* Multiplications of one step on one unit (image or patch). */
static double step_multiplications(const of_architecture *architecture, of_scale_shape shape) {
    bool dense = architecture->block == OF_BLOCK_DENSE;
    double pixels = dense ? 1 : (double)shape.height * shape.width;
    double channels = dense ? shape.dimensions : shape.channels;
    double taps = dense ? 1 : 9, hidden = architecture->hidden;
    double outputs = architecture->coupling == OF_COUPLING_AFFINE ? channels : channels / 2;
    double mixing = architecture->permutation == OF_PERMUTATION_SHUFFLE ? 0 : channels * channels;
    double net = taps * channels / 2 * hidden + hidden * hidden + taps * hidden * outputs;
    return pixels * (mixing + net);
}

double of_architecture_flops(const of_architecture *architecture) {
    double sum = 0;
    for (uint32_t scale = 0; scale < of_architecture_scale_count(architecture); scale++)
        sum += step_multiplications(architecture, of_architecture_scale(architecture, scale));
    return 2 * sum * architecture->steps * of_architecture_units(architecture);
}

double of_bits_per_dim(const of_architecture *architecture, double logp) {
    return 8 - logp / ((double)of_architecture_dimensions(architecture) * log(2));
}

double of_nll(const of_architecture *architecture, double logp) {
    return (double)of_architecture_dimensions(architecture) * log(256) - logp;
}

of_status of_architecture_check_images(const of_architecture *a, const of_architecture *b,
                                       const char *what, of_error *error) {
    if (a->channels == b->channels && a->height == b->height && a->width == b->width)
        return OF_OK;
    return of_fail(error, OF_ERROR_MISMATCH,
                   "the model takes images of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                   " (channels, height, width), %s of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                   ": use models of the same image size",
                   a->channels, a->height, a->width, what, b->channels, b->height, b->width);
}
