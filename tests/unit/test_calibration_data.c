/* SPDX-License-Identifier: Apache-2.0 */
/* The conformal guarantee on photographs: CIFAR-10 test images that the reference models have not
 * seen, split at random into calibration and fresh images, many times. Skips without ../shared. */
#include "core/random.h"
#include "score/binomial.h"
#include "score/stream.h"

#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EVERY = 8, IMAGES = 500, SCALES = 3, CALIBRATION = 300, SPLITS = 40 };

typedef struct kept_image {
    double own[SCALES], own_squares[SCALES], general[SCALES], general_squares[SCALES];
    double logp, general_logp, png_bytes;
} kept_image;

typedef struct kept_set {
    kept_image images[IMAGES];
    size_t count;
} kept_set;

static of_status keep(void *user, const of_scored_batch *batch, of_error *error) {
    kept_set *set = user;
    (void)error;
    for (size_t i = 0; i < batch->count && set->count < IMAGES; i++) {
        of_image_likelihood image = of_scored_image(batch, i);
        kept_image *kept = &set->images[set->count++];
        memcpy(kept->own, image.contributions, sizeof kept->own);
        memcpy(kept->own_squares, image.latent_squares, sizeof kept->own_squares);
        memcpy(kept->general, image.general_contributions, sizeof kept->general);
        memcpy(kept->general_squares, image.general_latent_squares, sizeof kept->general_squares);
        kept->logp = image.logp;
        kept->general_logp = image.general_logp;
        kept->png_bytes = image.png_bytes;
    }
    return OF_OK;
}

static of_image_likelihood image_of(const kept_image *kept) {
    return (of_image_likelihood){.logp = kept->logp,
                                 .contributions = kept->own,
                                 .general_logp = kept->general_logp,
                                 .general_contributions = kept->general,
                                 .latent_squares = kept->own_squares,
                                 .general_latent_squares = kept->general_squares,
                                 .png_bytes = kept->png_bytes};
}

static of_model *load(const char *name) {
    char path[1024];
    of_model *model = NULL;
    (void)snprintf(path, sizeof path, "%s/models/%s", TEST_SHARED_DIR, name);
    return of_model_load(path, &model, NULL) == OF_OK ? model : NULL;
}

static void score_images(const of_model *model, const of_model *general, kept_set *set) {
    of_stream_models models = {.with_png = true};
    of_source *source;
    assert_int_equal(of_plan_compile(model, NULL, &models.plan, NULL), OF_OK);
    assert_int_equal(of_plan_compile(general, NULL, &models.general, NULL), OF_OK);
    of_source_options options = of_source_options_default(of_plan_architecture(models.plan));
    assert_int_equal(
        of_source_open(TEST_SHARED_DIR "/data/cifar10-test.tar", &options, &source, NULL), OF_OK);
    assert_int_equal(of_stream_run(source, &models, 512, EVERY, keep, set, NULL), OF_OK);
    assert_int_equal(set->count, IMAGES);
    of_source_free(source);
    of_plan_free(models.plan);
    of_plan_free(models.general);
}

/* A random order of the images (Fisher and Yates). */
static void shuffle(uint64_t split, size_t order[IMAGES]) {
    of_random random = of_random_stream(11, split);
    for (size_t i = 0; i < IMAGES; i++)
        order[i] = i;
    for (size_t i = IMAGES - 1; i > 0; i--) {
        size_t other = of_random_below(&random, (uint32_t)i + 1), moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

static of_calibration *calibrate(const of_calibration_options *options, const kept_set *set,
                                 const size_t *order) {
    of_calibrator *calibrator;
    of_calibration *calibration;
    assert_int_equal(of_calibrator_create(options, &calibrator, NULL), OF_OK);
    for (size_t i = 0; i < CALIBRATION; i++) {
        of_image_likelihood image = image_of(&set->images[order[i]]);
        assert_int_equal(of_calibrator_add(calibrator, &image, NULL), OF_OK);
    }
    assert_int_equal(of_calibrator_finish(calibrator, &calibration, NULL), OF_OK);
    of_calibrator_free(calibrator);
    return calibration;
}

static uint64_t count_flagged(const of_calibration *calibration, of_score score,
                              const kept_set *set, const size_t *order, double rate) {
    uint64_t flagged = 0;
    for (size_t i = CALIBRATION; i < IMAGES; i++) {
        of_image_likelihood image = image_of(&set->images[order[i]]);
        double value = of_calibrated_value(calibration, score, &image);
        flagged += of_calibration_p_value(calibration, score, value) <= rate;
    }
    return flagged;
}

static void test_photographs(void **state) {
    (void)state;
    static const of_score scores[] = {{OF_SCORE_COMBINED, 0},
                                      {OF_SCORE_TYPICALITY, 0},
                                      {OF_SCORE_RATIO, 0},
                                      {OF_SCORE_COMPLEXITY, 0}};
    enum { SCORES = sizeof scores / sizeof *scores };
    static kept_set set;
    size_t order[IMAGES];
    uint64_t flagged[SCORES] = {0};
    const double rate = 0.1;
    of_model *model = load("cifar10-k8h64.safetensors");
    of_model *general = load("cifar100-k8h64.safetensors");
    if (model == NULL || general == NULL) {
        print_message("SKIPPED: no models in " TEST_SHARED_DIR "\n");
        of_model_free(model);
        of_model_free(general);
        skip();
    }
    score_images(model, general, &set);
    for (uint64_t split = 0; split < SPLITS; split++) {
        shuffle(split, order);
        of_calibration *calibration = calibrate(
            &(of_calibration_options){
                .size = sizeof(of_calibration_options), .model = model, .general = general},
            &set, order);
        for (size_t k = 0; k < SCORES; k++)
            flagged[k] += count_flagged(calibration, scores[k], &set, order, rate);
        of_calibration_free(calibration);
    }
    /* The average over splits of the same images is what the guarantee speaks of; as splits share
     * images, its uncertainty is that of one split's fresh images at most. */
    for (size_t k = 0; k < SCORES; k++) {
        of_interval interval =
            of_binomial_interval(flagged[k] / SPLITS, IMAGES - CALIBRATION, 0.99);
        assert_true(interval.low <= rate && rate <= interval.high);
        assert_true((double)flagged[k] / (SPLITS * (IMAGES - CALIBRATION)) < rate + 0.015);
    }
    of_model_free(model);
    of_model_free(general);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_photographs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
