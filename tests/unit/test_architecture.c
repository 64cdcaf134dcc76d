/* SPDX-License-Identifier: Apache-2.0 */
/* Architectures: defaults, checks, geometry, cost, JSON. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/options_read.h"
#include "model/model.h"

static of_error error;

static void defaults_are_valid(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    assert_int_equal(of_architecture_check(&architecture, &error), OF_OK);
    assert_int_equal(of_architecture_dimensions(&architecture), 3072);
    assert_int_equal(of_architecture_scale_count(&architecture), 3);
    assert_int_equal(of_architecture_units(&architecture), 1);
}

static void scales_halve_and_split(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    architecture.height = 48;
    architecture.width = 40;
    static const uint32_t expected[3][6] = {
        {12, 24, 20, 6, 5760, 2880}, {24, 12, 10, 12, 2880, 1440}, {48, 6, 5, 48, 1440, 1440}};
    size_t latents = 0;
    for (uint32_t scale = 0; scale < 3; scale++) {
        of_scale_shape shape = of_architecture_scale(&architecture, scale);
        const uint32_t found[6] = {shape.channels,        shape.height,     shape.width,
                                   shape.latent_channels, shape.dimensions, shape.latents};
        assert_memory_equal(found, expected[scale], sizeof found);
        latents += shape.latents;
    }
    assert_int_equal(latents, of_architecture_dimensions(&architecture));
}

static void patches_have_one_scale(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    architecture.family = OF_FAMILY_PATCH_GLOW;
    architecture.height = 16;
    of_scale_shape shape = of_architecture_scale(&architecture, 0);
    assert_int_equal(of_architecture_scale_count(&architecture), 1);
    assert_int_equal(of_architecture_units(&architecture), 8);
    assert_int_equal(shape.channels, 12);
    assert_int_equal(shape.height, 4);
    assert_int_equal(shape.latents, 192);
    assert_int_equal(shape.latents * of_architecture_units(&architecture),
                     of_architecture_dimensions(&architecture));
}

/* The figures that the design states for the two reference networks. */
static void flops_match_the_design(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    architecture.steps = 32;
    architecture.hidden = 512;
    assert_true(fabs(of_architecture_flops(&architecture) - 8.0e9) < 0.05e9);
    architecture.steps = 8;
    architecture.hidden = 128;
    assert_true(fabs(of_architecture_flops(&architecture) - 0.237e9) < 0.002e9);
}

static void flops_count_a_small_dense_step(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    architecture.channels = 1;
    architecture.height = architecture.width = 2;
    architecture.scales = architecture.steps = 1;
    architecture.hidden = 5;
    architecture.block = OF_BLOCK_DENSE; /* D = 4: mixing 16, 2*5, 5*5, 5*4 */
    assert_true(of_architecture_flops(&architecture) == 2 * (16 + 10 + 25 + 20));
    architecture.coupling = OF_COUPLING_ADDITIVE;
    architecture.permutation = OF_PERMUTATION_SHUFFLE;
    assert_true(of_architecture_flops(&architecture) == 2 * (10 + 25 + 10));
}

static void likelihoods_convert(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    double dimensions = 3072, logp = 8890.219;
    assert_true(fabs(of_bits_per_dim(&architecture, logp) - 3.825) < 0.0005);
    assert_true(fabs(of_nll(&architecture, logp) -
                     of_bits_per_dim(&architecture, logp) * dimensions * log(2)) < 1e-8);
    assert_true(of_bits_per_dim(&architecture, 0) == 8);
}

static void refuse(of_architecture architecture, const char *word) {
    error.message[0] = '\0';
    assert_int_equal(of_architecture_check(&architecture, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, word));
}

static void checks_refuse_every_bad_field(void **state) {
    (void)state;
    const of_architecture good = of_architecture_default();
    of_architecture bad;
#define REFUSE(field, value, word)                                                                 \
    bad = good;                                                                                    \
    bad.field = value;                                                                             \
    refuse(bad, word)
    REFUSE(family, (of_family)7, "family");
    REFUSE(coupling, (of_coupling)2, "coupling");
    REFUSE(permutation, (of_permutation)3, "permutation");
    REFUSE(block, (of_block)2, "block");
    REFUSE(channels, 2, "channels");
    REFUSE(channels, 0, "channels");
    REFUSE(height, 0, "height");
    REFUSE(width, 8192, "width");
    REFUSE(height, 36, "divisible by 8");
    REFUSE(width, 4, "divisible by 8");
    REFUSE(scales, 0, "scales");
    REFUSE(scales, 7, "scales");
    REFUSE(scales, 32, "scales");
    REFUSE(steps, 0, "steps");
    REFUSE(steps, 257, "steps");
    REFUSE(hidden, 0, "hidden");
    REFUSE(hidden, 8193, "hidden");
    REFUSE(classes, 1001, "classes");
#undef REFUSE
    bad = good;
    bad.family = OF_FAMILY_PATCH_GLOW;
    bad.scales = 0; /* ignored */
    assert_int_equal(of_architecture_check(&bad, &error), OF_OK);
    bad.width = 36;
    refuse(bad, "divisible by 8");
}

static void too_many_parameters_are_refused(void **state) {
    (void)state;
    of_architecture huge = of_architecture_default();
    of_model *model = NULL;
    huge.height = huge.width = 4096;
    huge.scales = 1;
    huge.block = OF_BLOCK_DENSE; /* a mixing matrix of 2^51 values */
    assert_int_equal(of_model_allocate(&huge, &model, &error), OF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "parameters"));
    assert_null(model);
}

