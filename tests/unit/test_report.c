/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of values of any kind: no number that is none ever becomes a coordinate, and text stays
 * text. What a whole report of a model looks like is tested on the command line. */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "report/html.h"
#include "report/report.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGES = 12, SETS = 3, MOST_SETS = 12, SIDE = 8 };

static of_score scores[] = {{OF_SCORE_NLL, 0}, {OF_SCORE_SCALE, 0}, {OF_SCORE_RATIO, 0}};

typedef struct subject {
    double values[MOST_SETS][IMAGES];
    const double *columns[MOST_SETS][3];
    of_metrics metrics[3];
    of_report_flags flags[3];
    uint8_t pixels[SIDE * SIDE];
    double heat[SIDE * SIDE];
    of_report_image image;
    of_report_set sets[MOST_SETS];
    of_report report;
} subject;

/* A report in which every number comes from `values`. */
static void fill(subject *s, const double *values, size_t count) {
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < SIDE * SIDE; i++)
        s->heat[i] = values[i % count];
    s->image =
        (of_report_image){"<path>", "\"label\"", values[0], NAN, s->pixels, s->heat, 1, SIDE, SIDE};
    for (size_t c = 0; c < 3; c++)
        s->flags[c] = (of_report_flags){c > 0, 3, 0.25, 0.125, 0.375};
    for (size_t k = 0; k < MOST_SETS; k++) {
        for (size_t i = 0; i < IMAGES; i++)
            s->values[k][i] = values[(i + k) % count];
        for (size_t c = 0; c < 3; c++)
            s->columns[k][c] = s->values[k];
        s->sets[k] = (of_report_set){.name = k == 0 ? "in" : "a&b",
                                     .source = "SRC",
                                     .images = IMAGES,
                                     .scores = s->columns[k],
                                     .logp = s->values[k],
                                     .general_logp = s->values[(k + 1) % MOST_SETS],
                                     .mean_bits = values[0],
                                     .spearman = NAN,
                                     .pearson = NAN,
                                     .metrics = k > 0 ? s->metrics : NULL,
                                     .flags = s->flags,
                                     .most = &s->image,
                                     .most_count = 1};
    }
    s->report = (of_report){.title = "title",
                            .command = "a < b",
                            .convention = "convention",
                            .scores = scores,
                            .score_count = 3,
                            .main_score = 2,
                            .sets = s->sets,
                            .set_count = SETS,
                            .compared = true,
                            .with_general = true,
                            .spearman = NAN,
                            .pearson = NAN,
                            .with_flags = true,
                            .rate = 0.05,
                            .threshold = values[0],
                            .confidence = 0.99,
                            .heat = {OF_SCORE_RATIO, 0},
                            .heat_reference = "0"};
    s->report.architecture = of_architecture_default();
    s->report.architecture.channels = 1;
    s->report.architecture.height = s->report.architecture.width = SIDE;
    s->report.architecture.scales = 1;
}

typedef of_status write_report(const of_report *report, FILE *file, of_error *error);

static char *written(const subject *s, write_report *write) {
    char *text = NULL;
    size_t size;
    of_error error;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    assert_int_equal(write(&s->report, file, &error), OF_OK);
    assert_int_equal(fclose(file), 0);
    assert_true(size > 1000);
    return text;
}

/* Attributes of drawings hold nothing but numbers, letters of paths, and names. */
static void assert_no_odd_coordinates(const char *text) {
    static const char *const attributes[] = {" d=\"", " x=\"", " y=\"", " cx=\"", " cy=\""};
    for (size_t a = 0; a < sizeof attributes / sizeof *attributes; a++)
        for (const char *at = strstr(text, attributes[a]); at != NULL;
             at = strstr(at + 1, attributes[a])) {
            const char *value = at + strlen(attributes[a]);
            size_t length = strspn(value, "0123456789.- MLHVZh");
            if (value[length] != '"')
                fail_msg("a coordinate is not a number: %.60s", at);
        }
}

