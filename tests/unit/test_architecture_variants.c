/* SPDX-License-Identifier: Apache-2.0 */
/* What other implementations of Glow do otherwise: fields of the architecture, their text, checks,
 * parameters and files, and that models without them are what they were. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/options_read.h"
#include "model/mixing.h"
#include "model/model.h"

static of_error error;

/* 1x8x8, two scales, one step, hidden 3. */
static of_architecture tiny(void) {
    of_architecture a = of_architecture_default();
    a.channels = 1;
    a.height = a.width = 8;
    a.scales = 2;
    a.steps = 1;
    a.hidden = 3;
    return a;
}

static of_architecture everything(void) {
    of_architecture a = tiny();
    a.input = (of_input_map){5, 1.0 / 31, 0.01, 1.0 / 30, 0.05};
    a.latents = OF_LATENTS_SECOND;
    a.split_prior = OF_SPLIT_PRIOR_CONV;
    a.edges = OF_EDGES_CONV1 | OF_EDGES_CONV3 | OF_EDGES_SPLIT;
    a.scale_map = OF_SCALE_MAP_TANH;
    a.shift = OF_SHIFT_AFTER;
    a.net_input = OF_NET_INPUT_AFFINE_RELU;
    a.leak = 0.1;
    a.closing = true;
    return a;
}

/* Of every field after `classes`. */
static void assert_same(const of_architecture *a, const of_architecture *b) {
    assert_int_equal(a->input.bits, b->input.bits);
    assert_true(a->input.scale == b->input.scale && a->input.shift == b->input.shift);
    assert_true(a->input.bin == b->input.bin && a->input.logit == b->input.logit);
    assert_int_equal(a->latents, b->latents);
    assert_int_equal(a->split_prior, b->split_prior);
    assert_int_equal(a->edges, b->edges);
    assert_int_equal(a->scale_map, b->scale_map);
    assert_int_equal(a->shift, b->shift);
    assert_int_equal(a->net_input, b->net_input);
    assert_true(a->leak == b->leak);
    assert_int_equal(a->closing, b->closing);
}

/* ---- Text --------------------------------------------------------------------------------- */

/* An architecture with one field set, and what its text then has. */
typedef struct variant {
    const char *field, *text;
    of_architecture architecture;
} variant;

enum { VARIANTS = 16 };

static void make_variants(variant *variants) {
    static const char *const texts[VARIANTS][2] = {
        {"input", "\"input\":{\"bits\":5,\"scale\":0.03125,\"shift\":-0.484375,\"bin\":0.03125,"
                  "\"logit\":0}"},
        {"input", "\"scale\":0.00392156862745098,"},
        {"input", "\"shift\":0.1"},
        {"input", "\"bin\":0.25"},
        {"latents", "\"latents\":\"second\""},
        {"split_prior", "\"split_prior\":\"conv\""},
        {"edges", "\"edges\":[\"conv1\"]"},
        {"edges", "\"edges\":[\"conv3\"]"},
        {"scale_map", "\"scale_map\":\"exp\""},
        {"scale_map", "\"scale_map\":\"sigmoid_inverse\""},
        {"scale_map", "\"scale_map\":\"tanh\""},
        {"shift", "\"shift\":\"after\""},
        {"net_input", "\"net_input\":\"affine-relu\""},
        {"leak", "\"leak\":0.1"},
        {"closing", "\"closing\":true"},
        {"input", "\"logit\":0.05"},
    };
    for (int i = 0; i < VARIANTS; i++)
        variants[i] = (variant){texts[i][0], texts[i][1], tiny()};
    variants[0].architecture.input = of_input_map_of_bits(5);
    variants[1].architecture.input.scale = 1.0 / 255;
    variants[2].architecture.input.shift = 0.1;
    variants[3].architecture.input.bin = 0.25;
    variants[4].architecture.latents = OF_LATENTS_SECOND;
    variants[5].architecture.split_prior = OF_SPLIT_PRIOR_CONV;
    variants[6].architecture.edges = OF_EDGES_CONV1;
    variants[7].architecture.edges = OF_EDGES_CONV3;
    variants[8].architecture.scale_map = OF_SCALE_MAP_EXP;
    variants[9].architecture.scale_map = OF_SCALE_MAP_SIGMOID_INVERSE;
    variants[10].architecture.scale_map = OF_SCALE_MAP_TANH;
    variants[11].architecture.shift = OF_SHIFT_AFTER;
    variants[12].architecture.net_input = OF_NET_INPUT_AFFINE_RELU;
    variants[13].architecture.leak = 0.1;
    variants[14].architecture.closing = true;
    variants[15].architecture.input = (of_input_map){8, 1.0 / 256, 1.0 / 512, 1.0 / 256, 0.05};
}

