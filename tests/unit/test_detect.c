/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors: which scores there are, their values, flags, encoded images, calibration, saving. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "detector_fixture.h"
#include "image_fixture.h"

enum { IMAGES = 37, SCALES = 2 };

static const of_score nll = {OF_SCORE_NLL, 0}, ratio = {OF_SCORE_RATIO, 0},
                      combined = {OF_SCORE_COMBINED, 0}, complexity = {OF_SCORE_COMPLEXITY, 0};

/* ---- Which scores --------------------------------------------------------------------------- */

static bool has_score(const of_detector *detector, of_score_kind kind) {
    of_score scores[32];
    size_t count = of_detector_scores(detector, scores, 32);
    assert_true(count <= 32);
    for (size_t i = 0; i < count; i++)
        if (scores[i].kind == kind)
            return true;
    return false;
}

static void test_scores_follow_the_models(void **state) {
    (void)state;
    fixture f = make_fixture(3);
    of_detector *alone = detector_of(f.model, NULL, 1);
    of_error error;
    assert_true(has_score(f.detector, OF_SCORE_RATIO));
    assert_false(has_score(f.detector, OF_SCORE_RATIO_LAST)); /* other scales */
    assert_false(has_score(f.detector, OF_SCORE_COMBINED));
    assert_false(has_score(alone, OF_SCORE_RATIO));
    assert_int_equal(of_detector_default_score(f.detector).kind, OF_SCORE_RATIO);
    assert_int_equal(of_detector_default_score(alone).kind, OF_SCORE_NLL);
    assert_int_equal(of_detector_scores(alone, NULL, 0), 2 + SCALES + 1); /* and complexity */

    assert_int_equal(of_detector_check_score(alone, ratio, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "general_model");
    assert_int_equal(
        of_detector_check_score(f.detector, (of_score){OF_SCORE_RATIO_LAST, 0}, &error),
        OF_ERROR_MISMATCH);
    assert_int_equal(of_detector_check_score(f.detector, combined, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "calibration");
    assert_int_equal(of_detector_check_score(f.detector, (of_score){OF_SCORE_ENSEMBLE, 0}, &error),
                     OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "ensemble");
    of_detector_free(alone);
    free_fixture(&f);
}

static void test_scores_by_name(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_score score;
    of_error error;
    assert_int_equal(of_detector_find_score(f.detector, NULL, &score, &error), OF_OK);
    assert_int_equal(score.kind, OF_SCORE_RATIO);
    assert_int_equal(of_detector_find_score(f.detector, "scale:1", &score, &error), OF_OK);
    assert_int_equal(score.scale, 1);
    assert_int_equal(of_detector_find_score(f.detector, "scale:2", &score, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_detector_find_score(f.detector, "combined", &score, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_detector_find_score(f.detector, "rank", &score, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "scale:N, ratio"));
    free_fixture(&f);
}

static void test_sizes_must_fit(void **state) {
    (void)state;
    of_architecture small = small_architecture(16, 2), large = small_architecture(32, 2);
    of_model *a = make_model(&small), *b = make_model(&large);
    const of_detector_models models = {.size = sizeof models, .model = a, .general_model = b};
    of_detector *detector = NULL;
    of_error error;
    assert_int_equal(of_detector_create(&models, NULL, &detector, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "3x16x16"));
    assert_non_null(strstr(error.message, "3x32x32"));
    assert_null(detector);
    const of_detector_models unset = {.model = a};
    assert_int_equal(of_detector_create(&unset, NULL, &detector, &error), OF_ERROR_ARGUMENT);
    of_detector_options none = of_detector_options_default();
    assert_int_equal(of_detector_open(&none, &detector, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "model");
    none.model = "no-such-model";
    assert_int_equal(of_detector_open(&none, &detector, &error), OF_ERROR_IO);
    of_model_free(a);
    of_model_free(b);
}

/* ---- Values -----------------------------------------------------------------------------------
 */

/* logp of a model on its own. */
static void forward(const of_model *model, const uint8_t *pixels, size_t count, double *logp) {
    of_plan *plan = NULL;
    of_session *session = NULL;
    const of_batch batch = {OF_PIXEL_U8, pixels, count};
    assert_int_equal(of_plan_compile(model, NULL, &plan, NULL), OF_OK);
    assert_int_equal(of_session_create(plan, 0, &session, NULL), OF_OK);
    assert_int_equal(of_session_forward(session, &batch, &(of_likelihoods){.logp = logp}, NULL),
                     OF_OK);
    of_session_free(session);
    of_plan_free(plan);
}

static void test_values_are_those_of_the_models(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    uint8_t *pixels = take_images(a, "synthetic:shapes:37", IMAGES);
    double own[IMAGES], general[IMAGES], values[IMAGES][3];
    const of_score scores[] = {nll, ratio, complexity};
    forward(f.model, pixels, IMAGES, own);
    forward(f.general, pixels, IMAGES, general);
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    assert_int_equal(of_detector_score(f.detector, &batch, scores, 3, &values[0][0], NULL), OF_OK);
    for (size_t i = 0; i < IMAGES; i++) {
        size_t bytes, image = of_architecture_dimensions(a);
        assert_int_equal(
            of_png_bytes(pixels + i * image, a->channels, a->height, a->width, &bytes, NULL),
            OF_OK);
        assert_true(values[i][0] == of_nll(a, own[i]));
        assert_true(values[i][1] == general[i] - own[i]);
        assert_true(values[i][2] == of_nll(a, own[i]) / log(2) - 8 * (double)bytes);
    }
    assert_int_equal(of_detector_score(f.detector, &batch, &combined, 1, &values[0][0], NULL),
                     OF_ERROR_ARGUMENT);
    free(pixels);
    free_fixture(&f);
}

/* The same image as floats: the flow sees v/255 otherwise rounded, the coder the same bytes. */
static void test_floats_are_coded_as_bytes(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    size_t values = of_architecture_dimensions(a);
    uint8_t *pixels = take_images(a, "synthetic:shapes:37", 1);
    float *floats = malloc(values * sizeof *floats);
    double bytes_value[2], floats_value[2];
    const of_score scores[] = {nll, complexity};
    assert_non_null(floats);
    for (size_t i = 0; i < values; i++)
        floats[i] = (float)pixels[i] / 255;
    const of_batch as_bytes = {OF_PIXEL_U8, pixels, 1}, as_floats = {OF_PIXEL_F32, floats, 1};
    assert_int_equal(of_detector_score(f.detector, &as_bytes, scores, 2, bytes_value, NULL), OF_OK);
    assert_int_equal(of_detector_score(f.detector, &as_floats, scores, 2, floats_value, NULL),
                     OF_OK);
    double code = bytes_value[0] / log(2) - bytes_value[1];
    assert_true(fabs(floats_value[0] / log(2) - floats_value[1] - code) < 1e-6);
    free(floats);
    free(pixels);
    free_fixture(&f);
}

static void test_encoded_images(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    const of_encoded_image images[] = {{image_bmp, sizeof image_bmp, "a.bmp"},
                                       {"no image", 8, "b.png"},
                                       {image_gif, sizeof image_gif, NULL}};
    uint8_t pixels[2][3 * 16 * 16];
    double values[3][2], expected[2][2];
    of_image_info infos[3];
    of_error failures[3], error;
    const of_score scores[] = {nll, ratio};
    const of_image_options options = of_image_options_default(a);
    assert_int_equal(
        of_image_read(image_bmp, sizeof image_bmp, "a", &options, pixels[0], NULL, NULL), OF_OK);
    assert_int_equal(
        of_image_read(image_gif, sizeof image_gif, "c", &options, pixels[1], NULL, NULL), OF_OK);
    const of_batch batch = {OF_PIXEL_U8, pixels, 2};
    assert_int_equal(of_detector_score(f.detector, &batch, scores, 2, &expected[0][0], NULL),
                     OF_OK);

    assert_int_equal(of_detector_score_encoded(f.detector, images, 3, scores, 2, &values[0][0],
                                               infos, failures, &error),
                     OF_OK);
    assert_memory_equal(values[0], expected[0], sizeof values[0]);
    assert_memory_equal(values[2], expected[1], sizeof values[0]);
    assert_true(isnan(values[1][0]) && isnan(values[1][1]));
    assert_int_equal(failures[0].status, OF_OK);
    assert_int_equal(failures[1].status, OF_ERROR_FORMAT);
    assert_int_equal(failures[2].status, OF_OK);
    assert_string_equal(infos[2].format, "GIF");
    assert_true(infos[0].resized);

    assert_int_equal(of_detector_score_encoded(f.detector, images, 3, scores, 2, &values[0][0],
                                               NULL, NULL, &error),
                     OF_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "b.png"));
    free_fixture(&f);
}

/* ---- Streams -----------------------------------------------------------------------------------
 */

typedef struct stream_check {
    const double *nll; /* expected */
    const of_detector *detector;
    size_t seen, stop_at, fail_at;
    uint64_t told, expected;
} stream_check;

static of_status check_batch(void *user, const of_scored_batch *batch, of_error *error) {
    stream_check *check = user;
    for (size_t i = 0; i < of_scored_count(batch); i++) {
        of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        char path[24];
        (void)snprintf(path, sizeof path, "%zu", check->seen);
        assert_string_equal(of_scored_item(batch, i)->path, path);
        assert_true(of_detector_value(check->detector, nll, &likelihood) ==
                    check->nll[check->seen]);
        check->seen++;
    }
    return check->seen == check->fail_at ? of_fail(error, OF_ERROR_IO, "enough") : OF_OK;
}

static void tell_started(void *user, const char *source, uint64_t expected) {
    stream_check *check = user;
    assert_string_equal(source, "synthetic:noise:37");
    check->expected = expected;
}

static void tell_progress(void *user, uint64_t images) {
    ((stream_check *)user)->told = images;
}

static bool asks_to_stop(void *user) {
    const stream_check *check = user;
    return check->stop_at > 0 && check->seen >= check->stop_at;
}

static void test_streams(void **state) {
    (void)state;
    static const size_t batches[] = {0, 1, 5, IMAGES, 1000};
    fixture f = make_fixture(2);
    uint8_t *pixels =
        take_images(of_detector_architecture(f.detector), "synthetic:noise:37", IMAGES);
    const of_batch images = {OF_PIXEL_U8, pixels, IMAGES};
    double values[IMAGES];
    of_stream_options options = of_stream_options_default();
    stream_check check = {.nll = values, .detector = f.detector};
    const of_stream_observer observer = {.size = sizeof observer,
                                         .user = &check,
                                         .started = tell_started,
                                         .progressed = tell_progress,
                                         .stop = asks_to_stop};
    of_stream_result result;
    of_error error;
    assert_int_equal(of_detector_score(f.detector, &images, &nll, 1, values, NULL), OF_OK);
    options.observer = &observer;
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        check.seen = 0;
        options.batch = batches[i];
        assert_int_equal(of_detector_stream(f.detector, "synthetic:noise:37", &options, check_batch,
                                            &check, &result, &error),
                         OF_OK);
        assert_int_equal(check.seen, IMAGES);
        assert_int_equal(check.told, IMAGES);
        assert_int_equal(check.expected, IMAGES);
        assert_int_equal(result.images, IMAGES);
        assert_int_equal(result.unreadable, 0);
    }
    options.batch = 5;
    check.seen = 0;
    check.fail_at = 10;
    assert_int_equal(of_detector_stream(f.detector, "synthetic:noise:37", &options, check_batch,
                                        &check, &result, &error),
                     OF_ERROR_IO);
    assert_string_equal(error.message, "enough");
    assert_int_equal(check.seen, 10);
    check.seen = check.fail_at = 0;
    check.stop_at = 5;
    assert_int_equal(of_detector_stream(f.detector, "synthetic:noise:37", &options, check_batch,
                                        &check, &result, &error),
                     OF_ERROR_IO);
    assert_string_equal(error.message, "interrupted");
    assert_true(check.seen < IMAGES);
    free(pixels);
    free_fixture(&f);
}

/* ---- Calibration
 * --------------------------------------------------------------------------------- */

static void test_calibration_makes_p_values(void **state) {
    (void)state;
    enum { COUNT = 300 };
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    uint8_t *pixels = take_images(a, "synthetic:shapes:300", COUNT);
    const of_batch images = {OF_PIXEL_U8, pixels, COUNT};
    double values[COUNT];
    of_error error;
    assert_true(isnan(of_detector_p_value(f.detector, nll, 1)));
    assert_int_equal(of_detector_calibrate_pixels(f.detector, &images, "shapes", &error), OF_OK);
    assert_int_equal(of_detector_default_score(f.detector).kind, OF_SCORE_COMBINED);
    of_detector_info info = of_detector_describe(f.detector);
    of_calibration_info calibration = of_calibration_describe(info.calibration);
    assert_int_equal(calibration.images, COUNT);
    assert_string_equal(calibration.source, "shapes");

    assert_int_equal(of_detector_score(f.detector, &images, &nll, 1, values, NULL), OF_OK);
    size_t flagged = 0;
    const of_flag_rule rule = {.score = nll, .rate = 0.1};
    assert_int_equal(of_detector_check_rule(f.detector, &rule, &error), OF_OK);
    for (size_t i = 0; i < COUNT; i++) {
        size_t above = 0;
        for (size_t j = 0; j < COUNT; j++)
            above += values[j] >= values[i];
        assert_true(of_detector_p_value(f.detector, nll, values[i]) ==
                    (1 + (double)above) / (COUNT + 1));
        flagged += of_detector_flags(f.detector, &rule, values[i]);
    }
    assert_int_equal(flagged, 29); /* p <= 0.1: up to 30.1 - 1 of the images themselves */
    const of_flag_rule tiny = {.score = nll, .rate = 0.001};
    assert_int_equal(of_detector_check_rule(f.detector, &tiny, &error), OF_ERROR_ARGUMENT);
    const of_flag_rule threshold = {.score = nll, .threshold = 10};
    assert_true(of_detector_flags(f.detector, &threshold, 10));
    assert_true(of_detector_flags(f.detector, &threshold, (double)NAN));
    assert_false(of_detector_flags(f.detector, &threshold, 9.5));

    const of_batch few = {OF_PIXEL_U8, pixels, 20};
    assert_int_equal(of_detector_calibrate_pixels(f.detector, &few, NULL, &error),
                     OF_ERROR_ARGUMENT);
    assert_ptr_equal(of_detector_describe(f.detector).calibration, info.calibration);
    free(pixels);
    free_fixture(&f);
}

static void collect_warning(void *user, const char *text) {
    (void)snprintf(user, 256, "%s", text);
}

/* A source and the same images in memory give the same calibration. */
static void test_calibration_from_a_source(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    char warning[256] = "";
    const of_stream_observer observer = {
        .size = sizeof observer, .user = warning, .warn = collect_warning};
    of_stream_options options = of_stream_options_default();
    of_stream_result result;
    of_error error;
    assert_int_equal(of_model_set_metadata(
                         f.model, "training",
                         "{\"data\": {\"sources\": [{\"source\": \"synthetic:shapes\"}]}}", NULL),
                     OF_OK);
    of_detector *trained = detector_of(f.model, f.general, 1);
    options.observer = &observer;
    options.limit = 240;
    options.every = 2;
    assert_true(of_detector_was_trained_on(trained, "part:0-0.5:synthetic:shapes"));
    assert_false(of_detector_was_trained_on(trained, "synthetic:digits"));
    assert_int_equal(of_detector_calibrate(trained, "synthetic:shapes", &options, &result, &error),
                     OF_OK);
    assert_int_equal(result.images, 120);
    assert_non_null(strstr(warning, "trained on"));
    assert_true(isfinite(of_detector_threshold(trained, combined, 0.1)));
    options.limit = 0;
    options.every = 0;
    warning[0] = '\0';
    assert_int_equal(
        of_detector_calibrate(trained, "synthetic:digits:100", &options, &result, &error), OF_OK);
    assert_string_equal(warning, "");
    of_detector_free(trained);
    free_fixture(&f);
}

/* ---- Saving -------------------------------------------------------------------------------------
 */

static void make_path(char path[64], const char *name) {
    (void)snprintf(path, 64, "/tmp/outflow-detect-%ld-%s", (long)getpid(), name);
}

static void expect_same_scores(const of_detector *a, const of_detector *b) {
    double first[4][2], second[4][2];
    uint8_t *pixels = take_images(of_detector_architecture(a), "synthetic:digits:4", 4);
    const of_batch images = {OF_PIXEL_U8, pixels, 4};
    const of_score scores[] = {ratio, combined};
    assert_int_equal(of_detector_score(a, &images, scores, 2, &first[0][0], NULL), OF_OK);
    assert_int_equal(of_detector_score(b, &images, scores, 2, &second[0][0], NULL), OF_OK);
    assert_memory_equal(first, second, sizeof first);
    free(pixels);
}

static void test_one_file_holds_all(void **state) {
    (void)state;
    fixture f = make_fixture(3);
    char bundle[64], again[64];
    of_save_options save = of_save_options_default();
    of_detector_options options = of_detector_options_default();
    of_detector *opened = NULL, *copied = NULL;
    of_model *alone = NULL, *general = NULL;
    of_error error;
    make_path(bundle, "bundle.safetensors");
    make_path(again, "again.safetensors");
    assert_int_equal(of_detector_calibrate(f.detector, "synthetic:shapes:200", NULL, NULL, NULL),
                     OF_OK);
    save.bundle = true;
    if (of_detector_save(f.detector, bundle, &save, &error) != OF_OK)
        fail_msg("%s", error.message);

    options.model = bundle;
    if (of_detector_open(&options, &opened, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_string_equal(of_detector_describe(opened).general_model->file, bundle);
    expect_same_scores(f.detector, opened);

    /* a bundle from a bundle, and the models of it on their own */
    assert_int_equal(of_detector_save(opened, again, &save, &error), OF_OK);
    options.model = again;
    assert_int_equal(of_detector_open(&options, &copied, &error), OF_OK);
    expect_same_scores(f.detector, copied);
    assert_int_equal(of_model_load(bundle, &alone, &error), OF_OK);
    assert_int_equal(of_model_load_general(bundle, &general, &error), OF_OK);
    assert_true(of_model_fingerprint(alone) == of_model_fingerprint(f.model));
    assert_true(of_model_fingerprint(general) == of_model_fingerprint(f.general));
    assert_null(of_model_metadata(alone, "general.architecture"));

    /* calibrated anew in its place, it stays one */
    assert_int_equal(of_detector_calibrate(copied, "synthetic:shapes:150", NULL, NULL, NULL),
                     OF_OK);
    assert_int_equal(of_detector_save(copied, again, NULL, &error), OF_OK);
    of_detector_free(copied);
    assert_int_equal(of_detector_open(&options, &copied, &error), OF_OK);
    assert_true(has_score(copied, OF_SCORE_RATIO));
    assert_int_equal(of_calibration_describe(of_detector_describe(copied).calibration).images, 150);

    /* without the general model, an ordinary file */
    save.bundle = false;
    assert_int_equal(of_detector_save(f.detector, again, &save, &error), OF_OK);
    of_model_free(general);
    assert_int_equal(of_model_load_general(again, &general, &error), OF_OK);
    assert_null(general);

    of_detector *single = detector_of(f.model, NULL, 1);
    save.bundle = true;
    assert_int_equal(of_detector_save(single, again, &save, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "general_model");
    of_detector_free(single);
    of_detector_free(opened);
    of_detector_free(copied);
    of_model_free(alone);
    (void)unlink(bundle);
    (void)unlink(again);
    free_fixture(&f);
}

/* Somebody puts other weights there meanwhile. */
static void test_changed_weights_are_not_saved(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    char path[64];
    of_detector_options options = of_detector_options_default();
    of_detector *opened = NULL;
    of_error error;
    make_path(path, "changed.safetensors");
    assert_int_equal(of_model_save(f.model, path, NULL), OF_OK);
    options.model = path;
    assert_int_equal(of_detector_open(&options, &opened, &error), OF_OK);
    assert_int_equal(of_detector_save(opened, path, NULL, &error), OF_OK);
    assert_int_equal(of_model_save(f.general, path, NULL), OF_OK);
    assert_int_equal(of_detector_save(opened, path, NULL, &error), OF_ERROR_MISMATCH);
    of_detector_free(opened);
    (void)unlink(path);
    free_fixture(&f);
}

/* ---- Heat
 * ------------------------------------------------------------------------------------------ */

static double sum_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void test_heat_sums_to_the_score(void **state) {
    (void)state;
    enum { COUNT = 3, PIXELS = 16 * 16 };
    static const of_score scores[] = {{OF_SCORE_NLL, 0},
                                      {OF_SCORE_LAST, 0},
                                      {OF_SCORE_SCALE, 0},
                                      {OF_SCORE_RATIO, 0},
                                      {OF_SCORE_RATIO_LAST, 0}};
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    uint8_t *pixels = take_images(a, "synthetic:shapes:37", COUNT);
    const of_batch images = {OF_PIXEL_U8, pixels, COUNT};
    double heat[COUNT * PIXELS], values[COUNT];
    for (size_t s = 0; s < sizeof scores / sizeof *scores; s++) {
        assert_int_equal(of_detector_score(f.detector, &images, &scores[s], 1, values, NULL),
                         OF_OK);
        assert_int_equal(of_detector_heat(f.detector, scores[s], &images, heat, NULL), OF_OK);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(fabs(sum_of(heat + i * PIXELS, PIXELS) - values[i]) <
                        1e-3 * (1 + fabs(values[i])));
    }
    free(pixels);
    free_fixture(&f);
}

static void test_relative_heat_and_pictures(void **state) {
    (void)state;
    enum { COUNT = 40, PIXELS = 16 * 16 };
    static const uint8_t png_start[] = {0x89, 'P', 'N', 'G'};
    fixture f = make_fixture(2);
    const of_architecture *a = of_detector_architecture(f.detector);
    uint8_t *pixels = take_images(a, "synthetic:shapes:40", COUNT), *png = NULL;
    double *heat = malloc(sizeof(double) * COUNT * PIXELS), limits[COUNT];
    const of_batch images = {OF_PIXEL_U8, pixels, COUNT};
    of_heat_reference *reference = NULL;
    size_t size;
    assert_non_null(heat);
    assert_int_equal(of_detector_relative_heat(f.detector, nll, NULL, &images, heat, limits, NULL),
                     OF_OK);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(fabs(sum_of(heat + i * PIXELS, PIXELS)) < 1e-6); /* its own mean is gone */
        assert_true(limits[i] > 0);
    }
    assert_int_equal(of_heat_reference_create(f.detector, nll, &images, &reference, NULL), OF_OK);
    assert_int_equal(
        of_detector_relative_heat(f.detector, nll, reference, &images, heat, limits, NULL), OF_OK);
    assert_true(fabs(sum_of(heat, (size_t)COUNT * PIXELS)) < 1e-5); /* the images' own mean */
    assert_string_equal(of_heat_reference_text(f.detector, ratio, NULL),
                        "0, where both models agree");

    assert_int_equal(of_heat_picture(a, pixels, heat, limits[0], NULL, &png, &size, NULL), OF_OK);
    assert_true(size > sizeof png_start);
    assert_memory_equal(png, png_start, sizeof png_start);
    uint8_t decoded[3 * 16 * 16];
    of_image_info info;
    const of_image_options as_model = of_image_options_default(a);
    assert_int_equal(of_image_read(png, size, "heat", &as_model, decoded, &info, NULL), OF_OK);
    assert_int_equal(info.height, 256);
    assert_true(info.width > 2 * 256); /* the image, a gap, its heat */
    of_free(png);
    of_heat_reference_free(reference);
    free(heat);
    free(pixels);
    free_fixture(&f);
}

/* ---- Misuse ---------------------------------------------------------------------------------- */

/* What is no score, or a scale that the model has not, is refused and no NaN. */
static void test_unknown_scores_are_refused(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_score unknown[] = {{(of_score_kind)77, 0}, {OF_SCORE_SCALE, SCALES}};
    uint8_t *pixels = take_images(of_detector_architecture(f.detector), "synthetic:shapes:1", 1);
    const of_batch image = {OF_PIXEL_U8, pixels, 1};
    double value, heat[16 * 16];
    of_error error;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(of_detector_check_score(f.detector, unknown[i], &error),
                         OF_ERROR_ARGUMENT);
        assert_int_equal(of_detector_score(f.detector, &image, &unknown[i], 1, &value, &error),
                         OF_ERROR_ARGUMENT);
        assert_int_equal(of_detector_heat(f.detector, unknown[i], &image, heat, &error),
                         OF_ERROR_ARGUMENT);
    }
    assert_non_null(strstr(error.message, "has 2 scales"));
    assert_int_equal(of_detector_heat_score(f.detector, unknown[0]).kind, unknown[0].kind);
    free(pixels);
    free_fixture(&f);
}

/* Its pixels have no size: they must not be read. */
static void test_unknown_pixel_types_are_refused(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    uint8_t *pixels = take_images(of_detector_architecture(f.detector), "synthetic:shapes:1", 1);
    const of_batch image = {(of_pixel_type)7, pixels, 1};
    double value, heat[16 * 16];
    of_heat_reference *reference = NULL;
    of_error error;
    assert_int_equal(of_detector_score(f.detector, &image, &complexity, 1, &value, &error),
                     OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "unknown pixel type 7"));
    assert_int_equal(of_detector_heat(f.detector, nll, &image, heat, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_heat_reference_create(f.detector, nll, &image, &reference, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_detector_calibrate_pixels(f.detector, &image, NULL, &error),
                     OF_ERROR_ARGUMENT);
    free(pixels);
    free_fixture(&f);
}

static void test_references_belong_to_a_score_and_a_size(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_architecture large = small_architecture(32, 2);
    of_model *model = make_model(&large);
    of_detector *other = detector_of(model, NULL, 1);
    uint8_t *pixels = take_images(&large, "synthetic:shapes:1", 1);
    const of_batch image = {OF_PIXEL_U8, pixels, 1}, none = {OF_PIXEL_U8, NULL, 0};
    double heat[32 * 32];
    of_heat_reference *reference = NULL;
    of_error error;
    assert_int_equal(of_heat_reference_create(f.detector, nll, &none, &reference, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_heat_reference_create(f.detector, nll, &none, NULL, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_heat_reference_create(f.detector, nll, &image, &reference, &error), OF_OK);
    assert_int_equal(of_detector_relative_heat(other, nll, reference, &image, heat, NULL, &error),
                     OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "16x16"));
    assert_int_equal(
        of_detector_relative_heat(f.detector, ratio, reference, &image, heat, NULL, &error),
        OF_ERROR_MISMATCH);
    of_heat_reference_free(reference);
    of_detector_free(other);
    of_model_free(model);
    free(pixels);
    free_fixture(&f);
}

static void test_pictures_have_a_largest_side(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_heat_picture_options options = of_heat_picture_options_default();
    static const uint8_t pixels[3 * 16 * 16];
    static const double heat[16 * 16];
    uint8_t *png = NULL;
    size_t size;
    of_error error;
    options.side = 30000;
    assert_int_equal(of_heat_picture(&a, pixels, heat, 1, &options, &png, &size, &error),
                     OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "side");
    a.channels = 2;
    assert_int_equal(of_heat_picture(&a, pixels, heat, 1, NULL, &png, &size, &error),
                     OF_ERROR_ARGUMENT);
    assert_null(png);
}

/* Of probabilities, whatever the bins of the two inputs; an ensemble is of one input. */
static void test_inputs_may_differ(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2), b = a;
    b.input.bin = 1.0 / 32;
    of_model *own = make_model(&a), *other = make_model(&b);
    of_detector *detector = detector_of(own, other, 1);
    uint8_t *pixels = take_images(&a, "synthetic:shapes:2", 2);
    double logp[2], general[2], ratios[2];
    forward(own, pixels, 2, logp);
    forward(other, pixels, 2, general);
    const of_batch batch = {OF_PIXEL_U8, pixels, 2};
    assert_int_equal(of_detector_score(detector, &batch, &ratio, 1, ratios, NULL), OF_OK);
    for (int i = 0; i < 2; i++)
        assert_true(fabs(ratios[i] - (of_nll(&a, logp[i]) - of_nll(&b, general[i]))) < 1e-6);
    of_detector_free(detector);
    const of_model *const members[] = {other};
    const of_detector_models models = {
        .size = sizeof models, .model = own, .ensemble = members, .ensemble_count = 1};
    of_error error;
    assert_int_equal(of_detector_create(&models, NULL, &detector, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "input.bin"));
    free(pixels);
    of_model_free(own);
    of_model_free(other);
}

static void test_models_that_are_missing_in_an_ensemble(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    const of_model *const members[] = {model, NULL};
    const of_detector_models models = {
        .size = sizeof models, .model = model, .ensemble = members, .ensemble_count = 2};
    of_detector *detector = NULL;
    of_error error;
    assert_int_equal(of_detector_create(&models, NULL, &detector, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "ensemble");
    of_model_free(model);
}

/* A calibration that was made with a general model of more scales than the one at hand. */
static void test_values_with_another_general_model(void **state) {
    (void)state;
    fixture f = make_fixture(3);
    static const double own[SCALES] = {-1, -2}, general[1] = {-3};
    const of_image_likelihood image = {.logp = -3,
                                       .contributions = own,
                                       .latent_squares = own,
                                       .general_logp = -3,
                                       .general_contributions = general,
                                       .general_latent_squares = general,
                                       .general_scales = 1,
                                       .png_bytes = 10};
    assert_int_equal(of_detector_calibrate(f.detector, "synthetic:shapes:120", NULL, NULL, NULL),
                     OF_OK);
    assert_true(isnan(of_detector_value(f.detector, combined, &image)));
    free_fixture(&f);
}

static void never(void *user, const char *text) {
    (void)user;
    fail_msg("an observer without a size was told: %s", text);
}

static void test_observers_are_checked_before_they_are_told(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    assert_int_equal(of_model_set_metadata(model, "training",
                                           "{\"data\":{\"source\":\"synthetic:shapes:120\"}}",
                                           NULL),
                     OF_OK);
    of_detector *detector = detector_of(model, NULL, 1);
    of_stream_observer observer = of_stream_observer_default();
    of_stream_options options = of_stream_options_default();
    observer.warn = never;
    observer.size = 0;
    options.observer = &observer;
    assert_true(of_detector_was_trained_on(detector, "synthetic:shapes:120"));
    assert_int_equal(of_detector_calibrate(detector, "synthetic:shapes:120", &options, NULL, NULL),
                     OF_ERROR_ARGUMENT);
    of_detector_free(detector);
    of_model_free(model);
}

static void keep_text(void *user, const char *text) {
    (void)snprintf(user, 1024, "%s", text);
}

static void test_warnings_are_one_line(void **state) {
    (void)state;
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    char text[1024] = "";
    of_stream_observer observer = of_stream_observer_default();
    of_stream_options options = of_stream_options_default();
    assert_int_equal(of_model_set_metadata(model, "training",
                                           "{\"data\":{\"source\":\"/nowhere/a\\nb\"}}", NULL),
                     OF_OK);
    of_detector *detector = detector_of(model, NULL, 1);
    observer.warn = keep_text;
    observer.user = text;
    options.observer = &observer;
    assert_int_equal(of_detector_calibrate(detector, "/nowhere/a\nb", &options, NULL, NULL),
                     OF_ERROR_IO);
    assert_memory_equal(text, "/nowhere/a?b is what", 20);
    of_detector_free(detector);
    of_model_free(model);
}

/* What a visit of images in memory has seen. */
typedef struct seen_images {
    const of_detector *detector;
    double values[8], png_bytes[8];
    size_t count;
} seen_images;

static of_status see(void *user, const of_scored_batch *batch, of_error *error) {
    seen_images *seen = user;
    (void)error;
    for (size_t i = 0; i < of_scored_count(batch); i++) {
        const of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        seen->values[seen->count] =
            of_detector_value(seen->detector, (of_score){OF_SCORE_NLL, 0}, &likelihood);
        seen->png_bytes[seen->count++] = likelihood.png_bytes;
    }
    return OF_OK;
}

static of_status refuse(void *user, const of_scored_batch *batch, of_error *error) {
    (void)user;
    (void)batch;
    return of_fail(error, OF_ERROR_NUMERIC, "no more");
}

static void test_visits_of_images_in_memory(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_score score = {OF_SCORE_NLL, 0};
    uint8_t *pixels = take_images(of_detector_architecture(f.detector), "synthetic:shapes", 8);
    const of_batch batch = {OF_PIXEL_U8, pixels, 8}, none = {OF_PIXEL_U8, NULL, 8};
    seen_images seen = {.detector = f.detector};
    double expected[8];
    of_error error;
    assert_int_equal(of_detector_score(f.detector, &batch, &score, 1, expected, NULL), OF_OK);
    assert_int_equal(of_detector_visit(f.detector, &batch, OF_NEEDS_PNG, see, &seen, &error),
                     OF_OK);
    assert_int_equal(seen.count, 8);
    assert_memory_equal(seen.values, expected, sizeof expected);
    for (size_t i = 0; i < 8; i++)
        assert_true(seen.png_bytes[i] > 0);
    assert_int_equal(of_detector_visit(f.detector, &batch, 0, refuse, NULL, &error),
                     OF_ERROR_NUMERIC);
    assert_string_equal(error.message, "no more");
    assert_int_equal(of_detector_visit(f.detector, &none, 0, see, &seen, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_detector_visit(f.detector, &batch, 0, NULL, NULL, &error),
                     OF_ERROR_ARGUMENT);
    free(pixels);
    free_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_follow_the_models),
        cmocka_unit_test(test_scores_by_name),
        cmocka_unit_test(test_sizes_must_fit),
        cmocka_unit_test(test_values_are_those_of_the_models),
        cmocka_unit_test(test_floats_are_coded_as_bytes),
        cmocka_unit_test(test_encoded_images),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_calibration_makes_p_values),
        cmocka_unit_test(test_calibration_from_a_source),
        cmocka_unit_test(test_one_file_holds_all),
        cmocka_unit_test(test_changed_weights_are_not_saved),
        cmocka_unit_test(test_heat_sums_to_the_score),
        cmocka_unit_test(test_relative_heat_and_pictures),
        cmocka_unit_test(test_unknown_scores_are_refused),
        cmocka_unit_test(test_unknown_pixel_types_are_refused),
        cmocka_unit_test(test_references_belong_to_a_score_and_a_size),
        cmocka_unit_test(test_pictures_have_a_largest_side),
        cmocka_unit_test(test_inputs_may_differ),
        cmocka_unit_test(test_models_that_are_missing_in_an_ensemble),
        cmocka_unit_test(test_values_with_another_general_model),
        cmocka_unit_test(test_observers_are_checked_before_they_are_told),
        cmocka_unit_test(test_warnings_are_one_line),
        cmocka_unit_test(test_visits_of_images_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
