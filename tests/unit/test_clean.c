/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning: the procedure of Benjamini and Hochberg, and a set with mistakes that are known. */
#define _XOPEN_SOURCE 700
#include "clean/cleaning.h"
#include "core/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 32, IMAGE = SIDE * SIDE, COUNT = 300, CLASSES = 3, PER_CLASS = COUNT / CLASSES };

static char folder[] = "/tmp/clean-XXXXXX";

/* Stripes along one of three directions, with noise: classes that gradients tell apart. */
static void paint(uint8_t *pixels, unsigned class, uint64_t number) {
    of_random random = of_random_stream(11, number);
    unsigned shift = of_random_below(&random, 8);
    for (unsigned y = 0; y < SIDE; y++)
        for (unsigned x = 0; x < SIDE; x++) {
            unsigned place = class == 0 ? x : class == 1 ? y : x + y;
            unsigned value = (place + shift) % 8 < 4 ? 60 : 180;
            pixels[y * SIDE + x] = (uint8_t)(value + of_random_below(&random, 50));
        }
}

static void write_image(const char *path, const uint8_t *pixels) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fprintf(file, "P5\n%d %d\n255\n", SIDE, SIDE) > 0);
    assert_int_equal(fwrite(pixels, 1, IMAGE, file), IMAGE);
    assert_int_equal(fclose(file), 0);
}

static void write_painted(const char *path, unsigned class, uint64_t number) {
    uint8_t pixels[IMAGE];
    paint(pixels, class, number);
    write_image(path, pixels);
}

static int make_set(void **state) {
    char path[64];
    (void)state;
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    (void)mkdir("set", 0777);
    for (unsigned class = 0; class < CLASSES; class ++) {
        (void)snprintf(path, sizeof path, "set/c%u", class);
        (void)mkdir(path, 0777);
        for (unsigned i = 0; i < PER_CLASS; i++) {
            (void)snprintf(path, sizeof path, "set/c%u/%03u.pgm", class, i);
            write_painted(path, class, (uint64_t) class * PER_CLASS + i);
        }
    }
    return 0;
}

