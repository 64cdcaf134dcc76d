/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, CSV fields, JSON text, commands and "did you mean" of the command line. */
#define _POSIX_C_SOURCE 200809L
#include "cli/rows.h"
#include "cli/terminal/command_line.h"
#include "cli/terminal/words.h"
#include "core/random.h"
#include "core/utf8.h"
#include <outflow/output.h>

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/detector_fixture.h"

static void test_numbers_read_back(void **state) {
    (void)state;
    of_random random = of_random_stream(1, 0);
    char text[OF_NUMBER_SIZE];
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)of_random_u32(&random) << 32 | of_random_u32(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            assert_true(strtod(of_number_text(value, text), NULL) == value);
    }
    static const double edges[] = {0, 1, -1, 0.1, DBL_MAX, DBL_MIN, 4.9e-324, 1.0 / 3, 1e22};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_true(strtod(of_number_text(edges[i], text), NULL) == edges[i]);
    assert_string_equal(of_number_text(0.1, text), "0.1");
    assert_string_equal(of_number_text(-2, text), "-2");
    assert_string_equal(of_number_text(-(double)NAN, text), "nan");
    assert_string_equal(of_number_text((double)INFINITY, text), "inf");
    assert_string_equal(of_number_text(-(double)INFINITY, text), "-inf");
}

static void expect_shared(const char *a, const char *b, size_t expected) {
    const char *const paths[] = {a, b};
    assert_int_equal(of_shared_folder(paths, b != NULL ? 2 : 1), expected);
}

static void test_shared_folder(void **state) {
    (void)state;
    expect_shared("/x/line/front", "/x/line/rear", 8);
    expect_shared("/x/line/front", "/x/line-2/front", 3);
    expect_shared("x/front/", "x/front-2/", 2);
    expect_shared("x/a", "x/a/b", 2);
    expect_shared("x/a/b", "x/a", 2);
    expect_shared("x/a", "x/a", 2);
    expect_shared("a", "b", 0);
    expect_shared("/a", "b", 0);
    expect_shared("/", "/a", 0);
    expect_shared("", "/a", 0);
    expect_shared("part:0-0.1:x/a.tar", "part:0.1-1:x/a.tar", 0);
    expect_shared("x//y/z//", NULL, 5);
    expect_shared("synthetic:noise", NULL, 0);
    assert_int_equal(of_shared_folder(NULL, 0), 0);
}

static void test_utf8(void **state) {
    (void)state;
    static const char *const valid[] = {"a",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "\xed\x9f\xbf",
                                        "\xf4\x8f\xbf\xbf",
                                        "\xe0\xa0\x80"};
    static const char *const invalid[] = {"",
                                          "\x80",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xc3",
                                          "\xc3(",
                                          "\xe2\x82",
                                          "\xe0\x80\x80",
                                          "\xed\xa0\x80",
                                          "\xf0\x80\x80\x80",
                                          "\xf4\x90\x80",
                                          "\xf5\x80\x80",
                                          "\xf0\x9f\x98",
                                          "\xff",
                                          "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_int_equal(of_utf8_length(valid[i]), strlen(valid[i]));
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        assert_int_equal(of_utf8_length(invalid[i]), 0);
}

/* What a writer writes. */
typedef struct capture {
    char *text;
    size_t size;
    FILE *file;
} capture;

static void capture_open(capture *target) {
    target->file = open_memstream(&target->text, &target->size);
    assert_non_null(target->file);
}

static void capture_equals(capture *target, const char *expected) {
    assert_int_equal(fclose(target->file), 0);
    assert_string_equal(target->text, expected);
    free(target->text);
}

static void test_csv_fields(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"plain name", "plain name"},
                                           {"a,b", "\"a,b\""},
                                           {"\"", "\"\"\"\""},
                                           {"two\nlines", "\"two\nlines\""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        capture written;
        capture_open(&written);
        of_csv_write(written.file, pairs[i][0]);
        capture_equals(&written, pairs[i][1]);
    }
}

