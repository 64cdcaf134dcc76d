/* SPDX-License-Identifier: Apache-2.0 */
/* Calibrations: fit, values, p-values, exact text, hostile text, weight files. */
#define _POSIX_C_SOURCE 200809L
#include "core/random.h"
#include "model/model.h"
#include "model/weights.h"
#include "score/binomial.h"
#include "score/calibration.h"

#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SCALES = 2 };

static of_model *make_model(uint64_t seed) {
    of_architecture architecture = of_architecture_default();
    of_model *model;
    architecture.height = architecture.width = 8;
    architecture.scales = SCALES;
    architecture.steps = 1;
    architecture.hidden = 4;
    assert_int_equal(of_model_create(&architecture, seed, &model, NULL), OF_OK);
    return model;
}

/* What a model might say of an image: correlated statistics, of several sizes. */
typedef struct made_image {
    double own[SCALES], own_squares[SCALES], general[SCALES], general_squares[SCALES];
    of_image_likelihood image;
} made_image;

static void make_image(uint64_t seed, uint64_t index, double shift, made_image *made) {
    of_random random = of_random_stream(seed, index);
    double shared = of_random_normal(&random);
    for (int s = 0; s < SCALES; s++) {
        made->own[s] = 300 * (s + 1) + 50 * (shared + 0.3 * of_random_normal(&random)) + shift;
        made->general[s] = made->own[s] - 20 + 3 * of_random_normal(&random);
        made->own_squares[s] = 96 * exp(0.2 * of_random_normal(&random));
        made->general_squares[s] = made->own_squares[s] * exp(0.05 * of_random_normal(&random));
    }
    made->image = (of_image_likelihood){.logp = made->own[0] + made->own[1],
                                        .contributions = made->own,
                                        .general_logp = made->general[0] + made->general[1],
                                        .general_contributions = made->general,
                                        .latent_squares = made->own_squares,
                                        .general_latent_squares = made->general_squares,
                                        .png_bytes = 250 - 20 * shared};
}

static of_status calibrate(const of_calibration_options *options, uint64_t seed, size_t images,
                           of_calibration **calibration, of_error *error) {
    of_calibrator *calibrator;
    assert_int_equal(of_calibrator_create(options, &calibrator, error), OF_OK);
    for (size_t i = 0; i < images; i++) {
        made_image made;
        make_image(seed, i, 0, &made);
        assert_int_equal(of_calibrator_add(calibrator, &made.image, error), OF_OK);
    }
    of_status status = of_calibrator_finish(calibrator, calibration, error);
    of_calibrator_free(calibrator);
    return status;
}

static const of_score combined = {OF_SCORE_COMBINED, 0}, typicality = {OF_SCORE_TYPICALITY, 0},
                      nll = {OF_SCORE_NLL, 0}, ratio = {OF_SCORE_RATIO, 0};

/* Unlikely and too likely images are both far away; normal ones are where three tests
 * without surprise are. */
static void test_two_sided(void **state) {
    (void)state;
    of_model *model = make_model(1), *general = make_model(2);
    of_calibration *calibration;
    assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                         .model = model,
                                                         .general = general},
                               1, 2000, &calibration, NULL),
                     OF_OK);
    double mean = 0;
    for (size_t i = 0; i < 500; i++) {
        made_image normal, likely, unlikely;
        make_image(9, i, 0, &normal);
        make_image(9, i, 400, &likely);
        make_image(9, i, -400, &unlikely);
        mean += of_calibrated_value(calibration, combined, &normal.image) / 500;
        const made_image *strange[] = {&likely, &unlikely};
        for (int k = 0; k < 2; k++) {
            double far = of_calibrated_value(calibration, combined, &strange[k]->image);
            double atypical = of_calibrated_value(calibration, typicality, &strange[k]->image);
            assert_true(of_calibration_p_value(calibration, combined, far) < 0.01);
            assert_true(of_calibration_p_value(calibration, typicality, atypical) < 0.01);
        }
    }
    assert_true(mean > 2.5 && mean < 3.6); /* -ln p has mean 1 for uniform p; there are three */
    of_calibration_free(calibration);
    of_model_free(model);
    of_model_free(general);
}

/* The guarantee, for a score that is fitted and one that is not: over many calibrations, the share
 * of fresh images with p <= a is a, within what chance allows. */