static void check_text(const of_architecture *written, const char *part) {
    of_architecture read;
    char *text = of_architecture_print(written);
    assert_non_null(text);
    if (strstr(text, part) == NULL)
        fail_msg("'%s' lacks '%s'", text, part);
    if (of_architecture_parse(text, "file", &read, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_same(&read, written);
    free(text);
}

static void each_field_round_trips_as_text(void **state) {
    (void)state;
    variant variants[VARIANTS];
    make_variants(variants);
    for (int i = 0; i < VARIANTS; i++)
        check_text(&variants[i].architecture, variants[i].text);
    of_architecture all = everything();
    check_text(&all, "\"edges\":[\"conv1\",\"conv3\",\"split\"]");
}

static void text_of_the_default_has_no_new_key(void **state) {
    (void)state;
    of_architecture a = tiny();
    char *text = of_architecture_print(&a);
    assert_string_equal(text, "{\"family\":\"glow\",\"image\":[1,8,8],\"scales\":2,\"steps\":1,"
                              "\"hidden\":3,\"coupling\":\"affine\",\"permutation\":\"invconv\","
                              "\"lu\":true,\"block\":\"conv\",\"classes\":0}");
    free(text);
}

static void absent_members_of_input_take_the_default(void **state) {
    (void)state;
    of_architecture read, expected = of_architecture_default();
    expected.input.scale = 0.125;
    assert_int_equal(
        of_architecture_parse("{\"input\": {\"scale\": 0.125}}", "file", &read, &error), OF_OK);
    assert_same(&read, &expected);
    assert_int_equal(of_architecture_parse("{\"input\": {}, \"edges\": []}", "file", &read, &error),
                     OF_OK);
    expected = of_architecture_default();
    assert_same(&read, &expected);
}

static void bad_text_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"input\": 8}", "'input' must be an object"},
        {"{\"input\": [8]}", "'input' must be an object"},
        {"{\"input\": null}", "'input'"},
        {"{\"input\": {\"bits\": 5.5}}", "'input'"},
        {"{\"input\": {\"bits\": \"5\"}}", "'input'"},
        {"{\"input\": {\"bits\": 5, \"bits\": 5}}", "'input'"},
        {"{\"input\": {\"scale\": true}}", "'input'"},
        {"{\"input\": {\"gamma\": 1}}", "'input'"},
        {"{\"input\": {\"bits\": 9}}", "input.bits"},
        {"{\"input\": {\"bits\": 0}}", "input.bits"},
        {"{\"input\": {\"scale\": 0}}", "input.scale"},
        {"{\"input\": {\"scale\": 1e999}}", "input.scale"},
        {"{\"input\": {\"shift\": -1e999}}", "input.shift"},
        {"{\"input\": {\"bin\": -1}}", "input.bin"},
        {"{\"input\": {\"logit\": 0.5}}", "input.logit"},
        {"{\"latents\": \"third\"}", "'latents' must be first or second"},
        {"{\"latents\": 1}", "'latents'"},
        {"{\"split_prior\": true}", "'split_prior' must be none or conv"},
        {"{\"edges\": \"conv1\"}", "'edges' must be an array"},
        {"{\"edges\": [\"conv2\"]}", "'edges'"},
        {"{\"edges\": [\"conv1\", \"conv1\"]}", "'edges'"},
        {"{\"edges\": [1]}", "'edges'"},
        {"{\"edges\": {\"a\": \"conv1\"}}", "'edges'"},
        {"{\"edges\": [\"split\"]}", "split needs split_prior"},
        {"{\"scale_map\": \"softplus\"}", "'scale_map' must be sigmoid"},
        {"{\"shift\": 0}", "'shift' must be before or after"},
        {"{\"net_input\": \"relu\"}", "'net_input' must be none or affine-relu"},
        {"{\"leak\": \"0.1\"}", "'leak' must be a number"},
        {"{\"leak\": 1}", "leak is 1"},
        {"{\"closing\": 1}", "'closing' must be true or false"},
        {"{\"closing\": true, \"closing\": true}", "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        of_architecture read = {.hidden = 12345};
        assert_int_equal(of_architecture_parse(cases[i][0], "m.file", &read, &error),
                         OF_ERROR_FORMAT);
        if (strstr(error.message, cases[i][1]) == NULL || strstr(error.message, "m.file") == NULL)
            fail_msg("%s: message '%s' lacks '%s' or the file", cases[i][0], error.message,
                     cases[i][1]);
        assert_int_equal(read.hidden, 12345);
    }
}

