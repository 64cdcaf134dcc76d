/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "core/random.h"
#include "flow_variants.h"
#include "random_model.h"

/* ---- Each field alone ---------------------------------------------------------------------- */

static of_architecture base(void) {
    of_architecture a = of_architecture_default();
    a.height = 24;
    a.width = 16;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 12;
    return a;
}

static const of_input_map five_bits = {5, 1.0 / 32, 1.0 / 64 - 0.5, 1.0 / 32, 0};
static const of_input_map of_255 = {8, 1.0 / 255, 0, 1.0 / 255, 0};
static const of_input_map logit = {8, 1.0 / 256, 1.0 / 512, 1.0 / 256, 0.05};
static const of_input_map six_bits_logit = {6, 1.0 / 64, 1.0 / 128, 1.0 / 64, 0.1};

/* The next variant, of the base's architecture. */
static of_architecture *add(flow_variant **next, const char *name) {
    flow_variant *variant = (*next)++;
    (void)snprintf(variant->name, sizeof variant->name, "%s", name);
    variant->architecture = base();
    return &variant->architecture;
}

static void add_inputs(flow_variant **next) {
    (void)add(next, "no field");
    add(next, "input.bits 5")->input = five_bits;
    add(next, "input.scale 1/255")->input = of_255;
    add(next, "input.logit 0.05")->input = logit;
    add(next, "input.bits 6, logit 0.1")->input = six_bits_logit;
}

static void add_splits(flow_variant **next) {
    add(next, "latents second")->latents = OF_LATENTS_SECOND;
    add(next, "split_prior conv")->split_prior = OF_SPLIT_PRIOR_CONV;
    of_architecture *a = add(next, "split_prior conv, latents second");
    a->split_prior = OF_SPLIT_PRIOR_CONV;
    a->latents = OF_LATENTS_SECOND;
    a = add(next, "edges split");
    a->split_prior = OF_SPLIT_PRIOR_CONV;
    a->edges = OF_EDGES_SPLIT;
    add(next, "edges conv1")->edges = OF_EDGES_CONV1;
    add(next, "edges conv3")->edges = OF_EDGES_CONV3;
    a = add(next, "edges all");
    a->split_prior = OF_SPLIT_PRIOR_CONV;
    a->edges = OF_EDGES_CONV1 | OF_EDGES_CONV3 | OF_EDGES_SPLIT;
}

static void add_couplings(flow_variant **next) {
    static const of_scale_map maps[] = {OF_SCALE_MAP_EXP, OF_SCALE_MAP_SIGMOID_INVERSE,
                                        OF_SCALE_MAP_TANH};
    char name[48];
    for (int shift = OF_SHIFT_BEFORE; shift <= OF_SHIFT_AFTER; shift++)
        for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
            (void)snprintf(name, sizeof name, "%s, shift %s", of_scale_map_name(maps[i]),
                           of_shift_name((of_shift)shift));
            of_architecture *a = add(next, name);
            a->scale_map = maps[i];
            a->shift = (of_shift)shift;
        }
    add(next, "shift after")->shift = OF_SHIFT_AFTER;
}

static void add_networks(flow_variant **next) {
    add(next, "net_input affine-relu")->net_input = OF_NET_INPUT_AFFINE_RELU;
    of_architecture *a = add(next, "net_input, edges conv1");
    a->net_input = OF_NET_INPUT_AFFINE_RELU;
    a->edges = OF_EDGES_CONV1;
    add(next, "leak 0.1")->leak = 0.1;
    add(next, "closing")->closing = true;
    a = add(next, "closing, split_prior");
    a->closing = true;
    a->split_prior = OF_SPLIT_PRIOR_CONV;
    a = add(next, "closing, shuffle");
    a->closing = true;
    a->permutation = OF_PERMUTATION_SHUFFLE;
}

static void add_all_fields(flow_variant **next) {
    of_architecture *a = add(next, "all fields");
    a->input = six_bits_logit;
    a->latents = OF_LATENTS_SECOND;
    a->split_prior = OF_SPLIT_PRIOR_CONV;
    a->edges = OF_EDGES_CONV1 | OF_EDGES_CONV3 | OF_EDGES_SPLIT;
    a->scale_map = OF_SCALE_MAP_TANH;
    a->shift = OF_SHIFT_AFTER;
    a->net_input = OF_NET_INPUT_AFFINE_RELU;
    a->leak = 0.1;
    a->closing = true;
    a->classes = 2;
}

/* ---- Combinations -------------------------------------------------------------------------- */

static uint32_t below(of_random *random, uint32_t count) {
    return (uint32_t)of_random_below(random, count);
}

static void draw_size(of_random *random, of_architecture *a) {
    static const uint32_t sizes[][2] = {{24, 16}, {16, 24}, {8, 8}, {40, 8}, {8, 24}, {32, 16}};
    uint32_t size = below(random, sizeof sizes / sizeof *sizes);
    a->channels = below(random, 2) == 0 ? 1 : 3;
    a->height = sizes[size][0];
    a->width = sizes[size][1];
    a->scales = 1 + below(random, 3);
    a->steps = 1 + below(random, 3);
    a->hidden = (const uint32_t[]){5, 12, 16, 33, 72}[below(random, 5)];
}