static void test_guarantee(void **state) {
    (void)state;
    enum { ROUNDS = 60, IMAGES = 120, FRESH = 50 };
    of_model *model = make_model(1), *general = make_model(2);
    const of_score scores[] = {combined, typicality, nll, ratio};
    double flagged[4] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        of_calibration *calibration;
        assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                             .model = model,
                                                             .general = general},
                                   100 + round, IMAGES, &calibration, NULL),
                         OF_OK);
        for (uint64_t i = 0; i < FRESH; i++) {
            made_image made;
            make_image(100 + round, IMAGES + i, 0, &made);
            for (size_t k = 0; k < 4; k++) {
                double value = of_calibrated_value(calibration, scores[k], &made.image);
                flagged[k] += of_calibration_p_value(calibration, scores[k], value) <= 0.1;
            }
        }
        of_calibration_free(calibration);
    }
    /* Rates of a round vary with its calibration set: Beta(n a, n (1 - a)), so sqrt(a (1 - a)/n)
     * over sqrt(ROUNDS), about 0.005 for n = 60; and p <= 0.1 has probability floor(0.1 (n + 1)) /
     * (n + 1), 0.098 or 0.099 here. */
    for (size_t k = 0; k < 4; k++) {
        double share = flagged[k] / (ROUNDS * FRESH);
        assert_true(share > 0.075 && share < 0.12);
    }
    of_model_free(model);
    of_model_free(general);
}

static void expect_error(of_status status, of_status expected, const of_error *error,
                         const char *text) {
    assert_int_equal(status, expected);
    if (strstr(error->message, text) == NULL)
        fail_msg("'%s' does not say '%s'", error->message, text);
}

static void test_too_few(void **state) {
    (void)state;
    of_model *model = make_model(1);
    of_calibration *calibration;
    of_error error;
    const of_calibration_options options = {.size = sizeof options, .model = model};
    const of_calibration_options unset = {.model = model};
    of_calibrator *calibrator = NULL;
    expect_error(of_calibrator_create(&unset, &calibrator, &error), OF_ERROR_ARGUMENT, &error,
                 "size is not set");
    expect_error(calibrate(&options, 1, 0, &calibration, &error), OF_ERROR_ARGUMENT, &error,
                 "0 images are too few");
    expect_error(calibrate(&options, 1, OF_CALIBRATION_LEAST - 1, &calibration, &error),
                 OF_ERROR_ARGUMENT, &error, "at least 100");
    assert_int_equal(calibrate(&options, 1, 200, &calibration, &error), OF_OK);
    assert_int_equal(of_calibration_check_rate(calibration, combined, 0.01, &error), OF_OK);
    expect_error(of_calibration_check_rate(calibration, combined, 0.009, &error), OF_ERROR_ARGUMENT,
                 &error, "at least 222 calibration images");
    assert_int_equal(of_calibration_check_rate(calibration, nll, 0.005, &error), OF_OK);
    expect_error(of_calibration_check_rate(calibration, nll, 0.004, &error), OF_ERROR_ARGUMENT,
                 &error, "at least 249 calibration images");
    expect_error(of_calibration_check_rate(calibration, nll, 0, &error), OF_ERROR_ARGUMENT, &error,
                 "between 0 and 1");
    of_calibration_free(calibration);
    of_model_free(model);
}

static void test_belongs_to_models(void **state) {
    (void)state;
    of_model *model = make_model(1), *general = make_model(2), *other = make_model(3);
    of_calibration *calibration, *read;
    of_error error;
    uint64_t known = of_model_fingerprint(general), unknown = of_model_fingerprint(other);
    assert_true(known != unknown && known != 0);
    assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                         .model = model,
                                                         .general = general},
                               1, 200, &calibration, &error),
                     OF_OK);
    assert_int_equal(of_calibration_check(calibration, combined, known, 0, &error), OF_OK);
    assert_int_equal(of_calibration_check(calibration, nll, unknown, 0, &error), OF_OK);
    expect_error(of_calibration_check(calibration, combined, unknown, 0, &error), OF_ERROR_MISMATCH,
                 &error, "another general model");
    expect_error(of_calibration_check(calibration, ratio, unknown, 0, &error), OF_ERROR_MISMATCH,
                 &error, "another general model");
    expect_error(of_calibration_check(calibration, combined, 0, 0, &error), OF_ERROR_MISMATCH,
                 &error, "together with a general model");
    expect_error(
        of_calibration_check(calibration, (of_score){OF_SCORE_ENSEMBLE, 0}, known, 7, &error),
        OF_ERROR_MISMATCH, &error, "without an ensemble");
    assert_int_equal(of_calibration_attach(calibration, model, &error), OF_OK);
    expect_error(of_calibration_attach(calibration, other, &error), OF_ERROR_MISMATCH, &error,
                 "other weights");
    of_model_values(model, 0)[0] += 1;
    expect_error(of_calibration_read(model, &read, &error), OF_ERROR_MISMATCH, &error,
                 "other weights");
    assert_null(read);
    assert_int_equal(of_calibration_read(other, &read, &error), OF_OK);
    assert_null(read);
    of_calibration_free(calibration);
    of_model_free(model);
    of_model_free(general);
    of_model_free(other);
}