/* ---- Checks ------------------------------------------------------------------------------- */

static void refuse(of_architecture architecture, const char *word) {
    error.message[0] = '\0';
    assert_int_equal(of_architecture_check(&architecture, &error), OF_ERROR_ARGUMENT);
    if (strstr(error.message, word) == NULL)
        fail_msg("'%s' lacks '%s'", error.message, word);
}

static void ranges_are_checked(void **state) {
    (void)state;
    const of_architecture good = tiny();
    of_architecture bad;
#define REFUSE(field, value, word)                                                                 \
    bad = good;                                                                                    \
    bad.field = value;                                                                             \
    refuse(bad, word)
    REFUSE(input.bits, 0, "input.bits");
    REFUSE(input.bits, 9, "input.bits");
    REFUSE(input.scale, 0, "input.scale");
    REFUSE(input.scale, -1, "input.scale");
    REFUSE(input.scale, NAN, "input.scale");
    REFUSE(input.scale, 1e31, "input.scale");
    REFUSE(input.shift, NAN, "input.shift");
    REFUSE(input.shift, -INFINITY, "input.shift");
    REFUSE(input.bin, 0, "input.bin");
    REFUSE(input.bin, INFINITY, "input.bin");
    REFUSE(input.logit, -0.01, "input.logit");
    REFUSE(input.logit, 0.5, "input.logit");
    REFUSE(input.logit, NAN, "input.logit");
    REFUSE(input.logit, 0.05, "inside 0 to 1"); /* x begins at -1/2 */
    REFUSE(latents, (of_latents)2, "latents");
    REFUSE(split_prior, (of_split_prior)2, "split_prior");
    REFUSE(edges, 8, "edges");
    REFUSE(scale_map, (of_scale_map)4, "scale_map");
    REFUSE(shift, (of_shift)2, "shift");
    REFUSE(net_input, (of_net_input)2, "net_input");
    REFUSE(leak, -0.1, "leak");
    REFUSE(leak, 1, "leak");
    REFUSE(leak, NAN, "leak");
#undef REFUSE
    bad = good;
    bad.input = (of_input_map){8, 1.0 / 256, 1.0 / 512, 1.0 / 256, 1e-6};
    assert_int_equal(of_architecture_check(&bad, &error), OF_OK); /* noise fills [0, 1) */
    bad.input.shift = 0;
    refuse(bad, "input.logit");
    bad.input.shift = 2.0 / 512;
    refuse(bad, "input.logit");
}

static void combinations_are_checked(void **state) {
    (void)state;
    of_architecture good = everything(), bad;
    assert_int_equal(of_architecture_check(&good, &error), OF_OK);
    bad = good;
    bad.split_prior = OF_SPLIT_PRIOR_NONE;
    refuse(bad, "edges: split needs split_prior conv");
    bad = good;
    bad.coupling = OF_COUPLING_ADDITIVE;
    refuse(bad, "scale_map");
    bad.scale_map = OF_SCALE_MAP_SIGMOID;
    refuse(bad, "shift");
    bad.shift = OF_SHIFT_BEFORE;
    assert_int_equal(of_architecture_check(&bad, &error), OF_OK);
    bad = good;
    bad.block = OF_BLOCK_DENSE;
    refuse(bad, "split_prior");
    bad.split_prior = OF_SPLIT_PRIOR_NONE;
    refuse(bad, "edges");
    bad.edges = 0;
    refuse(bad, "net_input");
    bad.net_input = OF_NET_INPUT_NONE;
    refuse(bad, "closing");
    bad.closing = false;
    assert_int_equal(of_architecture_check(&bad, &error), OF_OK);
}