static void check(const double *values, size_t count) {
    static subject s;
    fill(&s, values, count);
    char *page = written(&s, of_report_write), *figure = written(&s, of_report_write_figure);
    assert_no_odd_coordinates(page);
    assert_no_odd_coordinates(figure);
    assert_non_null(strstr(page, "a&amp;b"));
    assert_null(strstr(page, "a&b"));
    assert_null(strstr(page, "<path>"));
    free(page);
    free(figure);
}

static void values_of_any_kind(void **state) {
    (void)state;
    const double infinity = (double)INFINITY, none = (double)NAN;
    check((const double[]){1, 2, 3, -4.5}, 4);
    check((const double[]){0}, 1);
    check((const double[]){none}, 1);
    check((const double[]){infinity}, 1);
    check((const double[]){-infinity, 3, none, infinity}, 4);
    check((const double[]){DBL_MAX, -DBL_MAX, 0}, 3);
    check((const double[]){1e52, 1.0000000000000002e52}, 2);
    check((const double[]){DBL_MIN, 2 * DBL_MIN, 4e-320}, 3);
    check((const double[]){1e16, 1e16 + 2}, 2);
}

/* ---- What is said ------------------------------------------------------------------------- */

static const double counted[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static size_t times(const char *text, const char *part) {
    size_t found = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        found++;
    return found;
}

static void expect_times(const subject *s, write_report *write, const char *part, size_t expected) {
    char *text = written(s, write);
    if (times(text, part) != expected)
        fail_msg("'%s' stands %zu times in the report instead of %zu", part, times(text, part),
                 expected);
    free(text);
}

/* Scores without p-values have no row in the table; a figure has no line. */
static void flags(void **state) {
    (void)state;
    static subject s;
    fill(&s, counted, IMAGES);
    expect_times(&s, of_report_write, "Flagged at a false-positive rate of 0.05", 1);
    expect_times(&s, of_report_write, "<td>0.1250 \xe2\x80\x93 0.3750</td>", 2);
    expect_times(&s, of_report_write, "class=\"threshold\"", 1);
    expect_times(&s, of_report_write, "flagged above 1.000<", 1);
    expect_times(&s, of_report_write_figure, "class=\"threshold\"", 0);
    expect_times(&s, of_report_write, ">p ", 0);
    s.image.p_value = 0.0125;
    expect_times(&s, of_report_write, ">p 0.0125<", SETS);
    s.report.threshold = INFINITY;
    expect_times(&s, of_report_write, "class=\"threshold\"", 0);
    s.report.with_flags = false;
    expect_times(&s, of_report_write, "Flagged", 0);
}

/* Without an in set the sets' table has what is flagged. */
static void flags_of_sets(void **state) {
    (void)state;
    static subject s;
    fill(&s, counted, IMAGES);
    s.report.compared = false;
    expect_times(&s, of_report_write, "<td>3 (25.00 %)</td>", SETS);
    expect_times(&s, of_report_write, "p-value of <em>ratio</em> is at most 0.05", 1);
    s.report.rate = 0;
    s.report.threshold = 99;
    expect_times(&s, of_report_write, "whose <em>ratio</em> is at or above 99.0", 1);
    expect_times(&s, of_report_write, "flagged from 99.0 \xe2\x96\xb6<", 1);
    s.report.threshold = -99;
    expect_times(&s, of_report_write, "\xe2\x97\x80 flagged from -99.0<", 1);
}

/* The end of a name is what tells paths apart. */
static void long_names(void **state) {
    (void)state;
    static subject s;
    fill(&s, counted, IMAGES);
    s.sets[1].name = "a/path/that/is/so/long/that/no/chart/has/room/for/it/camera-front";
    s.sets[2].name = "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6"
                     "\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97"
                     "\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xff rear";
    expect_times(&s, of_report_write_figure, ">\xe2\x80\xa6no/chart/has/room/for/it/camera-front 0",
                 2);
    expect_times(&s, of_report_write_figure, "\xe6\x97\xa5\xef\xbf\xbd rear 0", 2);
    expect_times(&s, of_report_write_figure, ">\xe2\x80\xa6\xe6\x97\xa5", 2);
}

/* The column is left out where every SRC is its set's name. */
static void sources(void **state) {
    (void)state;
    static subject s;
    fill(&s, counted, IMAGES);
    expect_times(&s, of_report_write, ">source</th>", 1);
    for (size_t i = 0; i < SETS; i++)
        s.sets[i].source = s.sets[i].name;
    expect_times(&s, of_report_write, ">source</th>", 0);
}

/* Sets that share a colour have numbers; what lies beyond the axis of scales has an arrow. */
static void scales(void **state) {
    (void)state;
    static subject s;
    fill(&s, counted, IMAGES);
    expect_times(&s, of_report_write, "<path class=\"dot\"", 0);
    expect_times(&s, of_report_write, "class=\"value\"", 0);
    for (size_t i = 0; i < IMAGES; i++) {
        s.values[1][i] += 1000;
        s.values[2][i] -= 1000;
    }
    expect_times(&s, of_report_write, "<path class=\"dot\"", 2);
    expect_times(&s, of_report_write, ">277.4</text>", 1);
    expect_times(&s, of_report_write, ">-277.4</text>", 1);
    s.report.set_count = 8;
    expect_times(&s, of_report_write, "text-anchor=\"end\">8</text></g>", 0);
    s.report.set_count = 9;
    expect_times(&s, of_report_write, "text-anchor=\"end\">9</text></g>", 1);
    expect_times(&s, of_report_write, "<li class=\"c1\">9 a&amp;b</li>", 2);
    expect_times(&s, of_report_write, "they sum to bits/dim<", 1);
}

static void text_is_escaped(void **state) {
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    of_html_text(file, "<a b=\"c\" d='e'>&\x01\xff\xed\xa0\x80\xef\xbf\xbf \xc3\xa9\n");
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"
                              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                              "\xef\xbf\xbd \xc3\xa9\n");
    free(text);
}

