/* SPDX-License-Identifier: Apache-2.0 */
/* Training data: sets in memory and in files, the order of images, augmentation, batches. */
#include "data/formats/reader.h"
#include "data/probe.h"
#include "data/sets/augment.h"
#include "data/sets/dataset.h"
#include "train/feeder.h"
#include "train/order.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
    assert_int_equal(of_dataset_load(&spec, 1, &options, &dataset, NULL), OF_OK);
    return dataset;
}

static of_status refused(const char *spec, const of_dataset_options *options, of_error *error) {
    of_dataset dataset;
    return of_dataset_load(&spec, 1, options, &dataset, error);
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
    of_dataset_options options = wish();
    of_error error;
    options.with_classes = true;
    assert_int_equal(refused("synthetic:noise:5", &options, &error), OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "no label"));
    assert_int_equal(refused("synthetic:shapes:1", &options, &error), OF_ERROR_FORMAT);
    assert_int_equal(refused("/nowhere/at/all", &options, &error), OF_ERROR_IO);
    assert_int_equal(refused("part:0.3-0.2:synthetic:shapes", &options, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_dataset_load(NULL, 0, &options, &(of_dataset){0}, &error),
                     OF_ERROR_ARGUMENT);
}

static void several_sources_form_one_set(void **state) {
    (void)state;
    const char *const specs[] = {"synthetic:shapes:300", "synthetic:digits:40",
                                 "synthetic:shapes:70"};
    of_dataset_options options = wish();
    of_dataset all, parts[3], other;
    assert_int_equal(of_dataset_load(specs, 3, &options, &all, NULL), OF_OK);
    for (int i = 0; i < 3; i++)
        parts[i] = load(specs[i], 0);
    assert_int_equal(all.count, 410);
    assert_int_equal(all.source_count, 3);
    assert_int_equal(all.source_ends[0], 300);
    assert_int_equal(all.source_ends[1], 340);
    assert_int_equal(all.source_ends[2], 410);
    assert_memory_equal(all.pixels, parts[0].pixels, (size_t)300 * VALUES);
    assert_memory_equal(of_dataset_image(&all, 300), parts[1].pixels, (size_t)40 * VALUES);
    assert_memory_equal(of_dataset_image(&all, 340), parts[2].pixels, (size_t)70 * VALUES);
    /* The same name is the same class, and no two names share one. */
    assert_int_equal(all.class_count, parts[0].class_count + parts[1].class_count);
    for (size_t i = 0; i < all.count; i++) {
        const of_dataset *part = &parts[i < 300 ? 0 : i < 340 ? 1 : 2];
        size_t place = i < 300 ? i : i < 340 ? i - 300 : i - 340;
        assert_string_equal(all.class_names[all.classes[i]],
                            part->class_names[part->classes[place]]);
    }
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(all.classes[i], parts[0].classes[i]);
    /* The order of sources is part of what the set is. */
    const char *const turned[] = {specs[1], specs[0], specs[2]};
    assert_int_equal(of_dataset_load(turned, 3, &options, &other, NULL), OF_OK);
    assert_true(other.fingerprint != all.fingerprint);
    for (int i = 0; i < 3; i++)
        of_dataset_free(&parts[i]);
    of_dataset_free(&all);
    of_dataset_free(&other);
}

/* A name that is new gets the next number, or its own where that is free among those there are:
 * never one beyond the next, which would leave classes without images. */
static void new_classes_leave_no_gaps(void **state) {
    (void)state;
    const char *const specs[] = {"synthetic:shapes:1", "synthetic:digits:60"};
    of_dataset_options options = wish();
    options.source.limit = 1;
    of_dataset first = load(specs[0], 0), second, both;
    assert_int_equal(first.class_count, (size_t)first.classes[0] + 1);
    for (uint64_t seed = 0; seed < 20; seed++) {
        options.source.seed = seed;
        assert_int_equal(of_dataset_load(&specs[1], 1, &options, &second, NULL), OF_OK);
        assert_int_equal(of_dataset_load(specs, 2, &options, &both, NULL), OF_OK);
        size_t begin = (size_t)both.classes[0] + 1;
        int32_t own = second.classes[0];
        assert_int_equal(both.classes[1], own < both.classes[0] ? own : (int32_t)begin);
        assert_int_equal(both.class_count, begin + (own >= both.classes[0]));
        of_dataset_free(&second);
        of_dataset_free(&both);
    }
    of_dataset_free(&first);
}

