/* SPDX-License-Identifier: Apache-2.0 */
/* Training data: sets in memory and in files, the order of images, augmentation, batches. */
#include "data/augment.h"
#include "data/dataset.h"
#include "data/probe.h"
#include "train/feeder.h"
#include "train/order.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 16, VALUES = 3 * SIDE * SIDE };

static of_dataset_options wish(void) {
    of_dataset_options options = {.source = of_source_options_default(NULL)};
    options.source.height = options.source.width = SIDE;
    return options;
}

static of_dataset load(const char *spec, uint64_t cache) {
    of_dataset dataset;
    of_dataset_options options = wish();
    options.cache_bytes = cache;
    assert_int_equal(of_dataset_load(spec, &options, &dataset, NULL), OF_OK);
    return dataset;
}

/* ---- Sets --------------------------------------------------------------------------------- */

static void set_is_the_same_in_memory_and_in_a_file(void **state) {
    (void)state;
    of_dataset memory = load("synthetic:shapes:600", 0), file = load("synthetic:shapes:600", 1000);
    assert_false(memory.in_file);
    assert_true(file.in_file);
    assert_int_equal(memory.count, 600);
    assert_int_equal(file.count, 600);
    assert_int_equal(memory.image_bytes, VALUES);
    assert_memory_equal(memory.pixels, file.pixels, (size_t)600 * VALUES);
    assert_true(memory.fingerprint == file.fingerprint);
    assert_int_equal(memory.class_count, 10);
    for (size_t i = 0; i < 600; i++)
        assert_in_range(memory.classes[i], 0, 9);
    of_dataset other = load("synthetic:shapes:599", 0);
    assert_true(other.fingerprint != memory.fingerprint);
    of_dataset_free(&memory);
    of_dataset_free(&file);
    of_dataset_free(&other);
}

static void refusals_say_why(void **state) {
    (void)state;
    of_dataset dataset;
    of_dataset_options options = wish();
    of_error error;
    options.with_classes = true;
    assert_int_equal(of_dataset_load("synthetic:noise:5", &options, &dataset, &error),
                     OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "no label"));
    assert_int_equal(of_dataset_load("synthetic:shapes:1", &options, &dataset, &error),
                     OF_ERROR_FORMAT);
    assert_int_equal(of_dataset_load("/nowhere/at/all", &options, &dataset, &error), OF_ERROR_IO);
}

static void probe_tells_the_shape(void **state) {
    (void)state;
    of_image_shape shape;
    of_error error;
    assert_int_equal(of_probe_source("synthetic:digits:3", &shape, &error), OF_OK);
    assert_int_equal(shape.channels, 3);
    assert_int_equal(shape.height, 32);
    assert_int_equal(of_probe_source("-", &shape, &error), OF_ERROR_ARGUMENT);
}

/* ---- Order -------------------------------------------------------------------------------- */

