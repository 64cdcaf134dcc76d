/* SPDX-License-Identifier: Apache-2.0 */
/* Quantizing detectors: what is measured of scores, and which are then refused. */
#define _POSIX_C_SOURCE 200809L
#include "detect/detector.h"
#include "detect/losses.h"
#include "detect/unusual.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "detector_fixture.h"

enum { IMAGES = 120 };

static const char FILE_NAME[] = "test_quantize.safetensors";
static const of_score NLL = {OF_SCORE_NLL, 0}, RATIO = {OF_SCORE_RATIO, 0},
                      WEBP = {OF_SCORE_COMPLEXITY_WEBP, 0};

static bool has_int8(void) {
    of_precision precision;
    of_error error;
    if (of_precision_resolve(OF_PRECISION_INT8, OF_ISA_AUTO, &precision, &error) == OF_OK)
        return true;
    print_message("SKIPPED: %s\n", error.message);
    return false;
}

static void quantize(of_detector *detector, const uint8_t *pixels, size_t count) {
    const of_batch batch = {OF_PIXEL_U8, pixels, count};
    of_error error;
    if (of_detector_quantize_pixels(detector, &batch, "shapes", &error) != OF_OK)
        fail_msg("%s", error.message);
}

static void save(const of_detector *detector) {
    of_save_options options = of_save_options_default();
    of_error error;
    options.bundle = true;
    if (of_detector_save(detector, FILE_NAME, &options, &error) != OF_OK)
        fail_msg("%s", error.message);
}

static of_status open_int8(bool lossy, of_detector **detector, of_error *error) {
    of_detector_options options = of_detector_options_default();
    options.model = FILE_NAME;
    options.precision = OF_PRECISION_INT8;
    options.threads = 1;
    options.lossy_scores = lossy;
    return of_detector_open(&options, detector, error);
}

/* The file of a detector that was quantized on so many images. */
static void make_file(size_t images, unsigned threads) {
    fixture f = make_fixture(2);
    uint8_t *pixels = take_images(of_detector_architecture(f.detector), "synthetic:shapes", IMAGES);
    of_detector *detector = detector_of(f.model, f.general, threads);
    quantize(detector, pixels, images);
    save(detector);
    of_detector_free(detector);
    free(pixels);
    free_fixture(&f);
}

static void losses_are_measured_and_kept(void **state) {
    of_detector *detector = NULL;
    of_error error;
    (void)state;
    if (!has_int8())
        skip();
    make_file(IMAGES, 2);
    assert_int_equal(open_int8(true, &detector, &error), OF_OK);
    assert_int_equal(of_detector_lossy_scores(detector, NULL, 0), 0);
    const of_precision_loss *loss = of_detector_precision_loss(detector, RATIO);
    assert_non_null(loss);
    assert_true(loss->error >= 0 && fabs(loss->auroc) < 0.5);
    assert_true(loss->p_value >= 0 && loss->flagged >= 0 && loss->flagged <= 1);
    assert_true(strlen(loss->against) > 0);
    assert_null(of_detector_precision_loss(detector, WEBP));
    of_detector_free(detector);
    (void)unlink(FILE_NAME);
}

