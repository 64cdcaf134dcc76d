/* SPDX-License-Identifier: Apache-2.0 */
/* One detector, eight threads that score batches of mixed sizes, encoded images and heat at the
 * same time: the bits are those of each call alone. Runs for a second, or for as many as
 * OUTFLOW_TEST_SECONDS says. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "detector_fixture.h"
#include "image_fixture.h"

enum { THREADS = 8, IMAGES = 48, SCORES = 3, PIXELS = 16 * 16 };

static const of_score scores[SCORES] = {
    {OF_SCORE_NLL, 0}, {OF_SCORE_RATIO, 0}, {OF_SCORE_COMBINED, 0}};

/* What each call gives alone. */
typedef struct expectation {
    const of_detector *detector;
    const uint8_t *pixels;
    size_t image;
    double values[IMAGES][SCORES], encoded[SCORES], heat[IMAGES][PIXELS];
    double until;
    atomic_uint wrong, calls;
} expectation;

typedef struct caller {
    expectation *shared;
    uint64_t number;
} caller;

static const of_encoded_image upload = {image_bmp, sizeof image_bmp, "upload"};

static bool score_some(const expectation *e, size_t first, size_t count) {
    double values[IMAGES][SCORES];
    const of_batch batch = {OF_PIXEL_U8, e->pixels + first * e->image, count};
    return of_detector_score(e->detector, &batch, scores, SCORES, &values[0][0], NULL) == OF_OK &&
           memcmp(values, e->values[first], count * sizeof values[0]) == 0;
}

static bool score_upload(const expectation *e) {
    double values[SCORES];
    return of_detector_score_encoded(e->detector, &upload, 1, scores, SCORES, values, NULL, NULL,
                                     NULL) == OF_OK &&
           memcmp(values, e->encoded, sizeof values) == 0;
}

static bool heat_one(const expectation *e, size_t image) {
    double heat[PIXELS];
    const of_batch batch = {OF_PIXEL_U8, e->pixels + image * e->image, 1};
    return of_detector_heat(e->detector, scores[1], &batch, heat, NULL) == OF_OK &&
           memcmp(heat, e->heat[image], sizeof heat) == 0;
}

static void *call_again_and_again(void *user) {
    const caller *self = user;
    expectation *e = self->shared;
    of_random random = of_random_stream(17, self->number);
    while (of_seconds() < e->until) {
        static const uint32_t sizes[] = {1, 1, 2, 3, 7, 16, IMAGES};
        uint32_t count = sizes[of_random_below(&random, 7)];
        uint32_t first = of_random_below(&random, IMAGES - count + 1);
        uint32_t kind = of_random_below(&random, 8);
        bool right = kind == 0   ? score_upload(e)
                     : kind == 1 ? heat_one(e, first)
                                 : score_some(e, first, count);
        atomic_fetch_add(&e->wrong, !right);
        atomic_fetch_add(&e->calls, 1);
    }
    return NULL;
}

static void expect_alone(expectation *e) {
    for (size_t i = 0; i < IMAGES; i++) {
        const of_batch one = {OF_PIXEL_U8, e->pixels + i * e->image, 1};
        assert_int_equal(of_detector_score(e->detector, &one, scores, SCORES, e->values[i], NULL),
                         OF_OK);
        assert_int_equal(of_detector_heat(e->detector, scores[1], &one, e->heat[i], NULL), OF_OK);
    }
    assert_int_equal(of_detector_score_encoded(e->detector, &upload, 1, scores, SCORES, e->encoded,
                                               NULL, NULL, NULL),
                     OF_OK);
}

static void test_eight_threads(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const char *seconds = getenv("OUTFLOW_TEST_SECONDS");
    pthread_t threads[THREADS];
    caller callers[THREADS];
    expectation *e = calloc(1, sizeof *e);
    assert_non_null(e);
    assert_int_equal(of_detector_calibrate(f.detector, "synthetic:shapes:200", NULL, NULL, NULL),
                     OF_OK);
    uint8_t *pixels =
        take_images(of_detector_architecture(f.detector), "synthetic:general:48", IMAGES);
    e->detector = f.detector;
    e->pixels = pixels;
    e->image = of_architecture_dimensions(of_detector_architecture(f.detector));
    expect_alone(e);
    e->until = of_seconds() + (seconds != NULL ? strtod(seconds, NULL) : 1);
    for (size_t t = 0; t < THREADS; t++) {
        callers[t] = (caller){e, t};
        assert_int_equal(pthread_create(&threads[t], NULL, call_again_and_again, &callers[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    (void)printf("%u calls of %d threads, %u wrong\n", atomic_load(&e->calls), THREADS,
                 atomic_load(&e->wrong));
    assert_true(atomic_load(&e->calls) >= THREADS);
    assert_int_equal(atomic_load(&e->wrong), 0);
    free(pixels);
    free(e);
    free_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_eight_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