/* What spreadsheets would calculate. */
static void test_csv_text(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"a=b.png", "a=b.png"},
        {"=1+1", "'=1+1"},
        {"+x", "'+x"},
        {"-x", "'-x"},
        {"@x", "'@x"},
        {"\tx", "'\tx"},
        {"=H(\"a\",1)", "\"'=H(\"\"a\"\",1)\""},
        {"a,b", "\"a,b\""},
        /* what is not UTF-8, and what looks as if it had not been */
        {"a\xff.png", "a\\xff.png"},
        {"a\\xff.png", "a\\x5cxff.png"},
        {"a\\xFF.png", "a\\xFF.png"},
        {"\\\\x4", "\\\\x4"},
        {"'=x", "''=x"},
        {"'x", "'x"},
        {"\xc3\xa9,\xc3", "\"\xc3\xa9,\\xc3\""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        capture written;
        capture_open(&written);
        of_csv_write_text(written.file, pairs[i][0]);
        capture_equals(&written, pairs[i][1]);
    }
}

static void test_json(void **state) {
    (void)state;
    capture written;
    capture_open(&written);
    of_json *json = NULL;
    assert_int_equal(of_json_create(written.file, false, &json, NULL), OF_OK);
    of_json_object(json, NULL);
    of_json_text(json, "quo\"te", "back\\slash\ttab \xc3\xa9 bad\xff");
    of_json_text(json, "none", NULL);
    of_json_array(json, "numbers");
    of_json_real(json, NULL, 0.1);
    of_json_real(json, NULL, (double)NAN);
    of_json_count(json, NULL, UINT64_MAX);
    of_json_end(json);
    of_json_object(json, "empty");
    of_json_end(json);
    of_json_flag(json, "yes", true);
    of_json_end(json);
    capture_equals(&written,
                   "{\"quo\\\"te\": \"back\\\\slash\\u0009tab \xc3\xa9 bad\\\\xff\", \"none\": "
                   "null, \"numbers\": [0.1, null, 18446744073709551615], \"empty\": {}, "
                   "\"yes\": true}\n");
    capture_open(&written);
    of_json_free(json);
    assert_int_equal(of_json_create(written.file, true, &json, NULL), OF_OK);
    of_json_object(json, NULL);
    of_json_array(json, "a");
    of_json_count(json, NULL, 1);
    of_json_count(json, NULL, 2);
    of_json_end(json);
    of_json_end(json);
    capture_equals(&written, "{\n  \"a\": [\n    1,\n    2\n  ]\n}\n");
    of_json_free(json);
}

static const char *nearest(const char *typed) {
    static const char *const words[] = {"score", "eval", "sample", "inspect", "general-model"};
    of_nearest search = of_nearest_to(typed, strlen(typed));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        of_nearest_offer(&search, words[i]);
    return search.word;
}

static void test_nearest(void **state) {
    (void)state;
    assert_string_equal(nearest("scor"), "score");
    assert_string_equal(nearest("socre"), "score");
    assert_null(nearest("evaluate"));
    assert_string_equal(nearest("genral-model"), "general-model");
    assert_string_equal(nearest("insp"), "inspect");
    assert_null(nearest("train"));
    assert_null(nearest(""));
    assert_null(nearest("a word that is far longer than every option that there is to choose"));
}

/* What a terminal might obey, or cannot show, is a question mark; all else stays. */
static void test_plain_text(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"a\033[31mb\x7f\n", "a?[31mb??"},
                                           {"\xc2\x9b"
                                            "31m\xc2\xa0",
                                            "??31m\xc2\xa0"},
                                           {"a\xe2\x80\xaegnp\xe2\x81\xa9", "a???gnp???"},
                                           {"\xe2\x82\xac\xe2\x80\x93", "\xe2\x82\xac\xe2\x80\x93"},
                                           {"\xc3\xa9\xff\xe2\x82", "\xc3\xa9???"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        capture written;
        char text[32];
        capture_open(&written);
        of_plain_write(written.file, pairs[i][0]);
        capture_equals(&written, pairs[i][1]);
        (void)snprintf(text, sizeof text, "%s", pairs[i][0]);
        of_plain_text(text);
        assert_string_equal(text, pairs[i][1]);
    }
}

