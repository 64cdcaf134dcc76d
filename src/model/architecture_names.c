/* SPDX-License-Identifier: Apache-2.0 */
/* Names of an architecture's choices, and of the pixels it takes: those of weight files. */
#include "core/choice.h"

static const char *const families[] = {"glow", "patch-glow"};
static const char *const couplings[] = {"affine", "additive"};
static const char *const permutations[] = {"invconv", "invconvfixed", "shuffle"};
static const char *const blocks[] = {"conv", "dense"};
static const char *const pixel_types[] = {"u8", "f32"};

static const of_choice family_choice = {"family", families, 2};
static const of_choice coupling_choice = {"coupling", couplings, 2};
static const of_choice permutation_choice = {"permutation", permutations, 3};
static const of_choice block_choice = {"block", blocks, 2};
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

const char *of_pixel_type_name(of_pixel_type type) {
    return of_choice_name(&pixel_choice, (int)type);
}