static void parts_divide_a_set(void **state) {
    (void)state;
    of_dataset whole = load("synthetic:shapes:1000", 0);
    of_dataset kept = load("part:0.2-1:synthetic:shapes:1000", 0);
    of_dataset held = load("part:0-0.2:synthetic:shapes:1000", 0);
    of_dataset again = load("part:0-.2:synthetic:shapes:1000", 0);
    of_dataset shorter = load("part:0-0.2:synthetic:shapes:500", 0);
    assert_in_range(held.count, 160, 240);
    assert_int_equal(held.count + kept.count, 1000);
    assert_true(held.fingerprint == again.fingerprint);
    /* Each image of the whole is in one part, in the same order. */
    size_t in_kept = 0, in_held = 0;
    for (size_t i = 0; i < whole.count; i++) {
        char path[24];
        (void)snprintf(path, sizeof path, "%zu", i);
        const of_dataset *part = of_part_number(path) < 0.2 ? &held : &kept;
        size_t place = part == &held ? in_held++ : in_kept++;
        assert_memory_equal(of_dataset_image(&whole, i), of_dataset_image(part, place), VALUES);
    }
    /* What else is in the set changes no image's part. */
    assert_memory_equal(shorter.pixels, held.pixels, shorter.count * VALUES);
    of_dataset_free(&whole);
    of_dataset_free(&kept);
    of_dataset_free(&held);
    of_dataset_free(&again);
    of_dataset_free(&shorter);
}

static void parts_are_spelt_strictly(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "0-0.1",   "0-0.1:",  "0.1:x",  "-0.1-0.5:x", "0-1.5:x",        "0.5-0.5:x", "a-b:x",
        "nan-1:x", "0-nan:x", "0 -1:x", "0-1:-",      "0-1:part:0-1:x", ""};
    of_dataset_options options = wish();
    of_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char spec[64];
        (void)snprintf(spec, sizeof spec, "part:%s", wrong[i]);
        assert_int_equal(refused(spec, &options, &error), OF_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, spec));
    }
    assert_int_equal(refused("part:0-0.000001:synthetic:shapes:3", &options, &error),
                     OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "there is no image in it"));
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

/* 1/4, 1/2 and 1/4 of an epoch of 100 out of parts of 60, 10 and 30 images. */
static void shares_decide_what_an_epoch_has(void **state) {
    (void)state;
    enum { COUNT = 100, EPOCHS = 12 };
    const size_t ends[] = {60, 70, 100};
    const double shares[] = {1, 2, 1};
    const unsigned quotas[] = {25, 50, 25};
    of_order order, again;
    static uint32_t shown[EPOCHS * COUNT];
    static uint64_t passes[EPOCHS * COUNT];
    unsigned seen[COUNT] = {0};
    assert_int_equal(of_order_open_shares(5, ends, shares, 3, &order, NULL), OF_OK);
    for (uint64_t place = 0; place < (uint64_t)EPOCHS * COUNT; place++) {
        shown[place] = of_order_image(&order, place, &passes[place]);
        assert_in_range(shown[place], 0, COUNT - 1);
        seen[shown[place]]++;
    }
    for (size_t e = 0; e < EPOCHS; e++) {
        unsigned of_part[3] = {0}, first_half = 0;
        for (size_t i = 0; i < COUNT; i++) {
            size_t image = shown[e * COUNT + i], part = image < 60 ? 0 : image < 70 ? 1 : 2;
            of_part[part]++;
            first_half += i < COUNT / 2 && part == 1;
        }
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(of_part[i], quotas[i]);
        assert_in_range(first_half, 10, 40); /* mixed with the others */
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t part = i < 60 ? 0 : i < 70 ? 1 : 2, size = part == 0 ? 60 : part == 1 ? 10 : 30;
        unsigned expected = (unsigned)(EPOCHS * quotas[part] / size);
        assert_in_range(seen[i], expected, expected + 1);
        for (uint64_t pass = 0; pass < seen[i]; pass++) { /* no pass shows an image twice */
            unsigned times = 0;
            for (size_t j = 0; j < (size_t)EPOCHS * COUNT; j++)
                times += shown[j] == i && passes[j] == pass;
            assert_int_equal(times, 1);
        }
    }
    assert_int_equal(of_order_open_shares(5, ends, shares, 3, &again, NULL), OF_OK);
    for (uint64_t place = (uint64_t)EPOCHS * COUNT; place-- > 0;) {
        uint64_t pass;
        assert_int_equal(of_order_image(&again, place, &pass), shown[place]);
        assert_true(pass == passes[place]);
    }
    of_order_close(&again);
    of_error error;
    const double tiny[] = {1, 1e-5, 1};
    assert_int_equal(of_order_open_shares(5, ends, tiny, 3, &again, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "source 2 has a share of 1e-05"));
    of_order_close(&order);
}