static char *file_text(size_t *size) {
    FILE *file = fopen(FILE_NAME, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    (void)fclose(file);
    return bytes;
}

static void results_do_not_depend_on_threads(void **state) {
    size_t sizes[2];
    char *files[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        make_file(IMAGES, 1 + 2 * i);
        files[i] = file_text(&sizes[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(files[0], files[1], sizes[0]);
    free(files[0]);
    free(files[1]);
    (void)unlink(FILE_NAME);
}

/* Without a measurement nothing is known. */
static void what_was_not_measured_is_refused(void **state) {
    of_detector *detector = NULL;
    of_error error;
    of_score score;
    (void)state;
    if (!has_int8())
        skip();
    make_file(30, 1);
    assert_int_equal(open_int8(false, &detector, &error), OF_OK);
    assert_int_equal(of_detector_check_score(detector, NLL, &error), OF_ERROR_UNSUPPORTED);
    assert_string_equal(error.setting, "lossy_scores");
    assert_non_null(strstr(error.message, "quantize them again"));
    assert_null(strstr(error.message, "--"));
    assert_int_equal(of_detector_find_score(detector, NULL, &score, &error), OF_ERROR_UNSUPPORTED);
    assert_int_equal(of_detector_scores(detector, NULL, 0), 0);
    assert_true(of_detector_lossy_scores(detector, NULL, 0) > 3);
    of_detector_free(detector);
    assert_int_equal(open_int8(true, &detector, &error), OF_OK);
    assert_int_equal(of_detector_check_score(detector, NLL, &error), OF_OK);
    of_detector_free(detector);
    (void)unlink(FILE_NAME);
}

static void calibrating_refuses_too(void **state) {
    of_detector *detector = NULL;
    of_error error;
    (void)state;
    if (!has_int8())
        skip();
    make_file(30, 1);
    assert_int_equal(open_int8(false, &detector, &error), OF_OK);
    uint8_t *pixels = take_images(of_detector_architecture(detector), "synthetic:shapes", IMAGES);
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    assert_int_equal(of_detector_calibrate_pixels(detector, &batch, NULL, &error),
                     OF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "calibrate in f32"));
    free(pixels);
    of_detector_free(detector);
    (void)unlink(FILE_NAME);
}

/* ---- The record ---------------------------------------------------------------------------- */

static const of_losses_models own_models = {
    .model = 1, .general = 2, .ranges = "g", .own_ranges = "m"};

/* What is read back where the models are these. */
static size_t read_count(const char *text, of_losses_models models) {
    of_architecture a = small_architecture(16, 2);
    of_model *model = make_model(&a);
    of_losses losses;
    assert_int_equal(of_model_set_metadata(model, of_losses_key, text, NULL), OF_OK);
    of_losses_read(model, &models, &losses);
    of_model_free(model);
    return losses.count;
}

static void losses_hold_for_their_models_alone(void **state) {
    of_losses losses = {.count = 3};
    (void)state;
    losses.items[0] = (of_precision_loss){.score = NLL, .auroc = 0.01, .against = "x"};
    losses.items[1] = (of_precision_loss){.score = RATIO, .auroc = -0.01, .against = "y"};
    losses.items[2] = (of_precision_loss){.score = {OF_SCORE_COMBINED, 0}, .against = "z"};
    char *text = of_losses_print(&losses, &own_models, 99);
    assert_non_null(text);
    assert_int_equal(read_count(text, own_models), 3);
    of_losses_models other = own_models;
    other.general = 3;
    assert_int_equal(read_count(text, other), 1);
    other = own_models;
    other.ranges = "other";
    assert_int_equal(read_count(text, other), 1);
    other.general = 0;
    assert_int_equal(read_count(text, other), 1);
    other = own_models;
    other.own_ranges = "other";
    assert_int_equal(read_count(text, other), 0);
    other = own_models;
    other.model = 4;
    assert_int_equal(read_count(text, other), 0);
    free(text);
    assert_int_equal(read_count("{\"version\":1", own_models), 0);
    assert_int_equal(read_count("{}", own_models), 0);
}

static void a_loss_is_large_above_the_limit(void **state) {
    (void)state;
    assert_true(of_precision_loss_is_large(&(of_precision_loss){.auroc = 0.0031, .error = 0.001}));
    assert_false(of_precision_loss_is_large(&(of_precision_loss){.auroc = 0.0019, .error = 0}));
    assert_false(of_precision_loss_is_large(&(of_precision_loss){.auroc = -0.01, .error = 0}));
}

/* ---- Outliers ------------------------------------------------------------------------------ */

static void outliers_are_unlike_their_images(void **state) {
    const of_architecture shapes[] = {small_architecture(16, 2), small_architecture(28, 1)};
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        size_t bytes = of_architecture_dimensions(&shapes[s]);
        uint8_t *usual = take_images(&shapes[s], "synthetic:textures", 8);
        uint8_t *made = malloc(8 * bytes), *again = malloc(8 * bytes);
        assert_true(made != NULL && again != NULL);
        for (int kind = 0; kind < OF_UNUSUAL_KINDS; kind++) {
            assert_true(strlen(of_unusual_name((of_unusual)kind)) > 0);
            assert_int_equal(of_unusual_make((of_unusual)kind, &shapes[s], usual, 8, made, NULL),
                             OF_OK);
            assert_int_equal(of_unusual_make((of_unusual)kind, &shapes[s], usual, 8, again, NULL),
                             OF_OK);
            assert_memory_equal(made, again, 8 * bytes);
            assert_memory_not_equal(made, usual, 8 * bytes);
        }
        free(usual);
        free(made);
        free(again);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_measured_and_kept),
        cmocka_unit_test(results_do_not_depend_on_threads),
        cmocka_unit_test(what_was_not_measured_is_refused),
        cmocka_unit_test(calibrating_refuses_too),
        cmocka_unit_test(losses_hold_for_their_models_alone),
        cmocka_unit_test(a_loss_is_large_above_the_limit),
        cmocka_unit_test(outliers_are_unlike_their_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
