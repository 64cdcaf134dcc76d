/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the library as options of the program. */
#include "cli/terminal/hint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void setting_is_an_option_of_the_verb(void **state) {
    (void)state;
    const of_console console = {.options = {"model", "general-model", "cache", "lr", "init"},
                                .option_count = 5};
    const of_console other = {.options = {"model", "cache"}, .option_count = 1};
    assert_string_equal(of_hint_option(&console, "model"), "model");
    assert_string_equal(of_hint_option(&console, "general_model"), "general-model");
    assert_string_equal(of_hint_option(&console, "cache_bytes"), "cache");
    assert_string_equal(of_hint_option(&console, "rate"), "lr");
    assert_string_equal(of_hint_option(&console, "init_file"), "init");
    assert_null(of_hint_option(&console, "memory_bytes"));
    assert_null(of_hint_option(&console, ""));
    assert_null(of_hint_option(&other, "cache_bytes"));
    assert_null(of_hint_option(&other, "general_model"));
}

static void hint_follows_the_message(void **state) {
    (void)state;
    char text[2048];
    const of_console console = {.options = {"general-model"}, .option_count = 1};
    of_error error;
    (void)of_fail_setting(&error, OF_ERROR_ARGUMENT, "general_model", "there is no other model");
    assert_string_equal(of_hint_text(&console, &error, text, sizeof text),
                        "there is no other model; see --general-model");
    (void)of_fail_setting(&error, OF_ERROR_ARGUMENT, "max_pixels", "too large");
    assert_string_equal(of_hint_text(&console, &error, text, sizeof text), "too large");
    (void)of_fail(&error, OF_ERROR_ARGUMENT, "wrong");
    assert_string_equal(of_hint_text(&console, &error, text, sizeof text), "wrong");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_is_an_option_of_the_verb),
        cmocka_unit_test(hint_follows_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
