/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, and structs that callers of another version of the library fill. */
#include "core/error.h"

#include "core/options_read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void failure_is_one_plain_line(void **state) {
    (void)state;
    of_error error;
    assert_int_equal(of_fail(&error, OF_ERROR_IO, "%s: gone", "a\nb\x1b[1m\xff"), OF_ERROR_IO);
    assert_int_equal(error.status, OF_ERROR_IO);
    assert_string_equal(error.message, "a?b?[1m?: gone");
    assert_string_equal(error.setting, "");
    assert_int_equal(of_fail(NULL, OF_ERROR_NUMERIC, "%d", 1), OF_ERROR_NUMERIC);
}

static void failure_names_the_setting_that_helps(void **state) {
    (void)state;
    of_error error, copy;
    assert_int_equal(
        of_fail_setting(&error, OF_ERROR_ARGUMENT, "general_model", "needs %d model", 1),
        OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "needs 1 model");
    assert_string_equal(error.setting, "general_model");
    assert_int_equal(of_error_copy(&copy, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(copy.setting, "general_model");
    assert_int_equal(of_fail_setting(NULL, OF_ERROR_IO, "x", "y"), OF_ERROR_IO);

    assert_int_equal(of_fail_memory(&error, "a test"), OF_ERROR_MEMORY);
    assert_string_equal(error.message, "out of memory while allocating a test");
    assert_string_equal(error.setting, "");
}

static void setting_is_cut_and_plain(void **state) {
    (void)state;
    of_error error;
    (void)of_fail_setting(&error, OF_ERROR_IO, "abcdefghijklmnopqrstuvwxyz_0123456789", "x");
    assert_string_equal(error.setting, "abcdefghijklmnopqrstuvwxyz_0123");
    (void)of_fail_setting(&error, OF_ERROR_IO, "a\tb", "x");
    assert_string_equal(error.setting, "a?b");
}

static void copy_of_nothing_is_fine(void **state) {
    (void)state;
    of_error error = {.status = OF_ERROR_IO, .message = "kept"};
    assert_int_equal(of_error_copy(&error, NULL), OF_OK);
    assert_string_equal(error.message, "kept");
    assert_int_equal(of_error_copy(NULL, &error), OF_ERROR_IO);
    assert_int_equal(of_error_copy(&error, &error), OF_ERROR_IO);
}

static void failure_of_the_system_keeps_its_number(void **state) {
    (void)state;
    of_error error, outer;
    assert_int_equal(of_fail_io(&error, ENOENT, "%s: gone", "file"), OF_ERROR_IO);
    assert_int_equal(error.os_error, ENOENT);
    assert_string_equal(error.message, "file: gone");
    (void)snprintf(error.setting, sizeof error.setting, "%s", "data");
    assert_int_equal(of_fail_from(&outer, &error, "set 1: %s", error.message), OF_ERROR_IO);
    assert_int_equal(outer.os_error, ENOENT);
    assert_string_equal(outer.message, "set 1: file: gone");
    assert_string_equal(outer.setting, "data");
    (void)of_fail(&error, OF_ERROR_IO, "interrupted");
    assert_int_equal(error.os_error, 0);
    assert_int_equal(of_fail_io(NULL, EIO, "x"), OF_ERROR_IO);
    assert_int_equal(of_fail_from(NULL, &outer, "x"), OF_ERROR_IO);
}

/* Three versions of one struct. */
typedef struct first_options {
    size_t size;
    unsigned threads;
    unsigned rounds;
} first_options;

typedef struct own_options {
    size_t size;
    unsigned threads;
    unsigned rounds;
    double rate;
} own_options;

typedef struct newer_options {
    own_options own;
    uint64_t colour;
} newer_options;

static const own_options defaults = {sizeof defaults, 4, 7, 0.5};

static of_status read_options(own_options *own, const void *given, of_error *error) {
    *own = defaults;
    own->size = 0;
    return of_options_read(own, sizeof *own, sizeof(first_options), given, "test options", error);
}

static void no_options_are_the_defaults(void **state) {
    (void)state;
    own_options own;
    assert_int_equal(read_options(&own, NULL, NULL), OF_OK);
    assert_memory_equal(&own, &defaults, sizeof own);
}

static void options_of_this_version_are_taken(void **state) {
    (void)state;
    own_options own, given = {sizeof given, 1, 2, 3};
    assert_int_equal(read_options(&own, &given, NULL), OF_OK);
    assert_memory_equal(&own, &given, sizeof own);
}

static void options_of_an_older_version_leave_defaults(void **state) {
    (void)state;
    own_options own;
    const first_options given = {sizeof given, 1, 2};
    assert_int_equal(read_options(&own, &given, NULL), OF_OK);
    assert_int_equal(own.size, sizeof own);
    assert_int_equal(own.threads, 1);
    assert_int_equal(own.rounds, 2);
    assert_true(own.rate == 0.5);
}

static void options_of_a_newer_version_are_fine_unless_used(void **state) {
    (void)state;
    own_options own;
    of_error error;
    newer_options given = {{sizeof given, 1, 2, 3}, 0};
    assert_int_equal(read_options(&own, &given, NULL), OF_OK);
    assert_int_equal(own.size, sizeof own);
    assert_true(own.rate == 3);

    given.colour = UINT64_C(1) << 63; /* the last byte of a little-endian one */
    assert_int_equal(read_options(&own, &given, &error), OF_ERROR_UNSUPPORTED);
    assert_string_equal(error.message, "test options: made for a newer version of the library");
    assert_memory_not_equal(&own, &given, sizeof own);
}

static void size_that_was_not_set_is_refused(void **state) {
    (void)state;
    own_options own, given = {0, 1, 2, 3};
    of_error error;
    assert_int_equal(read_options(&own, &given, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "test options: size is not set; start from its default");
    given.size = sizeof(first_options) - 1;
    assert_int_equal(read_options(&own, &given, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(own.threads, 4);
}

/* What lies on the stack looks like an address: the bytes behind the struct are nobody's. */
static void size_that_no_version_has_is_refused(void **state) {
    (void)state;
    own_options own, given = {(size_t)0x7ffc12345678, 1, 2, 3};
    of_error error;
    assert_int_equal(read_options(&own, &given, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "test options: size is not set; start from its default");
    given.size = SIZE_MAX;
    assert_int_equal(read_options(&own, &given, NULL), OF_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_is_one_plain_line),
        cmocka_unit_test(failure_names_the_setting_that_helps),
        cmocka_unit_test(failure_of_the_system_keeps_its_number),
        cmocka_unit_test(setting_is_cut_and_plain),
        cmocka_unit_test(copy_of_nothing_is_fine),
        cmocka_unit_test(no_options_are_the_defaults),
        cmocka_unit_test(options_of_this_version_are_taken),
        cmocka_unit_test(options_of_an_older_version_leave_defaults),
        cmocka_unit_test(options_of_a_newer_version_are_fine_unless_used),
        cmocka_unit_test(size_that_was_not_set_is_refused),
        cmocka_unit_test(size_that_no_version_has_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