/* A program that was built with an older header. */
static void shorter_structs_have_the_defaults(void **state) {
    (void)state;
    of_architecture old = everything(), newer, expected = tiny();
    of_model *model = NULL;
    old.size = OF_SIZE_UP_TO(of_architecture, classes);
    assert_int_equal(of_architecture_check(&old, &error), OF_OK);
    assert_true(of_bits_per_dim(&old, 0) == 8);
    assert_true(of_architecture_flops(&old) == of_architecture_flops(&expected));
    assert_int_equal(of_model_create(&old, 1, &model, &error), OF_OK);
    assert_same(of_model_architecture(model), &expected);
    of_model_free(model);
    old.size = 0;
    assert_int_equal(of_architecture_check(&old, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "size is not set"));
    assert_int_equal(of_model_create(&old, 1, &model, &error), OF_ERROR_ARGUMENT);
    assert_null(of_architecture_print(&old));
    assert_true(isnan(of_architecture_flops(&old)));

    struct {
        of_architecture known;
        uint64_t unknown;
    } future = {tiny(), 0};
    future.known.size = sizeof future;
    assert_int_equal(of_architecture_check(&future.known, &error), OF_OK);
    future.unknown = 1;
    assert_int_equal(of_architecture_check(&future.known, &error), OF_ERROR_UNSUPPORTED);
    newer = tiny();
    assert_int_equal(newer.size, sizeof newer);
}

static void names_read_back(void **state) {
    (void)state;
    of_latents latents;
    of_split_prior split_prior;
    of_shift shift;
    of_net_input net_input;
    of_scale_map scale_map;
    of_edges edge;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(of_latents_parse(of_latents_name((of_latents)i), &latents, NULL), OF_OK);
        assert_int_equal(latents, i);
        assert_int_equal(
            of_split_prior_parse(of_split_prior_name((of_split_prior)i), &split_prior, NULL),
            OF_OK);
        assert_int_equal(split_prior, i);
        assert_int_equal(of_shift_parse(of_shift_name((of_shift)i), &shift, NULL), OF_OK);
        assert_int_equal(shift, i);
        assert_int_equal(of_net_input_parse(of_net_input_name((of_net_input)i), &net_input, NULL),
                         OF_OK);
        assert_int_equal(net_input, i);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(of_scale_map_parse(of_scale_map_name((of_scale_map)i), &scale_map, NULL),
                         OF_OK);
        assert_int_equal(scale_map, i);
    }
    for (int i = 1; i <= 4; i *= 2) {
        assert_int_equal(of_edges_parse(of_edges_name((of_edges)i), &edge, NULL), OF_OK);
        assert_int_equal(edge, i);
    }
    assert_string_equal(of_edges_name((of_edges)3), "unknown");
    assert_string_equal(of_edges_name((of_edges)0), "unknown");
    assert_int_equal(of_edges_parse("conv2", &edge, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "unknown edge 'conv2': use conv1, conv3 or split");
}

/* ---- Likelihoods and cost ----------------------------------------------------------------- */

static void likelihoods_use_the_bin(void **state) {
    (void)state;
    of_architecture standard = tiny(), five = tiny();
    double dimensions = 64, logp = 12.5;
    five.input = of_input_map_of_bits(5);
    assert_true(five.input.shift == 1.0 / 64 - 0.5 && five.input.scale == 1.0 / 32);
    /* To the bit what it was before there was an input map. */
    assert_true(of_bits_per_dim(&standard, logp) == 8 - logp / (dimensions * log(2)));
    assert_true(of_nll(&standard, logp) == dimensions * log(256) - logp);
    assert_true(fabs(of_bits_per_dim(&five, logp) - (5 - logp / (dimensions * log(2)))) < 1e-12);
    assert_true(fabs(of_nll(&five, logp) - (dimensions * log(32) - logp)) < 1e-9);
    assert_true(of_bin_difference(&standard, 0) == 0);
    assert_true(of_bin_difference(&standard, 1.0 / 256) == 0);
    assert_true(fabs(of_bin_difference(&standard, 1.0 / 32) - dimensions * log(8)) < 1e-9);
}

