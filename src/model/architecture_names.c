/* SPDX-License-Identifier: Apache-2.0 */
/* Names of an architecture's choices, and of the pixels it takes: those of weight files. */
#include "core/choice.h"

static const char *const families[] = {"glow", "patch-glow"};
static const char *const couplings[] = {"affine", "additive"};
static const char *const permutations[] = {"invconv", "invconvfixed", "shuffle"};
static const char *const blocks[] = {"conv", "dense"};
static const char *const latents_choices[] = {"first", "second"};
static const char *const split_priors[] = {"none", "conv"};
static const char *const edges[] = {"conv1", "conv3", "split"}; /* flags 1, 2, 4 */
static const char *const scale_maps[] = {"sigmoid", "exp", "sigmoid_inverse", "tanh"};
static const char *const shifts[] = {"before", "after"};
static const char *const net_inputs[] = {"none", "affine-relu"};
static const char *const pixel_types[] = {"u8", "f32"};

static const of_choice family_choice = {"family", families, 2};
static const of_choice coupling_choice = {"coupling", couplings, 2};
static const of_choice permutation_choice = {"permutation", permutations, 3};
static const of_choice block_choice = {"block", blocks, 2};
static const of_choice latents_choice = {"latents", latents_choices, 2};
static const of_choice split_prior_choice = {"split prior", split_priors, 2};
static const of_choice edge_choice = {"edge", edges, 3};
static const of_choice scale_map_choice = {"scale map", scale_maps, 4};
static const of_choice shift_choice = {"shift", shifts, 2};
static const of_choice net_input_choice = {"network input", net_inputs, 2};
static const of_choice pixel_choice = {"pixel type", pixel_types, 2};

const char *of_family_name(of_family family) {
    return of_choice_name(&family_choice, (int)family);
}

of_status of_family_parse(const char *name, of_family *family, of_error *error) {
    int value;
    of_status status = of_choice_parse(&family_choice, name, &value, error);
    if (status == OF_OK)
        *family = (of_family)value;
    return status;
}

const char *of_coupling_name(of_coupling coupling) {
    return of_choice_name(&coupling_choice, (int)coupling);
}

of_status of_coupling_parse(const char *name, of_coupling *coupling, of_error *error) {
    int value;
    of_status status = of_choice_parse(&coupling_choice, name, &value, error);
    if (status == OF_OK)
        *coupling = (of_coupling)value;
    return status;
}

const char *of_permutation_name(of_permutation permutation) {
    return of_choice_name(&permutation_choice, (int)permutation);
}

of_status of_permutation_parse(const char *name, of_permutation *permutation, of_error *error) {
    int value;
    of_status status = of_choice_parse(&permutation_choice, name, &value, error);
    if (status == OF_OK)
        *permutation = (of_permutation)value;
    return status;
}

const char *of_block_name(of_block block) {
    return of_choice_name(&block_choice, (int)block);
}

of_status of_block_parse(const char *name, of_block *block, of_error *error) {
    int value;
    of_status status = of_choice_parse(&block_choice, name, &value, error);
    if (status == OF_OK)
        *block = (of_block)value;
    return status;
}

const char *of_latents_name(of_latents latents) {
    return of_choice_name(&latents_choice, (int)latents);
}

of_status of_latents_parse(const char *name, of_latents *latents, of_error *error) {
    int value;
    of_status status = of_choice_parse(&latents_choice, name, &value, error);
    if (status == OF_OK)
        *latents = (of_latents)value;
    return status;
}

const char *of_split_prior_name(of_split_prior split_prior) {
    return of_choice_name(&split_prior_choice, (int)split_prior);
}

of_status of_split_prior_parse(const char *name, of_split_prior *split_prior, of_error *error) {
    int value;
    of_status status = of_choice_parse(&split_prior_choice, name, &value, error);
    if (status == OF_OK)
        *split_prior = (of_split_prior)value;
    return status;
}

const char *of_edges_name(of_edges edge) {
    int number = 0;
    while (number < 3 && (int)edge != 1 << number)
        number++;
    return of_choice_name(&edge_choice, number);
}

of_status of_edges_parse(const char *name, of_edges *edge, of_error *error) {
    int number;
    of_status status = of_choice_parse(&edge_choice, name, &number, error);
    if (status == OF_OK)
        *edge = (of_edges)(1 << number);
    return status;
}

const char *of_scale_map_name(of_scale_map scale_map) {
    return of_choice_name(&scale_map_choice, (int)scale_map);
}

of_status of_scale_map_parse(const char *name, of_scale_map *scale_map, of_error *error) {
    int value;
    of_status status = of_choice_parse(&scale_map_choice, name, &value, error);
    if (status == OF_OK)
        *scale_map = (of_scale_map)value;
    return status;
}

const char *of_shift_name(of_shift shift) {
    return of_choice_name(&shift_choice, (int)shift);
}

of_status of_shift_parse(const char *name, of_shift *shift, of_error *error) {
    int value;
    of_status status = of_choice_parse(&shift_choice, name, &value, error);
    if (status == OF_OK)
        *shift = (of_shift)value;
    return status;
}

const char *of_net_input_name(of_net_input net_input) {
    return of_choice_name(&net_input_choice, (int)net_input);
}

of_status of_net_input_parse(const char *name, of_net_input *net_input, of_error *error) {
    int value;
    of_status status = of_choice_parse(&net_input_choice, name, &value, error);
    if (status == OF_OK)
        *net_input = (of_net_input)value;
    return status;
}

const char *of_pixel_type_name(of_pixel_type type) {
    return of_choice_name(&pixel_choice, (int)type);
}