static void json_round_trips(void **state) {
    (void)state;
    of_architecture written = {.size = OF_SIZE_UP_TO(of_architecture, classes),
                               .family = OF_FAMILY_PATCH_GLOW,
                               .channels = 1,
                               .height = 40,
                               .width = 16,
                               .scales = 2,
                               .steps = 5,
                               .hidden = 7,
                               .coupling = OF_COUPLING_ADDITIVE,
                               .permutation = OF_PERMUTATION_SHUFFLE,
                               .lu = false,
                               .block = OF_BLOCK_DENSE,
                               .classes = 11};
    of_architecture read;
    char *text = of_architecture_print(&written);
    assert_non_null(text);
    assert_int_equal(of_architecture_parse(text, "file", &read, &error), OF_OK);
    free(text);
    assert_int_equal(read.family, written.family);
    assert_int_equal(read.channels, 1);
    assert_int_equal(read.height, 40);
    assert_int_equal(read.width, 16);
    assert_int_equal(read.scales, 2);
    assert_int_equal(read.steps, 5);
    assert_int_equal(read.hidden, 7);
    assert_int_equal(read.coupling, written.coupling);
    assert_int_equal(read.permutation, written.permutation);
    assert_int_equal(read.lu, false);
    assert_int_equal(read.block, written.block);
    assert_int_equal(read.classes, 11);
}

static void absent_keys_take_defaults(void **state) {
    (void)state;
    of_architecture read;
    assert_int_equal(of_architecture_parse("{\"hidden\": 96}", "file", &read, &error), OF_OK);
    assert_int_equal(read.hidden, 96);
    assert_int_equal(read.steps, of_architecture_default().steps);
    assert_true(read.lu);
}

static void bad_json_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{} {}", "nothing else"},
        {"{\"steps\": 8", "JSON"},
        {"{\"stpes\": 8}", "stpes"},
        {"{\"steps\": \"8\"}", "steps"},
        {"{\"steps\": 8.5}", "steps"},
        {"{\"steps\": -8}", "steps"},
        {"{\"steps\": 1e300}", "steps"},
        {"{\"steps\": 4294967297}", "steps"},
        {"{\"steps\": true}", "steps"},
        {"{\"steps\": 8, \"steps\": 8}", "twice"},
        {"{\"hidden\": [64]}", "hidden"},
        {"{\"scales\": null}", "scales"},
        {"{\"classes\": {}}", "classes"},
        {"{\"lu\": 1}", "lu"},
        {"{\"family\": \"realnvp\"}", "family"},
        {"{\"family\": 0}", "family"},
        {"{\"coupling\": \"Affine\"}", "coupling"},
        {"{\"permutation\": \"reverse\"}", "permutation"},
        {"{\"block\": \"mlp\"}", "block"},
        {"{\"image\": [3, 32]}", "image"},
        {"{\"image\": [3, 32, \"32\"]}", "image"},
        {"{\"image\": [3, 32, 32, 1]}", "image"},
        {"{\"image\": [3, 33, 32]}", "divisible"},
        {"{\"image\": [4, 32, 32]}", "channels"},
        {"{\"family\": \"gl\\u0000ow\"}", "zero"},
        {"{\"a\": [[[[[[[[[[1]]]]]]]]]]}", "deep"},
        {"{\"family\": \"\xc0\xaf\"}", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        of_architecture read = {.hidden = 12345};
        error.message[0] = '\0';
        assert_int_equal(of_architecture_parse(cases[i][0], "m.file", &read, &error),
                         OF_ERROR_FORMAT);
        if (strstr(error.message, cases[i][1]) == NULL || strstr(error.message, "m.file") == NULL)
            fail_msg("%s: message '%s' lacks '%s' or the file", cases[i][0], error.message,
                     cases[i][1]);
        assert_int_equal(read.hidden, 12345);
    }
}

static void test_names_read_back(void **state) {
    (void)state;
    of_family family;
    of_coupling coupling;
    of_permutation permutation;
    of_block block;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(of_family_parse(of_family_name((of_family)i), &family, NULL), OF_OK);
        assert_int_equal(family, i);
        assert_int_equal(of_coupling_parse(of_coupling_name((of_coupling)i), &coupling, NULL),
                         OF_OK);
        assert_int_equal(coupling, i);
        assert_int_equal(of_block_parse(of_block_name((of_block)i), &block, NULL), OF_OK);
        assert_int_equal(block, i);
    }
    for (int i = 0; i < 3; i++) {
        const char *name = of_permutation_name((of_permutation)i);
        assert_int_equal(of_permutation_parse(name, &permutation, NULL), OF_OK);
        assert_int_equal(permutation, i);
    }
    assert_string_equal(of_family_name(OF_FAMILY_PATCH_GLOW), "patch-glow");
    assert_string_equal(of_pixel_type_name(OF_PIXEL_F32), "f32");
    assert_string_equal(of_block_name((of_block)2), "unknown");
    assert_string_equal(of_score_need_name(OF_NEEDS_GENERAL), "a general model");
    assert_int_equal(of_permutation_parse("rotate", &permutation, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message,
                        "unknown permutation 'rotate': use invconv, invconvfixed or shuffle");
    assert_int_equal(of_family_parse(NULL, &family, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "unknown family '': use glow or patch-glow");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_read_back),
        cmocka_unit_test(defaults_are_valid),
        cmocka_unit_test(scales_halve_and_split),
        cmocka_unit_test(patches_have_one_scale),
        cmocka_unit_test(flops_match_the_design),
        cmocka_unit_test(flops_count_a_small_dense_step),
        cmocka_unit_test(likelihoods_convert),
        cmocka_unit_test(checks_refuse_every_bad_field),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(json_round_trips),
        cmocka_unit_test(absent_keys_take_defaults),
        cmocka_unit_test(bad_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