/* Differences of nll, whatever the bins. */
static void ratios_are_of_probabilities(void **state) {
    (void)state;
    of_architecture own = tiny(), general = tiny();
    const double contributions[2] = {-20, -30}, others[2] = {-25, -36}, classes[2] = {-51, -49};
    own.classes = 2;
    general.input = of_input_map_of_bits(5);
    of_image_likelihood image = {.logp = -50,
                                 .contributions = contributions,
                                 .general_logp = -61,
                                 .general_contributions = others,
                                 .class_logp = classes};
    const of_score ratio = {OF_SCORE_RATIO, 0}, class = {OF_SCORE_CLASS, 0};
    assert_true(of_score_value(ratio, &own, &image) == -11);
    image.general_bin = own.input.bin;
    assert_true(of_score_value(ratio, &own, &image) == -11);
    image.general_bin = general.input.bin;
    double expected = of_nll(&own, -50) - of_nll(&general, -61);
    assert_true(fabs(of_score_value(ratio, &own, &image) - expected) < 1e-9);
    expected = of_nll(&own, -49) - of_nll(&general, -61);
    assert_true(fabs(of_score_value(class, &own, &image) - expected) < 1e-9);
}

static void flops_count_split_priors_and_closing_maps(void **state) {
    (void)state;
    of_architecture plain = tiny(), more = tiny();
    more.split_prior = OF_SPLIT_PRIOR_CONV; /* scale 0: 4x4 positions, 2 channels to 4 */
    double difference = of_architecture_flops(&more) - of_architecture_flops(&plain);
    assert_true(difference == 2 * 16 * 9 * 2 * 4);
    more = plain;
    more.closing = true; /* 4x4 positions of 4x4, 2x2 of 8x8 */
    difference = of_architecture_flops(&more) - of_architecture_flops(&plain);
    assert_true(difference == 2 * (16 * 16 + 4 * 64));
}

/* ---- Parameters --------------------------------------------------------------------------- */

static const char *const all_parameters[] = {
    "scales.0.steps.0.actnorm.loc 4",
    "scales.0.steps.0.actnorm.log_scale 4",
    "scales.0.steps.0.mix.permutation 4 4",
    "scales.0.steps.0.mix.sign 4",
    "scales.0.steps.0.mix.lower 4 4",
    "scales.0.steps.0.mix.log_diag 4",
    "scales.0.steps.0.mix.upper 4 4",
    "scales.0.steps.0.net.in.scale 2",
    "scales.0.steps.0.net.in.shift 2",
    "scales.0.steps.0.net.conv1.weight 3 2 3 3",
    "scales.0.steps.0.net.conv1.edge 3 3 3",
    "scales.0.steps.0.net.conv1.actnorm.loc 3",
    "scales.0.steps.0.net.conv1.actnorm.log_scale 3",
    "scales.0.steps.0.net.conv2.weight 3 3 1 1",
    "scales.0.steps.0.net.conv2.actnorm.loc 3",
    "scales.0.steps.0.net.conv2.actnorm.log_scale 3",
    "scales.0.steps.0.net.conv3.weight 4 3 3 3",
    "scales.0.steps.0.net.conv3.edge 4 3 3",
    "scales.0.steps.0.net.conv3.bias 4",
    "scales.0.steps.0.net.conv3.log_scale 4",
    "scales.0.steps.0.net.gain 2",
    "scales.0.closing.actnorm.loc 4",
    "scales.0.closing.actnorm.log_scale 4",
    "scales.0.closing.mix.permutation 4 4",
    "scales.0.closing.mix.sign 4",
    "scales.0.closing.mix.lower 4 4",
    "scales.0.closing.mix.log_diag 4",
    "scales.0.closing.mix.upper 4 4",
    "scales.0.split.weight 4 2 3 3",
    "scales.0.split.edge 4 3 3",
    "scales.0.split.bias 4",
    "scales.0.split.log_scale 4",
    "scales.0.prior.loc 32",
    "scales.0.prior.log_scale 32",
};