/* Text and back: every value and p-value has the same bits. */
static void test_round_trip(void **state) {
    (void)state;
    of_model *model = make_model(1), *general = make_model(2);
    of_calibration *calibration, *read;
    const of_score scores[] = {combined, typicality,          nll,
                               ratio,    {OF_SCORE_SCALE, 1}, {OF_SCORE_COMPLEXITY, 0}};
    assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                         .model = model,
                                                         .general = general,
                                                         .source = "held \"out\" \xc3\xbc"},
                               3, 3001, &calibration, NULL),
                     OF_OK);
    assert_int_equal(of_calibration_attach(calibration, model, NULL), OF_OK);
    assert_int_equal(of_calibration_read(model, &read, NULL), OF_OK);
    of_calibration_info info = of_calibration_describe(read);
    assert_int_equal(info.images, 3001);
    assert_string_equal(info.source, "held \"out\" \xc3\xbc");
    assert_true(info.mean_nll == of_calibration_describe(calibration).mean_nll);
    for (uint64_t i = 0; i < 200; i++) {
        made_image made;
        make_image(4, i, (double)i - 100, &made);
        for (size_t k = 0; k < sizeof scores / sizeof *scores; k++) {
            double value = of_calibrated_value(calibration, scores[k], &made.image);
            assert_true(value == of_calibrated_value(read, scores[k], &made.image));
            assert_true(of_calibration_p_value(calibration, scores[k], value) ==
                        of_calibration_p_value(read, scores[k], value));
        }
    }
    of_calibration_free(calibration);
    of_calibration_free(read);
    of_model_free(model);
    of_model_free(general);
}

/* Copies `text` with the first `old` after `from` replaced. */
static char *replaced(const char *text, const char *from, const char *old, const char *new) {
    const char *place = strstr(text, from);
    assert_non_null(place);
    place = strstr(place, old);
    assert_non_null(place);
    size_t before = (size_t)(place - text), size = strlen(text) + strlen(new) + 1;
    char *copy = malloc(size);
    assert_non_null(copy);
    (void)snprintf(copy, size, "%.*s%s%s", (int)before, text, new, place + strlen(old));
    return copy;
}

static double upper_tail(const of_spread *normal, double value) {
    return -log(0.5 * erfc((value - normal->mean) / normal->deviation / sqrt(2)));
}

/* With a general model `combined` is the test of the distance and twice that of the ratio;
 * calibrations of versions 1 and 2 keep to the tests that their p-values are of. */
