/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in image generators. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/synthetic/synthetic.h"

#include <math.h>

static const char *const kinds[] = {"shapes", "digits", "textures", "stripes",
                                    "flat",   "noise",  "general"};

enum { KINDS = sizeof kinds / sizeof *kinds, SIZE = 32 * 32 * 3 };

static void render(of_synthetic_kind kind, uint64_t seed, uint64_t index, uint8_t *pixels) {
    of_target target = {3, 32, 32, 1 << 26, 1 << 28, 0, 0, 0, 0, 0, false, false};
    assert_int_equal(of_synthetic_render(&(of_synthetic){kind, seed}, index, &target, pixels, NULL),
                     OF_OK);
}

static void test_sources(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        char spec[64];
        of_synthetic_kind kind;
        uint8_t expected[SIZE];
        of_source_options options = test_options(NULL);
        options.seed = 42;
        (void)snprintf(spec, sizeof spec, "synthetic:%s:23", kinds[k]);
        assert_int_equal(of_synthetic_parse(kinds[k], &kind, NULL), OF_OK);
        of_source *source = open_source(spec, &options);
        assert_int_equal(of_source_expected(source), 23);
        of_source_batch batch = next_batch(source, 100);
        assert_int_equal(batch.count, 23);
        assert_string_equal(batch.items[22].path, "22");
        for (uint64_t i = 0; i < 23; i++) {
            render(kind, 42, i, expected);
            assert_memory_equal(batch.pixels + i * SIZE, expected, SIZE);
        }
        of_source_free(source);
    }
}

static void test_default_count_and_labels(void **state) {
    (void)state;
    of_source_options options = test_options(NULL);
    of_source *source = open_source("synthetic:digits", &options);
    assert_int_equal(of_source_expected(source), 1000);
    of_source_batch batch = next_batch(source, 20);
    for (int32_t i = 0; i < 20; i++) {
        assert_int_equal(batch.items[i].class_index, i % 10);
        assert_int_equal(atoi(batch.items[i].label), i % 10);
    }
    of_source_free(source);
    source = open_source("synthetic:shapes:10", &options);
    batch = next_batch(source, 20);
    assert_string_equal(batch.items[0].label, "disc");
    assert_string_equal(batch.items[8].label, "heart");
    assert_int_equal(batch.items[8].class_index, 8);
    of_source_free(source);
    source = open_source("synthetic:noise:1", &options);
    batch = next_batch(source, 20);
    assert_string_equal(batch.items[0].label, "");
    assert_int_equal(batch.items[0].class_index, -1);
    of_source_free(source);
}

static void test_images_depend_on_seed_and_index(void **state) {
    (void)state;
    for (int kind = 0; kind < (int)KINDS; kind++) {
        uint8_t first[SIZE], again[SIZE], other_index[SIZE], other_seed[SIZE];
        render((of_synthetic_kind)kind, 1, 5, first);
        render((of_synthetic_kind)kind, 1, 5, again);
        render((of_synthetic_kind)kind, 1, 6, other_index);
        render((of_synthetic_kind)kind, 2, 5, other_seed);
        assert_memory_equal(first, again, SIZE);
        assert_memory_not_equal(first, other_index, SIZE);
        assert_memory_not_equal(first, other_seed, SIZE);
    }
}

static void test_any_size_and_grey(void **state) {
    (void)state;
    const uint32_t sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {7, 5}, {48, 40}, {64, 200}, {999, 3}};
    for (int kind = 0; kind < (int)KINDS; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (uint32_t channels = 1; channels <= 3; channels += 2)
                for (uint64_t index = 0; index < 12; index++) {
                    of_target target = {channels, sizes[i][0], sizes[i][1], 1 << 26, 1 << 28, 0, 0,
                                        0,        0,           0,           false,   false};
                    size_t size = of_target_bytes(&target);
                    uint8_t *pixels = malloc(size + 1);
                    assert_non_null(pixels);
                    pixels[size] = 0xa5;
                    of_synthetic synthetic = {(of_synthetic_kind)kind, 3};
                    assert_int_equal(of_synthetic_render(&synthetic, index, &target, pixels, NULL),
                                     OF_OK);
                    assert_int_equal(pixels[size], 0xa5);
                    free(pixels);
                }
}

/* Mean of log2(1 + |difference of horizontal neighbours|): how much there is to explain. */
static double roughness(of_synthetic_kind kind) {
    double sum = 0.0;
    for (uint64_t index = 0; index < 100; index++) {
        uint8_t pixels[SIZE];
        render(kind, 0, index, pixels);
        for (size_t i = 0; i < SIZE; i++)
            if (i % 96 >= 3)
                sum += log2(1.0 + abs(pixels[i] - pixels[i - 3]));
    }
    return sum / (100.0 * (SIZE - 96));
}

/* The paper's effect needs smooth digits beside rough shapes. */
static void test_order_of_complexity(void **state) {
    (void)state;
    double flat = roughness(OF_SYNTHETIC_FLAT), digits = roughness(OF_SYNTHETIC_DIGITS);
    double shapes = roughness(OF_SYNTHETIC_SHAPES), noise = roughness(OF_SYNTHETIC_NOISE);
    print_message("flat %.2f, digits %.2f, shapes %.2f, noise %.2f\n", flat, digits, shapes, noise);
    assert_true(flat == 0.0);
    assert_true(digits > 0.5 && digits < shapes - 1.0);
    assert_true(shapes < noise - 1.0);
}

static void test_bad_names(void **state) {
    (void)state;
    of_source_options options = test_options(NULL);
    assert_source_fails("synthetic:", &options, OF_ERROR_ARGUMENT, "expected shapes");
    assert_source_fails("synthetic:cats", &options, OF_ERROR_ARGUMENT, "'cats'");
    assert_source_fails("synthetic:shapes:", &options, OF_ERROR_ARGUMENT, "no number");
    assert_source_fails("synthetic:shapes:0", &options, OF_ERROR_ARGUMENT, "at least 1");
    assert_source_fails("synthetic:shapes:-3", &options, OF_ERROR_ARGUMENT, "no number");
    assert_source_fails("synthetic:shapes:3x", &options, OF_ERROR_ARGUMENT, "no number");
    assert_source_fails("synthetic:shapes:99999999999999999999", &options, OF_ERROR_ARGUMENT,
                        "no number");
    assert_source_fails("synthetic:a-name-that-is-much-longer-than-any-kind-has", &options,
                        OF_ERROR_ARGUMENT, "a-name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_default_count_and_labels),
        cmocka_unit_test(test_images_depend_on_seed_and_index),
        cmocka_unit_test(test_any_size_and_grey),
        cmocka_unit_test(test_order_of_complexity),
        cmocka_unit_test(test_bad_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
