/* SPDX-License-Identifier: Apache-2.0 */
/* Small detectors from random models, and images for them. Include after cmocka's headers. */
#ifndef OF_TESTS_DETECTOR_FIXTURE_H
#define OF_TESTS_DETECTOR_FIXTURE_H

#include <outflow/detect.h>
#include <stdio.h>
#include <stdlib.h>

#include "random_model.h"

typedef struct fixture {
    of_model *model, *general;
    of_detector *detector;
} fixture;

static inline of_architecture small_architecture(uint32_t size, uint32_t scales) {
    of_architecture architecture = of_architecture_default();
    architecture.height = architecture.width = size;
    architecture.scales = scales;
    architecture.steps = 2;
    architecture.hidden = 8;
    return architecture;
}

static inline of_detector *detector_of(const of_model *model, const of_model *general,
                                       unsigned threads) {
    of_detector_models models = of_detector_models_default();
    of_detector_options options = of_detector_options_default();
    of_detector *detector = NULL;
    of_error error;
    models.model = model;
    models.general_model = general;
    options.threads = threads;
    if (of_detector_create(&models, &options, &detector, &error) != OF_OK)
        fail_msg("%s", error.message);
    return detector;
}

/* A model and a general one of other weights and `general_scales` scales. */
static inline fixture make_fixture(uint32_t general_scales) {
    fixture made;
    of_architecture own = small_architecture(16, 2), other = small_architecture(16, general_scales);
    made.model = make_model(&own);
    assert_int_equal(of_model_create(&other, 5, &made.general, NULL), OF_OK);
    made.detector = detector_of(made.model, made.general, 2);
    return made;
}

static inline void free_fixture(fixture *made) {
    of_detector_free(made->detector);
    of_model_free(made->model);
    of_model_free(made->general);
}

/* `count` images of a synthetic source, freed with free(). */
static inline uint8_t *take_images(const of_architecture *architecture, const char *spec,
                                   size_t count) {
    of_source_options options = of_source_options_default(architecture);
    of_source *source = NULL;
    of_source_batch batch;
    size_t bytes = count * of_architecture_dimensions(architecture);
    uint8_t *pixels = malloc(bytes);
    assert_non_null(pixels);
    assert_int_equal(of_source_open(spec, &options, &source, NULL), OF_OK);
    assert_int_equal(of_source_next(source, count, &batch, NULL), OF_OK);
    assert_int_equal(batch.count, count);
    memcpy(pixels, batch.pixels, bytes);
    of_source_free(source);
    return pixels;
}

#endif