static int remove_set(void **state) {
    char path[64];
    (void)state;
    for (unsigned class = 0; class < CLASSES; class ++) {
        for (unsigned i = 0; i < PER_CLASS; i++) {
            (void)snprintf(path, sizeof path, "set/c%u/%03u.pgm", class, i);
            (void)unlink(path);
        }
        (void)snprintf(path, sizeof path, "set/c%u", class);
        (void)rmdir(path);
    }
    (void)rmdir("set");
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static of_cleaning *clean(const char *source, const char *other, const char *model) {
    of_clean_options options = of_clean_options_default();
    of_cleaning *cleaning = NULL;
    of_error error;
    options.source = source;
    options.other = other;
    options.model = model;
    options.threads = 1;
    if (of_clean(&options, NULL, &cleaning, &error) != OF_OK)
        fail_msg("%s", error.message);
    return cleaning;
}

/* The only finding of an issue; others may be there. */
static of_clean_finding only(const of_cleaning *cleaning, of_clean_issue issue) {
    of_clean_finding found = {0};
    assert_int_equal(of_cleaning_describe(cleaning).found[issue], 1);
    for (size_t i = 0; i < of_cleaning_count(cleaning); i++)
        if (of_cleaning_finding(cleaning, i).issue == issue)
            found = of_cleaning_finding(cleaning, i);
    return found;
}

static void test_a_clean_set_is_not_accused(void **state) {
    (void)state;
    of_cleaning *cleaning = clean("set", NULL, NULL);
    of_clean_summary summary = of_cleaning_describe(cleaning);
    assert_int_equal(summary.images, COUNT);
    assert_int_equal(summary.judged, COUNT);
    assert_int_equal(summary.classes, CLASSES);
    assert_int_equal(summary.found[OF_CLEAN_MISFILED], 0);
    assert_int_equal(summary.found[OF_CLEAN_CONFLICT], 0);
    assert_int_equal(summary.found[OF_CLEAN_COPY], 0);
    of_cleaning_free(cleaning);
}

static void test_mistakes_are_found(void **state) {
    (void)state;
    uint8_t pixels[IMAGE];
    write_painted("set/c0/wrong.pgm", 1, 5000);
    write_painted("set/c1/conflict.pgm", 0, 7); /* what set/c0/007.pgm is */
    write_painted("set/c2/twice.pgm", 2, 2 * PER_CLASS + 9);
    memset(pixels, 200, sizeof pixels);
    write_image("set/c2/blank.pgm", pixels);
    FILE *file = fopen("set/c2/broken.png", "wb");
    assert_non_null(file);
    (void)fputs("\x89PNG\r\n\x1a\n, cut short", file);
    assert_int_equal(fclose(file), 0);

    of_cleaning *cleaning = clean("set", NULL, NULL);
    of_clean_finding found = only(cleaning, OF_CLEAN_CONFLICT);
    assert_string_equal(found.path, "c1/conflict.pgm");
    assert_string_equal(found.duplicate_of, "c0/007.pgm");
    assert_string_equal(found.duplicate_label, "c0");
    found = only(cleaning, OF_CLEAN_COPY);
    assert_string_equal(found.path, "c2/twice.pgm");
    assert_string_equal(found.duplicate_of, "c2/009.pgm");
    assert_string_equal(only(cleaning, OF_CLEAN_BLANK).path, "c2/blank.pgm");
    assert_string_equal(only(cleaning, OF_CLEAN_UNREADABLE).path, "c2/broken.png");

    bool wrong = false;
    for (size_t i = 0; i < of_cleaning_count(cleaning); i++) {
        found = of_cleaning_finding(cleaning, i);
        if (found.issue != OF_CLEAN_MISFILED)
            continue;
        if (strcmp(found.path, "c0/wrong.pgm") == 0) {
            wrong = true;
            assert_string_equal(found.suggested, "c1");
            assert_true(found.p_value < 0.001);
        } else {
            assert_string_equal(found.path, "c1/conflict.pgm");
        }
    }
    assert_true(wrong);
    of_cleaning_free(cleaning);
    (void)unlink("set/c0/wrong.pgm");
    (void)unlink("set/c1/conflict.pgm");
    (void)unlink("set/c2/twice.pgm");
    (void)unlink("set/c2/blank.pgm");
    (void)unlink("set/c2/broken.png");
}

static void test_copies_across_sets_are_leaks(void **state) {
    (void)state;
    (void)mkdir("test", 0777);
    (void)mkdir("test/c1", 0777);
    write_painted("test/c1/seen.pgm", 1, PER_CLASS + 3);
    write_painted("test/c1/new.pgm", 1, 9000);
    of_cleaning *cleaning = clean("set", "test", NULL);
    of_clean_finding found = only(cleaning, OF_CLEAN_LEAK);
    assert_string_equal(found.path, "c1/seen.pgm");
    assert_string_equal(found.source, "test");
    assert_string_equal(found.duplicate_of, "c1/003.pgm");
    assert_string_equal(found.duplicate_source, "set");
    of_cleaning_free(cleaning);
    (void)unlink("test/c1/seen.pgm");
    (void)unlink("test/c1/new.pgm");
    (void)rmdir("test/c1");
    (void)rmdir("test");
}

static void test_benjamini_and_hochberg(void **state) {
    (void)state;
    /* of ten, the second is beyond 0.05 x 2/10 and the third within 0.05 x 3/10 */
    double p[] = {0.9, 0.014, 0.8, 0.004, 0.7, 0.012, 0.6, 0.5, 0.4, 0.3};
    assert_true(of_clean_threshold(p, 10, 0.05) == 0.014);
    double none[] = {0.2, 0.04, 0.9};
    assert_true(of_clean_threshold(none, 3, 0.05) < 0);
    assert_true(of_clean_threshold(none, 0, 0.05) < 0);
}

static void test_bad_options(void **state) {
    (void)state;
    of_cleaning *cleaning = NULL;
    of_clean_options options = of_clean_options_default();
    of_error error;
    assert_int_equal(of_clean(&options, NULL, &cleaning, &error), OF_ERROR_ARGUMENT);
    assert_null(cleaning);
    options.source = "set";
    options.rate = 1;
    assert_int_equal(of_clean(&options, NULL, &cleaning, &error), OF_ERROR_ARGUMENT);
    options.rate = (double)NAN;
    assert_int_equal(of_clean(&options, NULL, &cleaning, &error), OF_ERROR_ARGUMENT);
    options.rate = 0.05;
    options.source = "not-there";
    assert_int_not_equal(of_clean(&options, NULL, &cleaning, &error), OF_OK);
    assert_null(cleaning);
    assert_string_equal(of_clean_issue_name(OF_CLEAN_LEAK), "leak");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clean_set_is_not_accused),
        cmocka_unit_test(test_mistakes_are_found),
        cmocka_unit_test(test_copies_across_sets_are_leaks),
        cmocka_unit_test(test_benjamini_and_hochberg),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, make_set, remove_set);
}
