/* SPDX-License-Identifier: Apache-2.0 */
/* Which architectures there are: every field's range, and what goes together. */
#include "core/error.h"
#include "model/model.h"

#include <math.h>

enum { MAX_SIDE = 4096, MAX_STEPS = 256, MAX_HIDDEN = 8192, MAX_CLASSES = 1000 };

/* What single precision holds with room to calculate in. */
static const double least_real = 1e-30, most_real = 1e30;

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

/* A value of an enum of `count` values. */
static of_status check_choice(const char *field, int value, int count, of_error *error) {
    return value >= 0 && value < count
               ? OF_OK
               : of_fail(error, OF_ERROR_ARGUMENT, "unknown %s %d", field, value);
}

static of_status check_extension_choices(const of_architecture *a, of_error *error) {
    of_status status = check_choice("latents", (int)a->latents, OF_LATENTS_SECOND + 1, error);
    if (status == OF_OK)
        status = check_choice("split_prior", (int)a->split_prior, OF_SPLIT_PRIOR_CONV + 1, error);
    if (status == OF_OK)
        status = check_choice("scale_map", (int)a->scale_map, OF_SCALE_MAP_TANH + 1, error);
    if (status == OF_OK)
        status = check_choice("shift", (int)a->shift, OF_SHIFT_AFTER + 1, error);
    if (status == OF_OK)
        status = check_choice("net_input", (int)a->net_input, OF_NET_INPUT_AFFINE_RELU + 1, error);
    if (status == OF_OK && (a->edges & ~(uint32_t)OF_ALL_EDGES) != 0)
        status = of_fail(error, OF_ERROR_ARGUMENT, "unknown edges 0x%x", (unsigned)a->edges);
    return status;
}

/* ---- Reals -------------------------------------------------------------------------------- */

/* False for what is not a number as well. */
static bool is_within(double value, double least, double most) {
    return value >= least && value <= most;
}

static of_status check_positive(const char *field, double value, of_error *error) {
    return is_within(value, least_real, most_real)
               ? OF_OK
               : of_fail(error, OF_ERROR_ARGUMENT, "%s is %g, must be %g to %g", field, value,
                         least_real, most_real);
}

/* The logit takes p in (0, 1) of all values, with half a bin of noise on either side. */
static of_status check_logit(const of_input_map *input, of_error *error) {
    double top = input->scale * (double)((1u << input->bits) - 1) + input->shift;
    double factor = 1 - 2 * input->logit;
    double first = input->logit + factor * (input->shift - input->bin / 2);
    double last = input->logit + factor * (top + input->bin / 2);
    if (!(input->logit >= 0 && input->logit < 0.5))
        return of_fail(error, OF_ERROR_ARGUMENT, "input.logit is %g, must be 0 or more, below 0.5",
                       input->logit);
    if (input->logit > 0 && !(first > 0 && last < 1))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "input.logit: with scale, shift and bin, values reach from %g to %g, must "
                       "stay inside 0 to 1",
                       first, last);
    return OF_OK;
}

static of_status check_input(const of_input_map *input, of_error *error) {
    of_status status = check_range("input.bits", input->bits, 1, 8, error);
    if (status == OF_OK)
        status = check_positive("input.scale", input->scale, error);
    if (status == OF_OK && !is_within(input->shift, -most_real, most_real))
        status = of_fail(error, OF_ERROR_ARGUMENT, "input.shift is %g, must be %g to %g",
                         input->shift, -most_real, most_real);
    if (status == OF_OK)
        status = check_positive("input.bin", input->bin, error);
    return status == OF_OK ? check_logit(input, error) : status;
}

/* ---- What goes together ------------------------------------------------------------------- */

static of_status check_dense(const of_architecture *a, of_error *error) {
    const char *field = a->split_prior != OF_SPLIT_PRIOR_NONE ? "split_prior"
                        : a->edges != 0                       ? "edges"
                        : a->net_input != OF_NET_INPUT_NONE   ? "net_input"
                        : a->closing                          ? "closing"
                                                              : NULL;
    if (a->block != OF_BLOCK_DENSE || field == NULL)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT, "%s is of convolutions: dense blocks have none",
                   field);
}

static of_status check_additive(const of_architecture *a, of_error *error) {
    const char *field = a->scale_map != OF_SCALE_MAP_SIGMOID ? "scale_map"
                        : a->shift != OF_SHIFT_BEFORE        ? "shift"
                                                             : NULL;
    if (a->coupling != OF_COUPLING_ADDITIVE || field == NULL)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "%s is of affine couplings: additive ones do not "
                   "scale",
                   field);
}

static of_status check_together(const of_architecture *a, of_error *error) {
    of_status status = check_dense(a, error);
    if (status == OF_OK)
        status = check_additive(a, error);
    if (status == OF_OK && (a->edges & OF_EDGES_SPLIT) != 0 &&
        a->split_prior != OF_SPLIT_PRIOR_CONV)
        status = of_fail(error, OF_ERROR_ARGUMENT, "edges: split needs split_prior conv");
    return status;
}

static of_status check_extension(const of_architecture *a, of_error *error) {
    of_status status = check_extension_choices(a, error);
    if (status == OF_OK)
        status = check_input(&a->input, error);
    if (status == OF_OK && !(a->leak >= 0 && a->leak < 1))
        status =
            of_fail(error, OF_ERROR_ARGUMENT, "leak is %g, must be 0 or more, below 1", a->leak);
    return status == OF_OK ? check_together(a, error) : status;
}

/* ---- All of it ---------------------------------------------------------------------------- */

static of_status check_sizes(const of_architecture *a, of_error *error) {
    of_status status = OF_OK;
    if (a->channels != 1 && a->channels != 3)
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

of_status of_architecture_check(const of_architecture *architecture, of_error *error) {
    of_architecture own;
    if (architecture == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_architecture_check: a required argument is NULL");
    of_status status = of_architecture_read(architecture, &own, error);
    if (status == OF_OK)
        status = check_choices(&own, error);
    if (status == OF_OK)
        status = check_sizes(&own, error);
    return status == OF_OK ? check_extension(&own, error) : status;
}