static void tables_have_the_documented_names_and_shapes(void **state) {
    (void)state;
    of_architecture a = everything();
    of_model *model = NULL;
    size_t first = sizeof all_parameters / sizeof all_parameters[0];
    assert_int_equal(of_model_allocate(&a, &model, &error), OF_OK);
    /* The last scale has no split. */
    assert_int_equal(of_model_tensor_count(model), 2 * first - 4);
    for (size_t i = 0; i < first; i++) {
        of_tensor_info tensor = of_model_tensor(model, i);
        char text[192];
        int used = snprintf(text, sizeof text, "%s", tensor.name);
        for (uint32_t k = 0; k < tensor.rank; k++)
            used += snprintf(text + used, sizeof text - (size_t)used, " %d", (int)tensor.shape[k]);
        assert_string_equal(text, all_parameters[i]);
        bool fixed = strstr(text, "mix.permutation") != NULL || strstr(text, "mix.sign") != NULL;
        assert_int_equal(tensor.trainable, !fixed);
    }
    assert_string_equal(of_model_tensor(model, first).name, "scales.1.steps.0.actnorm.loc");
    assert_int_equal(model->scales[1].split_weight, OF_NO_PARAMETER);
    assert_int_equal(model->scales[1].split_edge, OF_NO_PARAMETER);
    const of_step_parameters *closing = &model->scales[0].steps[1];
    assert_int_equal(closing->actnorm_loc, of_model_find(model, "scales.0.closing.actnorm.loc"));
    assert_int_equal(closing->upper, of_model_find(model, "scales.0.closing.mix.upper"));
    assert_int_equal(closing->conv1_weight, OF_NO_PARAMETER);
    assert_int_equal(closing->gain, OF_NO_PARAMETER);
    of_model_free(model);
}

static void dense_couplings_have_a_gain_an_element(void **state) {
    (void)state;
    of_architecture a = tiny();
    of_model *model = NULL;
    a.block = OF_BLOCK_DENSE;
    a.scale_map = OF_SCALE_MAP_TANH;
    assert_int_equal(of_model_allocate(&a, &model, &error), OF_OK);
    int gain = model->scales[0].steps[0].gain;
    assert_string_equal(model->parameters[gain].name, "scales.0.steps.0.net.gain");
    assert_int_equal(model->parameters[gain].count, 32);
    of_model_free(model);
}

static void assert_all(const of_model *model, const char *name, float value) {
    int number = of_model_find(model, name);
    assert_true(number >= 0);
    for (size_t i = 0; i < model->parameters[number].count; i++)
        assert_true(of_model_values(model, number)[i] == value);
}

static void new_models_are_neutral(void **state) {
    (void)state;
    of_architecture a = everything();
    of_model *model = NULL;
    assert_int_equal(of_model_create(&a, 3, &model, &error), OF_OK);
    assert_all(model, "scales.0.steps.0.net.in.scale", 1);
    assert_all(model, "scales.0.steps.0.net.in.shift", 0);
    assert_all(model, "scales.1.steps.0.net.gain", 1);
    assert_all(model, "scales.0.steps.0.net.conv1.edge", 0);
    assert_all(model, "scales.0.steps.0.net.conv3.edge", 0);
    assert_all(model, "scales.0.split.weight", 0);
    assert_all(model, "scales.0.split.bias", 0);
    assert_all(model, "scales.0.split.log_scale", 0);
    assert_all(model, "scales.0.split.edge", 0);
    assert_all(model, "scales.1.closing.actnorm.loc", 0);
    double step[16], closing[16], log_abs_det, difference = 0;
    assert_int_equal(of_mixing_matrix(model, 0, 0, step, NULL, &error), OF_OK);
    assert_int_equal(of_mixing_matrix(model, 0, 1, closing, &log_abs_det, &error), OF_OK);
    assert_true(fabs(log_abs_det) < 1e-6);
    for (int i = 0; i < 16; i++) {
        double sum = 0;
        for (int k = 0; k < 4; k++)
            sum += closing[i / 4 * 4 + k] * closing[i % 4 * 4 + k];
        assert_true(fabs(sum - (i / 4 == i % 4)) < 1e-6);
        difference += fabs(step[i] - closing[i]);
    }
    assert_true(difference > 0.1);
    of_model_free(model);
}

/* ---- Files -------------------------------------------------------------------------------- */

static char path[64];