static void test_ratio_joins(void **state) {
    (void)state;
    of_model *model = make_model(1), *general = make_model(2);
    const of_architecture *architecture = of_model_architecture(model);
    of_calibration *calibration, *before, *second, *read;
    of_error error;
    assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                         .model = model,
                                                         .general = general},
                               1, 2000, &calibration, NULL),
                     OF_OK);
    const of_score complexity = {OF_SCORE_COMPLEXITY, 0};
    const of_combination *parts = &calibration->combination;
    char *text = of_calibration_print(calibration);
    char *first = replaced(text, "version", "4", "1"), *plain = replaced(text, "version", "4", "2");
    assert_int_equal(of_calibration_parse(first, architecture, &before, NULL), OF_OK);
    assert_int_equal(of_calibration_parse(plain, architecture, &second, NULL), OF_OK);
    for (uint64_t i = 0; i < 100; i++) {
        made_image made;
        make_image(4, i, 0, &made);
        made.image.general_logp += 0.2 * ((double)i - 50);
        double two = of_calibrated_value(before, combined, &made.image);
        double three = of_calibrated_value(second, combined, &made.image);
        double now = of_calibrated_value(calibration, combined, &made.image);
        double by_ratio =
            upper_tail(&parts->ratio, of_calibrated_value(before, ratio, &made.image));
        double by_complexity =
            upper_tail(&parts->complexity, of_calibrated_value(before, complexity, &made.image));
        assert_true(fabs(three - two - by_ratio) < 1e-9 * three);
        assert_true(fabs(now - two + by_complexity - 2 * by_ratio) < 1e-9 * (now + three));
    }
    /* written again, it is what it was: found by the fuzzer */
    char *again = of_calibration_print(before);
    assert_int_equal(of_calibration_parse(again, architecture, &read, NULL), OF_OK);
    assert_true(read->combination.ratio_weight == 0);
    of_calibration_free(read);
    free(again);
    again = of_calibration_print(second);
    assert_non_null(strstr(again, "\"version\":2"));
    free(again);
    char *missing = replaced(text, "complexity", "\"ratio\"", "\"ration\"");
    char *negative = replaced(text, "\"ratio\":[", ",", ",-");
    char *unweighted = replaced(text, "\"weights\"", "weights", "heights");
    char *below_zero = replaced(text, "\"weights\":[", ",", ",-");
    expect_error(of_calibration_parse(unweighted, architecture, &read, &error), OF_ERROR_FORMAT,
                 &error, "'weights'");
    expect_error(of_calibration_parse(below_zero, architecture, &read, &error), OF_ERROR_FORMAT,
                 &error, "'weights'");
    expect_error(of_calibration_parse(missing, architecture, &read, &error), OF_ERROR_FORMAT,
                 &error, "'ratio'");
    expect_error(of_calibration_parse(negative, architecture, &read, &error), OF_ERROR_FORMAT,
                 &error, "'ratio'");
    free(text);
    free(first);
    free(plain);
    free(missing);
    free(negative);
    free(unweighted);
    free(below_zero);
    of_calibration_free(before);
    of_calibration_free(second);
    of_calibration_free(calibration);
    of_model_free(model);
    of_model_free(general);
}

static void test_hostile_text(void **state) {
    (void)state;
    static const struct {
        const char *from, *old, *new, *reason;
    } edits[] = {
        {"version", "2", "6", "version 6 is unknown"},
        {"version", "2", "0", "version 0 is unknown"},
        {"\"images\"", "120", "1.5", "'images'"},
        {"\"images\"", "120", "40", "no number of images"},
        {"\"model\"", ":\"", ":\"x", "'model'"},
        {"general_scales", "0", "3", "'general_scales'"},
        {"general_scales", "0", "-1", "'general_scales'"},
        {"mean_nll", ":", ":1e999,\"x\":", "'mean_nll'"},
        {"deviation", "[", "[0,", "'density'"},
        {"deviation", "[", "[-", "'density'"},
        {"factor", "[", "[1,", "'density'"},
        {"factor", "[", "[-", "'density'"},
        {"\"distance\"", "[", "[1,", "'distance'"},
        {"\"complexity\":[", ",", ",-", "'complexity'"},
        {"\"nll\"", "nll", "null", "unknown score"},
        {"\"nll\"", "nll", "last", "appears twice"},
        {"\"nll\"", "nll", "scale:7", "2 scales"},
        {"values", "[", "[1e300,", "values or counts"},
        {"above", "[", "[1e300,", "values or counts"},
        {"above", "[119", "[118", "do not descend"},
        {"above", "[119", "[120", "do not descend"},
        {"above", "[119", "[\"a\"", "values or counts"},
        {"\"scores\"", "{", "[{", "JSON"},
        {"\"source\"", "\"source\"", "\"model\":\"\",\"source\"", "appears twice"},
    };
    of_model *model = make_model(1);
    of_calibration *calibration, *read = NULL;
    of_error error;
    assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                         .model = model,
                                                         .source = "a"},
                               1, 120, &calibration, NULL),
                     OF_OK);
    char *text = of_calibration_print(calibration);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char *edited = replaced(text, edits[i].from, edits[i].old, edits[i].new);
        of_status status =
            of_calibration_parse(edited, of_model_architecture(model), &read, &error);
        assert_true(status != OF_OK);
        if (strstr(error.message, edits[i].reason) == NULL)
            fail_msg("edit %zu: '%s' does not say '%s'", i, error.message, edits[i].reason);
        free(edited);
    }
    for (size_t length = 0; length < strlen(text); length += 97) {
        char *cut = strdup(text);
        cut[length] = '\0';
        assert_true(of_calibration_parse(cut, of_model_architecture(model), &read, &error) !=
                    OF_OK);
        free(cut);
    }
    free(text);
    of_calibration_free(calibration);
    of_model_free(model);
}

