/* SPDX-License-Identifier: Apache-2.0 */
/* What a fit decides before it trains: near duplicates, parts, outliers made from images, the plan,
 * and what it refuses. The whole of it is in tests/cli/test_fit.sh. */
#define _XOPEN_SOURCE 700
#include "core/random.h"
#include "fit/fitting.h"
#include "fit/outliers.h"
#include "fit/pictures.h"

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

enum { SIDE = 16, IMAGE = SIDE * SIDE * OF_SURVEY_CHANNELS };

static char folder[] = "/tmp/fit-XXXXXX";

static int enter_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int leave_folder(void **state) {
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

/* ---- A survey in memory ------------------------------------------------------------------- */

static of_survey make_survey(size_t count) {
    of_survey survey = {.height = SIDE,
                        .width = SIDE,
                        .image_bytes = IMAGE,
                        .count = count,
                        .share = 1,
                        .most = count};
    survey.images = calloc(count, sizeof *survey.images);
    survey.pixels = calloc(count, IMAGE);
    assert_non_null(survey.images);
    assert_non_null(survey.pixels);
    for (size_t i = 0; i < count; i++) {
        of_random random = of_random_stream(7, i);
        survey.images[i].content = i + 1;
        survey.images[i].gradient = (uint64_t)of_random_u32(&random) << 32 | of_random_u32(&random);
        for (size_t p = 0; p < IMAGE; p++)
            survey.pixels[i * IMAGE + p] = (uint8_t)of_random_below(&random, 256);
    }
    return survey;
}

static void repeat(of_survey *survey, size_t from, size_t to, int brighter) {
    survey->images[to] = survey->images[from];
    if (brighter != 0)
        survey->images[to].content += 1000000;
    for (size_t p = 0; p < IMAGE; p++) {
        int value = survey->pixels[from * IMAGE + p] + brighter;
        survey->pixels[to * IMAGE + p] = (uint8_t)(value > 255 ? 255 : value);
    }
}

static void test_copies_and_near_copies_are_found(void **state) {
    (void)state;
    of_survey survey = make_survey(100);
    of_similar found;
    repeat(&survey, 3, 50, 0);
    repeat(&survey, 3, 70, 2);
    repeat(&survey, 9, 71, 3);
    survey.images[71].gradient ^= 5; /* two of its bits */
    assert_int_equal(of_similar_find(&survey, &found, NULL), OF_OK);
    assert_int_equal(found.copies, 1);
    assert_int_equal(found.similar, 4);
    assert_false(found.alike);
    assert_true(survey.images[50].copy);
    assert_false(survey.images[3].copy);
    assert_int_equal(survey.images[70].group, survey.images[3].group);
    assert_int_equal(survey.images[71].group, survey.images[9].group);
    assert_int_not_equal(survey.images[4].group, survey.images[3].group);
    of_survey_close(&survey);
}

/* A series of the same scene: that is how its images are. */
static void test_images_that_are_all_alike(void **state) {
    (void)state;
    of_survey survey = make_survey(60);
    of_similar found;
    for (size_t i = 1; i < 50; i++)
        repeat(&survey, 0, i, 1 + (int)(i % 3));
    for (size_t i = 1; i < 50; i++)
        survey.pixels[i * IMAGE] = (uint8_t)i;
    for (size_t i = 1; i < 50; i++)
        survey.images[i].content = 5000 + i;
    assert_int_equal(of_similar_find(&survey, &found, NULL), OF_OK);
    assert_int_equal(found.copies, 0);
    assert_true(found.alike);
    assert_int_equal(survey.images[7].group, 7);
    of_survey_close(&survey);
}

/* ---- Parts -------------------------------------------------------------------------------- */

static of_fitting make_fitting(uint64_t train, uint64_t calibrate, uint64_t check) {
    static const of_fit_observer nobody = {.size = sizeof nobody};
    of_fitting fitting = {.observer = &nobody, .options = of_fit_options_default()};
    fitting.plan.architecture = of_architecture_default();
    fitting.plan.architecture.channels = OF_SURVEY_CHANNELS;
    fitting.plan.architecture.height = fitting.plan.architecture.width = SIDE;
    fitting.plan.train = train;
    fitting.plan.calibrate = calibrate;
    fitting.plan.check = check;
    assert_int_equal(of_work_name("out", &fitting.work, NULL), OF_OK);
    assert_int_equal(mkdir(fitting.work.folder, 0777), 0);
    return fitting;
}

static of_pictures load(const char *path) {
    of_pictures pictures;
    assert_int_equal(of_pictures_load(path, OF_SURVEY_CHANNELS, SIDE, SIDE, 1000, &pictures, NULL),
                     OF_OK);
    return pictures;
}

static bool holds(const of_pictures *pictures, const uint8_t *pixels) {
    for (size_t i = 0; i < pictures->count; i++)
        if (memcmp(of_picture(pictures, i), pixels, IMAGE) == 0)
            return true;
    return false;
}

static void test_near_copies_stay_in_one_part(void **state) {
    (void)state;
    of_survey survey = make_survey(200);
    of_similar found;
    for (size_t i = 0; i < 100; i++) /* pairs */
        repeat(&survey, i, i + 100, 2);
    assert_int_equal(of_similar_find(&survey, &found, NULL), OF_OK);
    assert_int_equal(found.similar, 200);
    of_fitting fitting = make_fitting(120, 51, 30); /* an odd number cannot be filled by pairs */
    assert_int_equal(of_fitting_divide(&fitting, &survey, NULL), OF_OK);
    assert_int_equal(fitting.plan.calibrate, 50);
    assert_int_equal(fitting.plan.check, 30);
    assert_int_equal(fitting.plan.train, 120);
    of_pictures parts[] = {load(fitting.work.train), load(fitting.work.calibrate),
                           load(fitting.work.check)};
    for (size_t i = 0; i < 100; i++)
        for (size_t p = 0; p < 3; p++)
            assert_int_equal(holds(&parts[p], of_survey_pixels(&survey, i)),
                             holds(&parts[p], of_survey_pixels(&survey, i + 100)));
    for (size_t p = 0; p < 3; p++)
        of_pictures_free(&parts[p]);
    of_work_remove(&fitting.work);
    of_work_free(&fitting.work);
    of_survey_close(&survey);
}

static void test_copies_fill_up_a_calibration(void **state) {
    (void)state;
    of_survey survey = make_survey(30);
    of_similar found;
    assert_int_equal(of_similar_find(&survey, &found, NULL), OF_OK);
    of_fitting fitting = make_fitting(0, 120, 0);
    fitting.plan.way = OF_FIT_COPIES;
    assert_int_equal(of_fitting_divide(&fitting, &survey, NULL), OF_OK);
    of_pictures calibrate = load(fitting.work.calibrate);
    assert_int_equal(calibrate.count, 120);
    for (size_t i = 0; i < 30; i++)
        assert_true(holds(&calibrate, of_survey_pixels(&survey, i)));
    of_pictures_free(&calibrate);
    of_work_remove(&fitting.work);
    of_work_free(&fitting.work);
    of_survey_close(&survey);
}

/* ---- Outliers made from images ------------------------------------------------------------ */

static void check_outliers(uint32_t channels, uint32_t height, uint32_t width) {
    size_t bytes = (size_t)channels * height * width, changed = 0;
    of_pictures pool = {channels, height, width, bytes, 5, malloc(5 * bytes)};
    uint8_t *a = malloc(bytes + 1), *b = malloc(bytes);
    assert_true(pool.pixels != NULL && a != NULL && b != NULL);
    for (size_t i = 0; i < 5 * bytes; i++)
        pool.pixels[i] = (uint8_t)(i * 37 % 251);
    for (of_outliers kind = 0; kind < OF_OUTLIERS_KINDS; kind++)
        for (uint64_t i = 0; i < 50; i++) {
            a[bytes] = 77;
            of_outliers_make(&pool, kind, 3, i, a);
            of_outliers_make(&pool, kind, 3, i, b);
            assert_memory_equal(a, b, bytes);
            assert_int_equal(a[bytes], 77);
            bool is_one = false;
            for (size_t p = 0; p < 5; p++)
                is_one = is_one || memcmp(a, of_picture(&pool, p), bytes) == 0;
            changed += !is_one;
        }
    assert_true(changed > 4 * 50 * 9 / 10);
    of_pictures_free(&pool);
    free(a);
    free(b);
}

static void test_outliers_of_all_shapes(void **state) {
    (void)state;
    check_outliers(3, 32, 32);
    check_outliers(1, 28, 28);
    check_outliers(3, 16, 24);
    check_outliers(1, 34, 10);
    check_outliers(3, 4, 4);
}

/* ---- Plans -------------------------------------------------------------------------------- */

typedef struct witness {
    of_fit_plan plan;
    unsigned planned, stages;
    bool stops;
} witness;

static void see_plan(void *user, const of_fit_plan *plan) {
    witness *w = user;
    w->plan = *plan;
    w->planned++;
}

static void see_stage(void *user, of_fit_stage stage, uint64_t images, double seconds) {
    witness *w = user;
    (void)images;
    (void)seconds;
    assert_int_equal(stage, OF_FIT_LOOK);
    w->stages++;
}

static bool is_stopped(void *user) {
    const witness *w = user;
    return w->stops;
}

static of_status plan_of(of_fit_options *options, witness *w, of_error *error) {
    of_fit_observer observer = of_fit_observer_default();
    of_fit_result result;
    observer.user = w;
    observer.planned = see_plan;
    observer.stage = see_stage;
    observer.stop = is_stopped;
    options->out = "out";
    options->plan_only = true;
    options->images = 100; /* the speed is not measured */
    return of_fit(options, &observer, &result, error);
}

static void test_plans_by_count(void **state) {
    (void)state;
    static const struct {
        const char *source;
        of_fit_way way;
        uint64_t train, calibrate, check;
    } cases[] = {{"synthetic:shapes:1000", OF_FIT_TRAIN, 750, 150, 100},
                 {"synthetic:shapes:250", OF_FIT_TRAIN, 150, 100, 0},
                 {"synthetic:shapes:150", OF_FIT_STATISTICS, 0, 150, 0},
                 {"synthetic:shapes:40", OF_FIT_COPIES, 0, 120, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        of_fit_options options = of_fit_options_default();
        witness w = {.planned = 0};
        options.source = cases[i].source;
        options.height = options.width = SIDE;
        assert_int_equal(plan_of(&options, &w, NULL), OF_OK);
        assert_int_equal(w.planned, 1);
        assert_int_equal(w.stages, 1);
        assert_int_equal(w.plan.way, cases[i].way);
        assert_int_equal(w.plan.train, cases[i].train);
        assert_int_equal(w.plan.calibrate, cases[i].calibrate);
        assert_int_equal(w.plan.check, cases[i].check);
        assert_int_equal(w.plan.architecture.channels, 3);
        assert_true(w.plan.coloured > 0.5);
    }
    assert_int_not_equal(access("out.work", F_OK), 0);
}

static void test_many_are_thinned(void **state) {
    (void)state;
    of_fit_options options = of_fit_options_default();
    witness w = {.planned = 0};
    options.source = "synthetic:digits:3000";
    options.height = options.width = SIDE;
    options.most_images = 500;
    assert_int_equal(plan_of(&options, &w, NULL), OF_OK);
    assert_int_equal(w.plan.found, 3000);
    assert_in_range(w.plan.looked_at, 400, 500);
}

static void test_refusals(void **state) {
    (void)state;
    of_error error;
    witness w = {.planned = 0};
#define REFUSED(name, change)                                                                      \
    do {                                                                                           \
        of_fit_options o = of_fit_options_default();                                               \
        o.source = "synthetic:shapes:300";                                                         \
        o.out = "out";                                                                             \
        change;                                                                                    \
        assert_int_equal(of_fit_options_check(&o, &error), OF_ERROR_ARGUMENT);                     \
        assert_string_equal(error.setting, name);                                                  \
    } while (0)
    REFUSED("source", o.source = NULL);
    REFUSED("source", o.source = "-");
    REFUSED("out", o.out = "");
    REFUSED("minutes", o.minutes = 0);
    REFUSED("rate", o.rate = 1);
    REFUSED("height", o.height = 32);
    REFUSED("height", o.height = o.width = 33);
    REFUSED("channels", o.channels = 2);
    REFUSED("", o.resume = o.overwrite = true);
    of_fit_options options = of_fit_options_default();
    options.source = "synthetic:flat:5";
    assert_int_equal(plan_of(&options, &w, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "at least 20"));
    options.source = "synthetic:shapes:300";
    options.rate = 0.001;
    assert_int_equal(plan_of(&options, &w, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "rate");
    options.rate = 0.05;
    w.stops = true;
    assert_int_equal(plan_of(&options, &w, &error), OF_ERROR_IO);
    assert_non_null(strstr(error.message, "interrupted"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_and_near_copies_are_found),
        cmocka_unit_test(test_images_that_are_all_alike),
        cmocka_unit_test(test_near_copies_stay_in_one_part),
        cmocka_unit_test(test_copies_fill_up_a_calibration),
        cmocka_unit_test(test_outliers_of_all_shapes),
        cmocka_unit_test(test_plans_by_count),
        cmocka_unit_test(test_many_are_thinned),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