/* ---- Augmentation ------------------------------------------------------------------------- */

static of_augmentation augmentation(double shift, bool flip) {
    return (of_augmentation){.key = 3,
                             .channels = 3,
                             .height = SIDE,
                             .width = SIDE,
                             .shift = shift,
                             .flip = flip,
                             .noise = 1};
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

/* What a plan makes of a float p: x = scale (255 p)/2^(8 - bits) + shift. */
static void fewer_bits_have_wider_bins(void **state) {
    (void)state;
    uint8_t pixels[VALUES];
    float eight[VALUES], five[VALUES];
    of_augmentation plain = augmentation(0, false);
    for (size_t i = 0; i < VALUES; i++)
        pixels[i] = (uint8_t)(i * 7);
    of_dequantise(&plain, 2, 11, pixels, eight);
    plain.dropped_bits = 3;
    plain.noise = 0.5; /* bin is scale/2 */
    of_dequantise(&plain, 2, 11, pixels, five);
    for (size_t i = 0; i < VALUES; i++) {
        double u = (double)eight[i] * 255 + 0.5 - pixels[i];
        double levels = (double)five[i] * 255 / 8;
        assert_true(fabs(levels - (pixels[i] / 8 + 0.5 * (u - 0.5))) < 1e-4);
    }
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

/* What a magnified ramp shows where no edge is near: the same ramp, steeper or flatter about the
 * centre, in whole bytes. */
static void zoom_magnifies_about_the_centre(void **state) {
    (void)state;
    uint8_t pixels[VALUES];
    float zoomed[VALUES], again[VALUES];
    of_augmentation wild = augmentation(0, false);
    wild.zoom = 0.3;
    int plain = 0;
    double least = 2, most = 0;
    for (int i = 0; i < VALUES; i++)
        pixels[i] = (uint8_t)(16 * (i / 3 / SIDE));
    for (uint64_t image = 0; image < 300; image++) {
        of_augment(&wild, 1, image, pixels, zoomed);
        of_augment(&wild, 1, image, pixels, again);
        assert_memory_equal(zoomed, again, sizeof zoomed);
        int rise = byte_of(zoomed[10 * SIDE * 3]) - byte_of(zoomed[5 * SIDE * 3]);
        double slope = rise / 80.0; /* 1/zoom */
        plain += rise == 80;
        least = fmin(least, slope);
        most = fmax(most, slope);
        for (int y = 3; y < SIDE - 3; y++)
            for (int x = 0; x < SIDE * 3; x++) {
                int byte = byte_of(zoomed[y * SIDE * 3]);
                assert_noise_of(byte, zoomed[y * SIDE * 3 + x]);
                assert_true(fabs(byte - (120 + 16 * slope * (y - 7.5))) < 2);
            }
    }
    assert_in_range(plain, 120, 190);
    assert_true(least > 0.75 && least < 0.82);
    assert_true(most > 1.3 && most < 1.45);
}

/* Beyond its edge a shrunk image is its mirror image. */
static void zoom_mirrors_the_edge(void **state) {
    (void)state;
    uint8_t pixels[VALUES] = {0};
    float zoomed[VALUES];
    of_augmentation wild = augmentation(0.5, true);
    wild.zoom = 0.5;
    for (int i = 0; i < SIDE * 3; i++)
        pixels[i] = pixels[VALUES - 1 - i] = 200; /* the first and last row */
    int marked = 0;
    for (uint64_t image = 0; image < 200; image++) {
        of_augment(&wild, 1, image, pixels, zoomed);
        for (int y = 0; y < SIDE; y++)
            marked += byte_of(zoomed[y * SIDE * 3]) >= 100;
        for (int i = 0; i < VALUES; i++)
            assert_in_range(byte_of(zoomed[i]), 0, 200);
    }
    assert_in_range(marked, 200, 600);
}

static void colors_vary_within_their_share(void **state) {
    (void)state;
    uint8_t pixels[VALUES];
    float colored[VALUES];
    of_augmentation wild = augmentation(0, false);
    wild.color = 0.2;
    int plain = 0, bright = 0, steep = 0, vivid = 0, changed = 0;
    /* Red left, grey right. */
    for (int i = 0; i < VALUES; i++)
        pixels[i] = i / 3 % SIDE < SIDE / 2 && i % 3 == 0 ? 180 : 90;
    double middle = 0;
    for (int i = 0; i < VALUES; i++)
        middle += pixels[i] / (double)VALUES;
    for (uint64_t image = 0; image < 300; image++) {
        of_augment(&wild, 1, image, pixels, colored);
        int red = byte_of(colored[0]), green = byte_of(colored[1]);
        int grey = byte_of(colored[SIDE * 3 - 3]);
        assert_int_equal(grey, byte_of(colored[SIDE * 3 - 1]));
        if (red == 180 && green == 90 && grey == 90) {
            plain++;
            continue;
        }
        changed++;
        /* The mean tells brightness, grey against red's mean contrast, red's spread saturation. */
        double red_mean = (red + 2.0 * green) / 3, brightness = (red_mean + grey) / 2 / middle;
        double contrast = (red_mean - grey) / 30 / brightness;
        double saturation = (red - green) / 90.0 / brightness / contrast;
        assert_true(brightness > 0.79 && brightness < 1.21);
        assert_true(contrast > 0.75 && contrast < 1.25);
        assert_true(saturation > 0.75 && saturation < 1.25);
        bright += brightness > 1;
        steep += contrast > 1;
        vivid += saturation > 1;
    }
    assert_in_range(plain, 120, 180);
    assert_in_range(bright, changed / 3, 2 * changed / 3);
    assert_in_range(steep, changed / 3, 2 * changed / 3);
    assert_in_range(vivid, changed / 3, 2 * changed / 3);
    /* At the most, nothing leaves the bytes. */
    wild.color = 1;
    memset(pixels, 250, sizeof pixels);
    int full = 0;
    for (uint64_t image = 0; image < 50; image++) {
        of_augment(&wild, 1, image, pixels, colored);
        assert_in_range(byte_of(colored[0]), 0, 255);
        full += byte_of(colored[0]) == 255;
    }
    assert_true(full > 5);
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
        cmocka_unit_test(several_sources_form_one_set),
        cmocka_unit_test(new_classes_leave_no_gaps),
        cmocka_unit_test(parts_divide_a_set),
        cmocka_unit_test(parts_are_spelt_strictly),
        cmocka_unit_test(epochs_are_permutations),
        cmocka_unit_test(shares_decide_what_an_epoch_has),
        cmocka_unit_test(noise_stays_inside_its_byte),
        cmocka_unit_test(fewer_bits_have_wider_bins),
        cmocka_unit_test(movements_mirror_the_edge),
        cmocka_unit_test(zoom_magnifies_about_the_centre),
        cmocka_unit_test(zoom_mirrors_the_edge),
        cmocka_unit_test(colors_vary_within_their_share),
        cmocka_unit_test(batches_go_on_from_any_place),
        cmocka_unit_test(keys_differ_by_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