static size_t data_section(const char *path, unsigned char **bytes) {
    FILE *file = fopen(path, "rb");
    unsigned char prefix[8];
    assert_non_null(file);
    assert_int_equal(fread(prefix, 1, 8, file), 8);
    long start = 8 + (long)(prefix[0] | prefix[1] << 8 | prefix[2] << 16);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)(ftell(file) - start);
    *bytes = malloc(size);
    assert_non_null(*bytes);
    assert_int_equal(fseek(file, start, SEEK_SET), 0);
    assert_int_equal(fread(*bytes, 1, size, file), size);
    (void)fclose(file);
    return size;
}

/* Stored into a file of BF16 or F32 tensors: the tensors' bytes and other metadata stay. */
static void check_store(of_dtype storage) {
    char path[] = "calibration-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    of_model *model = make_model(5), *loaded;
    unsigned char *before, *after;
    of_calibration *calibration, *read;
    assert_int_equal(of_model_set_metadata(model, "training", "{\"seed\":1}", NULL), OF_OK);
    assert_int_equal(of_model_save_as(model, storage, path, NULL), OF_OK);
    of_model_free(model);
    size_t size = data_section(path, &before);
    assert_int_equal(of_model_load(path, &loaded, NULL), OF_OK);
    for (size_t images = 120; images <= 140; images += 20) { /* the second replaces the first */
        assert_int_equal(calibrate(&(of_calibration_options){.size = sizeof(of_calibration_options),
                                                             .model = loaded},
                                   1, images, &calibration, NULL),
                         OF_OK);
        assert_int_equal(of_calibration_store(calibration, path, NULL), OF_OK);
        of_calibration_free(calibration);
    }
    of_model_free(loaded);
    assert_int_equal(of_model_load(path, &loaded, NULL), OF_OK);
    assert_string_equal(of_model_metadata(loaded, "training"), "{\"seed\":1}");
    assert_int_equal(of_calibration_read(loaded, &read, NULL), OF_OK);
    assert_int_equal(of_calibration_describe(read).images, 140);
    of_calibration_free(read);
    of_model_free(loaded);
    assert_int_equal(data_section(path, &after), size);
    assert_memory_equal(before, after, size);
    assert_int_equal(of_calibration_store(NULL, path, NULL), OF_OK);
    assert_int_equal(of_model_load(path, &loaded, NULL), OF_OK);
    assert_null(of_model_metadata(loaded, "calibration"));
    of_model_free(loaded);
    free(before);
    free(after);
    (void)unlink(path);
}

static void test_store(void **state) {
    (void)state;
    check_store(OF_DTYPE_F32);
    check_store(OF_DTYPE_BF16);
}

/* Statistics that are constant, or copies of each other, leave a usable density. */
static void test_degenerate(void **state) {
    (void)state;
    of_model *model = make_model(1);
    of_calibrator *calibrator;
    of_calibration *calibration;
    const of_calibration_options options = {.size = sizeof options, .model = model};
    assert_int_equal(of_calibrator_create(&options, &calibrator, NULL), OF_OK);
    made_image made;
    for (uint64_t i = 0; i < 200; i++) {
        make_image(1, i, 0, &made);
        made.own[1] = made.own[0];
        made.own_squares[0] = 96;
        if (i % 10 == 9)
            made.own[0] = made.image.logp = (double)NAN;
        assert_int_equal(of_calibrator_add(calibrator, &made.image, NULL), OF_OK);
    }
    of_calibration_free(NULL);
    assert_int_equal(of_calibrator_finish(calibrator, &calibration, NULL), OF_OK);
    of_calibration *second = NULL;
    assert_int_equal(of_calibrator_add(calibrator, &made.image, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_calibrator_finish(calibrator, &second, NULL), OF_ERROR_ARGUMENT);
    assert_null(second);
    of_calibrator_free(calibrator);
    make_image(1, 1000, 0, &made);
    made.own_squares[0] = 97;
    assert_true(of_calibrated_value(calibration, combined, &made.image) > 1e6);
    made.own[0] = (double)NAN;
    assert_true(isnan(of_calibrated_value(calibration, combined, &made.image)));
    /* 20 of the 100 images that count were not finite: they are at least as anomalous */
    assert_true(of_calibration_p_value(calibration, combined, (double)NAN) == 21.0 / 101);
    of_calibration_free(calibration);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_sided),   cmocka_unit_test(test_guarantee),
        cmocka_unit_test(test_too_few),     cmocka_unit_test(test_belongs_to_models),
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_store),       cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_ratio_joins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
