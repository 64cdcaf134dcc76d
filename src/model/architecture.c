/* SPDX-License-Identifier: Apache-2.0 */
/* What a network looks like: defaults, geometry and cost. */
#include "core/error.h"
#include "core/options_read.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>

of_input_map of_input_map_of_bits(uint32_t bits) {
    double bin = ldexp(1, -(int)bits);
    return (of_input_map){.bits = bits, .scale = bin, .shift = bin / 2 - 0.5, .bin = bin};
}

of_input_map of_input_map_default(void) {
    return of_input_map_of_bits(8);
}

of_architecture of_architecture_default(void) {
    return (of_architecture){.size = sizeof(of_architecture),
                             .family = OF_FAMILY_GLOW,
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
                             .classes = 0,
                             .input = of_input_map_default()};
}

of_status of_architecture_read(const of_architecture *given, of_architecture *own,
                               of_error *error) {
    *own = of_architecture_default();
    return of_options_read(own, sizeof *own, OF_SIZE_UP_TO(of_architecture, classes), given,
                           "architecture", error);
}

uint32_t of_architecture_scale_count(const of_architecture *architecture) {
    return architecture->family == OF_FAMILY_PATCH_GLOW ? 1 : architecture->scales;
}

uint32_t of_architecture_mixings(const of_architecture *architecture) {
    return architecture->steps + architecture->closing;
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

/* Of what follows the steps: the closing map and the split prior's convolution, C/2 -> C. */
static double end_multiplications(const of_architecture *architecture, of_scale_shape shape,
                                  bool last) {
    double pixels = (double)shape.height * shape.width,
           square = (double)shape.channels * shape.channels;
    bool closing = architecture->closing && architecture->permutation != OF_PERMUTATION_SHUFFLE;
    bool split = architecture->split_prior == OF_SPLIT_PRIOR_CONV && !last;
    return pixels * ((closing ? square : 0) + (split ? 9 * square / 2 : 0));
}

double of_architecture_flops(const of_architecture *architecture) {
    of_architecture own;
    double sum = 0;
    if (of_architecture_read(architecture, &own, NULL) != OF_OK)
        return NAN;
    uint32_t scale_count = of_architecture_scale_count(&own);
    for (uint32_t scale = 0; scale < scale_count; scale++) {
        of_scale_shape shape = of_architecture_scale(&own, scale);
        sum += own.steps * step_multiplications(&own, shape) +
               end_multiplications(&own, shape, scale + 1 == scale_count);
    }
    return 2 * sum * of_architecture_units(&own);
}

static double bin_of(const of_architecture *architecture) {
    of_architecture own;
    (void)of_architecture_read(architecture, &own, NULL); /* or the default stays */
    return own.input.bin;
}

double of_bits_per_dim(const of_architecture *architecture, double logp) {
    double nats = (double)of_architecture_dimensions(architecture) * log(2);
    return -log2(bin_of(architecture)) - logp / nats;
}

double of_nll(const of_architecture *architecture, double logp) {
    return (double)of_architecture_dimensions(architecture) * -log(bin_of(architecture)) - logp;
}

double of_bin_difference(const of_architecture *architecture, double other_bin) {
    double bin = bin_of(architecture);
    if (other_bin == 0 || other_bin == bin)
        return 0;
    return (double)of_architecture_dimensions(architecture) * (log(other_bin) - log(bin));
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