/* Dense blocks are of small images: their mixing is of all values. */
static void draw_network(of_random *random, of_architecture *a) {
    a->family = below(random, 6) == 0 ? OF_FAMILY_PATCH_GLOW : OF_FAMILY_GLOW;
    a->block = below(random, 5) == 0 ? OF_BLOCK_DENSE : OF_BLOCK_CONV;
    if (a->block == OF_BLOCK_DENSE)
        a->height = a->width = 8;
    a->coupling = below(random, 4) == 0 ? OF_COUPLING_ADDITIVE : OF_COUPLING_AFFINE;
    a->permutation = (of_permutation)below(random, OF_PERMUTATION_SHUFFLE + 1);
    a->lu = below(random, 2) == 0;
    a->classes = below(random, 4) == 0 ? 3 : 0;
}

static void draw_fields(of_random *random, of_architecture *a) {
    const of_input_map inputs[] = {of_input_map_default(), five_bits, of_255, logit,
                                   six_bits_logit};
    a->input = inputs[below(random, sizeof inputs / sizeof *inputs)];
    a->latents = (of_latents)below(random, 2);
    a->split_prior = (of_split_prior)below(random, 2);
    a->edges = below(random, 2) == 0 ? 0 : below(random, 8);
    a->scale_map = (of_scale_map)below(random, OF_SCALE_MAP_TANH + 1);
    a->shift = (of_shift)below(random, 2);
    a->net_input = (of_net_input)below(random, 2);
    a->leak = (const double[]){0, 0.1, 0.3}[below(random, 3)];
    a->closing = below(random, 2) == 0;
}

/* Dense blocks and additive couplings have some of the fields only: most drawings of them would be
 * refused. */
static void clear_fields(of_architecture *a) {
    if (a->block == OF_BLOCK_DENSE) {
        a->split_prior = OF_SPLIT_PRIOR_NONE;
        a->edges = 0;
        a->net_input = OF_NET_INPUT_NONE;
        a->closing = false;
    }
    if (a->coupling == OF_COUPLING_ADDITIVE) {
        a->scale_map = OF_SCALE_MAP_SIGMOID;
        a->shift = OF_SHIFT_BEFORE;
    }
}

static void add_combination(flow_variant **next, of_random *random, int number) {
    char name[48];
    (void)snprintf(name, sizeof name, "combination %d", number);
    of_architecture *a = add(next, name);
    do {
        draw_size(random, a);
        draw_network(random, a);
        draw_fields(random, a);
        clear_fields(a);
    } while (of_architecture_check(a, NULL) != OF_OK);
}

void make_flow_variants(flow_variant variants[FLOW_VARIANTS]) {
    flow_variant *next = variants;
    of_random random = of_random_stream(41, 0);
    of_error error;
    add_inputs(&next);
    add_splits(&next);
    add_couplings(&next);
    add_networks(&next);
    add_all_fields(&next);
    assert_int_equal(next - variants, FLOW_FIELDS);
    for (int i = 0; i < FLOW_COMBINATIONS; i++)
        add_combination(&next, &random, i);
    for (int i = 0; i < FLOW_VARIANTS; i++)
        if (of_architecture_check(&variants[i].architecture, &error) != OF_OK)
            fail_msg("%s: %s", variants[i].name, error.message);
}

const char *describe_flow_variant(const flow_variant *variant) {
    static char text[1024];
    char *json = of_architecture_print(&variant->architecture);
    assert_non_null(json);
    (void)snprintf(text, sizeof text, "%s: %s", variant->name, json);
    of_free(json);
    return text;
}

/* ---- Models and images --------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), size = strlen(end);
    return length >= size && strcmp(name + length - size, end) == 0;
}

/* What make_model leaves as it was, and signs; and standard deviations exp(log_std) of latents that
 * stay within a few orders of magnitude. */
static void disturb(of_model *model, size_t p, of_random *random) {
    const of_parameter *parameter = &model->parameters[p];
    float *values = of_model_values(model, (int)p);
    bool mixing = strstr(parameter->name, ".mix.") != NULL;
    bool input_scale = ends_with(parameter->name, ".net.in.scale");
    for (size_t i = 0; mixing && i < parameter->count; i++)
        values[i] += 0.02F * (float)of_random_normal(random);
    for (size_t i = 1; input_scale && i < parameter->count; i += 3)
        values[i] = -values[i];
    bool tame = ends_with(parameter->name, ".edge") || strstr(parameter->name, ".split.") != NULL;
    for (size_t i = 0; tame && i < parameter->count; i++)
        values[i] *= 0.4F;
}

of_model *make_flow_model(const of_architecture *architecture) {
    of_model *model = make_model(architecture);
    of_random random = of_random_stream(17, 0);
    for (size_t p = 0; p < model->parameter_count; p++)
        if (model->parameters[p].kind == OF_PARAMETER_TRAINED)
            disturb(model, p, &random);
    return model;
}

uint8_t *make_flow_pixels(const of_architecture *architecture, size_t count) {
    size_t bytes = count * of_architecture_dimensions(architecture);
    uint8_t *pixels = of_allocate(bytes, 1);
    of_random random = of_random_stream(3, 0);
    assert_non_null(pixels);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)of_random_below(&random, 256);
    return pixels;
}