static void epochs_are_permutations(void **state) {
    (void)state;
    enum { COUNT = 97, EPOCHS = 4 };
    of_order order, again;
    uint32_t shown[EPOCHS][COUNT], moved = 0;
    uint64_t epoch;
    assert_int_equal(of_order_open(5, COUNT, &order, NULL), OF_OK);
    for (uint64_t e = 0; e < EPOCHS; e++) {
        unsigned seen[COUNT] = {0};
        for (uint64_t i = 0; i < COUNT; i++) {
            shown[e][i] = of_order_image(&order, e * COUNT + i, &epoch);
            assert_true(epoch == e);
            assert_in_range(shown[e][i], 0, COUNT - 1);
            seen[shown[e][i]]++;
            moved += e > 0 && shown[e][i] != shown[e - 1][i];
        }
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_true(moved > 2 * COUNT);
    /* From any place on, as after a resume. */
    assert_int_equal(of_order_open(5, COUNT, &again, NULL), OF_OK);
    for (uint64_t place = EPOCHS * COUNT; place-- > 0;)
        assert_int_equal(of_order_image(&again, place, &epoch),
                         shown[place / COUNT][place % COUNT]);
    of_order_close(&order);
    of_order_close(&again);
}

/* ---- Augmentation ------------------------------------------------------------------------- */

static of_augmentation augmentation(double shift, bool flip) {
    return (of_augmentation){
        .key = 3, .channels = 3, .height = SIDE, .width = SIDE, .shift = shift, .flip = flip};
}

/* The byte whose noisy form this is, but for noise that rounds to 1. */
static int byte_of(float value) {
    return (int)floor((double)value * 255 + 0.5);
}

static void assert_noise_of(int byte, float value) {
    double u = (double)value * 255 + 0.5 - byte;
    if (!(u > -1e-4 && u < 1 + 1e-4))
        fail_msg("%.9g is no noisy form of %d", (double)value, byte);
}

static void noise_stays_inside_its_byte(void **state) {
    (void)state;
    uint8_t pixels[VALUES];
    float first[VALUES], second[VALUES];
    double sum = 0;
    of_augmentation plain = augmentation(0, false);
    for (size_t i = 0; i < VALUES; i++)
        pixels[i] = (uint8_t)(i * 7);
    of_augment(&plain, 2, 11, pixels, first);
    of_dequantise(&plain, 2, 11, pixels, second);
    assert_memory_equal(first, second, sizeof first);
    for (size_t i = 0; i < VALUES; i++) {
        assert_noise_of(pixels[i], first[i]);
        sum += (double)first[i] * 255 + 0.5 - pixels[i];
    }
    assert_true(fabs(sum / VALUES - 0.5) < 0.05);
    of_augment(&plain, 3, 11, pixels, second);
    assert_memory_not_equal(first, second, sizeof first);
    of_augment(&plain, 2, 12, pixels, second);
    assert_memory_not_equal(first, second, sizeof first);
}

/* Every moved image is the image mirrored at its edges, cut out somewhere. */
static void movements_mirror_the_edge(void **state) {
    (void)state;
    enum { MOST = 3 };
    uint8_t pixels[VALUES];
    float moved[VALUES];
    of_augmentation wild = augmentation(0.2, true);
    bool mirrored = false, plain = false, shifted[2 * MOST + 1] = {false};
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * SIDE + x) * 3 + c] = (uint8_t)(c == 0 ? 16 * y : c == 1 ? 16 * x : 77);
    for (uint64_t image = 0; image < 300; image++) {
        of_augment(&wild, 0, image, pixels, moved);
        /* The centre tells the movement. */
        int y0 = byte_of(moved[(8 * SIDE + 8) * 3]) / 16 - 8;
        int left = byte_of(moved[(8 * SIDE + 7) * 3 + 1]) / 16;
        int right = byte_of(moved[(8 * SIDE + 8) * 3 + 1]) / 16;
        bool flipped = right < left;
        int x0 = flipped ? right - 7 : right - 8;
        assert_in_range(y0 + MOST, 0, 2 * MOST);
        assert_in_range(x0 + MOST, 0, 2 * MOST);
        mirrored = mirrored || flipped;
        plain = plain || !flipped;
        shifted[y0 + MOST] = true;
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                int sy = y + y0, sx = (flipped ? SIDE - 1 - x : x) + x0, last = SIDE - 1;
                sy = sy < 0 ? -sy : sy > last ? 2 * last - sy : sy;
                sx = sx < 0 ? -sx : sx > last ? 2 * last - sx : sx;
                const float *at = moved + (y * SIDE + x) * 3;
                assert_noise_of(16 * sy, at[0]);
                assert_noise_of(16 * sx, at[1]);
                assert_noise_of(77, at[2]);
            }
    }
    assert_true(mirrored && plain);
    for (int i = 0; i <= 2 * MOST; i++)
        assert_true(shifted[i]);
}

/* ---- Batches ------------------------------------------------------------------------------ */

static void batches_go_on_from_any_place(void **state) {
    (void)state;
    enum { BATCH = 7, BATCHES = 9 };
    of_dataset dataset = load("synthetic:shapes:20", 0);
    of_feeder_options options = {.dataset = &dataset,
                                 .augmentation = augmentation(0.1, true),
                                 .augment = true,
                                 .order_key = 8,
                                 .batch = BATCH};
    float *all = malloc(sizeof *all * BATCHES * BATCH * VALUES);
    of_feeder *feeder;
    assert_non_null(all);
    assert_int_equal(of_feeder_open(&options, &feeder, NULL), OF_OK);
    for (size_t i = 0; i < BATCHES; i++) {
        const of_feed *feed = of_feeder_next(feeder);
        assert_int_equal(feed->count, BATCH);
        for (size_t j = 0; j < BATCH; j++)
            assert_int_equal(feed->classes[j], dataset.classes[feed->images[j]]);
        memcpy(all + i * BATCH * VALUES, feed->pixels, sizeof *all * BATCH * VALUES);
    }
    of_feeder_close(feeder);
    options.first = (uint64_t)4 * BATCH; /* in the second epoch */
    assert_int_equal(of_feeder_open(&options, &feeder, NULL), OF_OK);
    for (size_t i = 4; i < BATCHES; i++)
        assert_memory_equal(of_feeder_next(feeder)->pixels, all + i * BATCH * VALUES,
                            sizeof *all * BATCH * VALUES);
    of_feeder_close(feeder);
    free(all);
    of_dataset_free(&dataset);
}

static void keys_differ_by_purpose(void **state) {
    (void)state;
    for (int a = OF_KEY_ORDER; a <= OF_KEY_INITIALISE; a++)
        for (int b = OF_KEY_ORDER; b < a; b++)
            assert_true(of_key_for(1, (of_key_purpose)a) != of_key_for(1, (of_key_purpose)b));
    assert_true(of_key_for(1, OF_KEY_ORDER) != of_key_for(2, OF_KEY_ORDER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_is_the_same_in_memory_and_in_a_file),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(probe_tells_the_shape),
        cmocka_unit_test(epochs_are_permutations),
        cmocka_unit_test(noise_stays_inside_its_byte),
        cmocka_unit_test(movements_mirror_the_edge),
        cmocka_unit_test(batches_go_on_from_any_place),
        cmocka_unit_test(keys_differ_by_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