/* An image beyond the limit is reduced, a small one enlarged, heat is in the colour of its sign. */
static void pictures(void **state) {
    (void)state;
    uint8_t pixels[3 * 5] = {0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0};
    double heat[15] = {1, -1, NAN};
    const of_heated_image image = {pixels, heat, 1, 1, 3, 5};
    of_picture picture, other, joined;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(of_picture_plain(&image, 2, 100, &picture, NULL), OF_OK);
    assert_int_equal(picture.height, 6);
    assert_int_equal(picture.width, 10);
    assert_int_equal(picture.pixels[3 * (2 * 10 + 2)], pixels[5 + 1]);
    assert_int_equal(of_picture_heat(&image, 2, 100, &other, NULL), OF_OK);
    assert_true(other.pixels[0] > other.pixels[2]);             /* orange */
    assert_true(other.pixels[6] < other.pixels[8]);             /* blue */
    assert_true(other.pixels[3 * 4] > other.pixels[3 * 4 + 2]); /* not finite: orange */
    assert_int_equal(of_picture_join(&picture, &other, &joined, NULL), OF_OK);
    assert_true(joined.width > 20 && joined.height == 6);
    assert_int_equal(of_picture_encode(&joined, &bytes, &size, NULL), OF_OK);
    assert_memory_equal(bytes, "\x89PNG", 4);
    of_free(bytes);
    of_picture_free(&picture);
    of_picture_free(&other);
    of_picture_free(&joined);
    assert_int_equal(of_picture_plain(&image, 1, 2, &picture, NULL), OF_OK);
    assert_int_equal(picture.width, 2);
    assert_int_equal(picture.height, 1);
    of_picture_free(&picture);
    assert_int_equal(of_picture_factor(32, 20, 256), 8);
    assert_int_equal(of_picture_factor(300, 20, 256), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_any_kind),
        cmocka_unit_test(flags),
        cmocka_unit_test(flags_of_sets),
        cmocka_unit_test(long_names),
        cmocka_unit_test(sources),
        cmocka_unit_test(scales),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