static int make_file(void **state) {
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/outflow-test-XXXXXX");
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static uint64_t hash_of_file(void) {
    uint64_t hash = 0xcbf29ce484222325u;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        hash = (hash ^ (unsigned)c) * 0x100000001b3u;
    assert_int_equal(fclose(file), 0);
    return hash;
}

static void files_round_trip(void **state) {
    (void)state;
    for (int permutation = 0; permutation < 3; permutation++) {
        of_architecture a = everything();
        of_model *model = NULL, *read = NULL;
        a.permutation = (of_permutation)permutation;
        assert_int_equal(of_model_create(&a, 5, &model, &error), OF_OK);
        assert_int_equal(of_model_save(model, path, &error), OF_OK);
        assert_int_equal(of_model_load(path, &read, &error), OF_OK);
        assert_same(of_model_architecture(read), &a);
        assert_memory_equal(read->values, model->values, model->value_bytes);
        of_model_free(model);
        of_model_free(read);
    }
}

/* A closing map's constants are checked as a step's. */
static void bad_closing_maps_are_refused(void **state) {
    (void)state;
    of_architecture a = everything();
    of_model *model = NULL, *read = NULL;
    assert_int_equal(of_model_create(&a, 5, &model, &error), OF_OK);
    of_model_values(model, of_model_find(model, "scales.1.closing.mix.sign"))[2] = 0.5F;
    assert_int_equal(of_model_save(model, path, &error), OF_OK);
    assert_int_equal(of_model_load(path, &read, &error), OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "scales.1.closing.mix.sign"));
    of_model_free(model);
}

/* Weights as version 0.1.0 made them before any of this was there; files as those, with
 * content_hash in their metadata. */
static void older_models_are_byte_for_byte_what_they_were(void **state) {
    (void)state;
    static const uint64_t expected[3][2] = {{0x32dd0d68da4c490bu, 0xa1bf22a44d7604edu},
                                            {0x95bd7e067c7a5446u, 0x6f6285d3d8c309c5u},
                                            {0xd4522f5ab128dac1u, 0xab902d60f32317a6u}};
    for (int permutation = 0; permutation < 3; permutation++) {
        of_architecture a = tiny();
        of_model *model = NULL;
        a.classes = 2;
        a.permutation = (of_permutation)permutation;
        assert_int_equal(of_model_create(&a, 7, &model, &error), OF_OK);
        assert_true(of_model_fingerprint(model) == expected[permutation][0]);
        assert_int_equal(of_model_save(model, path, &error), OF_OK);
        assert_true(hash_of_file() == expected[permutation][1]);
        of_model_free(model);
        assert_int_equal(of_model_load(path, &model, &error), OF_OK);
        assert_int_equal(of_model_save(model, path, &error), OF_OK);
        assert_true(hash_of_file() == expected[permutation][1]);
        of_model_free(model);
    }
}

/* ---- Plans -------------------------------------------------------------------------------- */

static void plans_run_every_field(void **state) {
    (void)state;
    variant variants[VARIANTS];
    make_variants(variants);
    for (int i = 0; i < VARIANTS; i++) {
        of_model *model = NULL;
        of_plan *plan = NULL;
        assert_int_equal(of_model_create(&variants[i].architecture, 1, &model, &error), OF_OK);
        if (of_plan_compile(model, NULL, &plan, &error) != OF_OK)
            fail_msg("%s: %s", variants[i].field, error.message);
        of_plan_free(plan);
        of_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_round_trips_as_text),
        cmocka_unit_test(text_of_the_default_has_no_new_key),
        cmocka_unit_test(absent_members_of_input_take_the_default),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(combinations_are_checked),
        cmocka_unit_test(shorter_structs_have_the_defaults),
        cmocka_unit_test(names_read_back),
        cmocka_unit_test(likelihoods_use_the_bin),
        cmocka_unit_test(ratios_are_of_probabilities),
        cmocka_unit_test(flops_count_split_priors_and_closing_maps),
        cmocka_unit_test(tables_have_the_documented_names_and_shapes),
        cmocka_unit_test(dense_couplings_have_a_gain_an_element),
        cmocka_unit_test(new_models_are_neutral),
        cmocka_unit_test_setup_teardown(files_round_trip, make_file, remove_file),
        cmocka_unit_test_setup_teardown(bad_closing_maps_are_refused, make_file, remove_file),
        cmocka_unit_test_setup_teardown(older_models_are_byte_for_byte_what_they_were, make_file,
                                        remove_file),
        cmocka_unit_test(plans_run_every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