/* What was escaped reads back; what never is stays. */
static void test_unescape(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"a\\xffb\\xc3", "a\xff"
                                                            "b\xc3"},
                                           {"\\x5cx41", "\\x41"},
                                           {"\\x5cx5cx41", "\\x5cx41"},
                                           {"\\x00 \\xFF \\x4 \\x", "\\x00 \\xFF \\x4 \\x"},
                                           {"", ""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%s", pairs[i][0]);
        of_text_unescape(text);
        assert_string_equal(text, pairs[i][1]);
    }
}

/* A likelihood that is not finite is printed as such, counted, and always anomalous. */
static void write_rows(of_row_format format, const char *expected) {
    const of_item item = {.path = "a.png", .label = "cat"};
    const double fine[] = {-1, -2}, broken[] = {-(double)INFINITY, -2};
    const of_image_likelihood images[] = {{.logp = -3, .contributions = fine},
                                          {.logp = (double)NAN, .contributions = broken}};
    of_architecture architecture = small_architecture(16, 2);
    of_score last = {OF_SCORE_LAST, 0}, first_scale = {OF_SCORE_SCALE, 0};
    capture written;
    of_rows rows;
    capture_open(&written);
    fixture f = {.model = make_model(&architecture)};
    f.detector = detector_of(f.model, NULL, 1);
    assert_int_equal(of_rows_open(&rows, written.file, format, f.detector, NULL), OF_OK);
    rows.count = 0; /* the columns whose values can be written out here */
    of_rows_add_score(&rows, last);
    of_rows_add_score(&rows, first_scale);
    of_rows_add_flag(&rows, (of_flag_rule){.score = first_scale, .threshold = 1.5});
    for (size_t i = 0; i < 2; i++)
        of_rows_write(&rows, "", &item, &images[i]);
    assert_int_equal(rows.non_finite, 1);
    assert_int_equal(rows.anomalous, 1);
    of_rows_close(&rows);
    free_fixture(&f);
    capture_equals(&written, expected);
}

static void test_rows_not_finite(void **state) {
    (void)state;
    write_rows(OF_ROWS_CSV, "path,label,score,score,anomalous,resized_from,notes\n"
                            "a.png,cat,2,1,0,,\n"
                            "a.png,cat,2,inf,1,,\n");
    write_rows(OF_ROWS_JSONL,
               "{\"path\": \"a.png\", \"label\": \"cat\", \"score\": 2, \"score\": 1, "
               "\"anomalous\": false, \"resized_from\": \"\", \"notes\": \"\"}\n"
               "{\"path\": \"a.png\", \"label\": \"cat\", \"score\": 2, \"score\": null, "
               "\"anomalous\": true, \"resized_from\": \"\", \"notes\": \"\"}\n");
}

static void test_units(void **state) {
    (void)state;
    char text[OF_NUMBER_SIZE];
    assert_string_equal(of_bytes_text(1023, text), "1023 B");
    assert_string_equal(of_bytes_text(1536, text), "1.5 KiB");
    assert_string_equal(of_bytes_text((uint64_t)5 << 30, text), "5.0 GiB");
    assert_string_equal(of_scaled_text(999, text), "999");
    assert_string_equal(of_scaled_text(237e6, text), "237.00 M");
}

/* A shell reads back what was given. */
static void test_command_line(void **state) {
    (void)state;
    char *const plain[] = {"train", "--data", "synthetic:shapes:60", "--lr=0.1"};
    char *const odd[] = {"train", "my photos", "it's", "", "$HOME"};
    char *text = of_command_line(4, plain);
    assert_string_equal(text, "outflow train --data synthetic:shapes:60 --lr=0.1");
    free(text);
    text = of_command_line(5, odd);
    assert_string_equal(text, "outflow train 'my photos' 'it'\\''s' '' '$HOME'");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_read_back),
        cmocka_unit_test(test_shared_folder),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_csv_fields),
        cmocka_unit_test(test_csv_text),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_rows_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
