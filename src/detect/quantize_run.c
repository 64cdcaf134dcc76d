/* SPDX-License-Identifier: Apache-2.0 */
/* Quantizing a detector: how large its models' activations are, on images of a source. */
#include "core/batch_check.h"
#include "core/error.h"
#include "detect/batch.h"
#include "graph/quantizer.h"

#include <stdlib.h>

typedef struct quantizers {
    of_quantizer *of[OF_PLACES]; /* NULL where there is no model */
} quantizers;

static void free_quantizers(quantizers *all) {
    for (size_t i = 0; i < OF_PLACES; i++)
        of_quantizer_free(all->of[i]);
}

static of_status make_quantizers(const of_detector *detector, quantizers *all, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (of_detector_has(detector, i))
            status = of_quantizer_create(detector->plans[i], &all->of[i], error);
    return status;
}

static of_status add_images(quantizers *all, const of_batch *images, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (all->of[i] != NULL)
            status = of_quantizer_add(all->of[i], images, error);
    return status;
}

static of_status add_batch(void *user, const of_scored_batch *batch, of_error *error) {
    const of_batch images = {OF_PIXEL_U8, batch->pixels, batch->count};
    return add_images(user, &images, error);
}

/* The texts take the place of older ones together, or not at all. */
static of_status adopt(of_detector *detector, const quantizers *all, const char *source,
                       of_error *error) {
    char *texts[OF_PLACES] = {NULL};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (all->of[i] != NULL)
            status = of_quantizer_finish(all->of[i], detector->models[i].fingerprint, source,
                                         &texts[i], error);
    for (size_t i = 0; i < OF_PLACES; i++) {
        char *other = status == OF_OK ? detector->quantizations[i] : texts[i];
        if (status == OF_OK)
            detector->quantizations[i] = texts[i];
        free(other);
    }
    return status;
}

of_status of_detector_quantize(of_detector *detector, const char *source,
                               const of_stream_options *options, of_stream_result *result,
                               of_error *error) {
    quantizers all = {.of = {NULL}};
    of_stream_result own = {0};
    if (result != NULL)
        *result = own;
    if (detector == NULL || source == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_quantize: detector and source are both needed");
    of_status status = make_quantizers(detector, &all, error);
    if (status == OF_OK)
        status = of_detector_stream(detector, source, options, add_batch, &all, &own, error);
    if (status == OF_OK && own.images == 0)
        status = of_stream_fail_empty(source, &own, error);
    if (status == OF_OK)
        status = adopt(detector, &all, source, error);
    free_quantizers(&all);
    if (result != NULL)
        *result = own;
    return status;
}

of_status of_detector_quantize_pixels(of_detector *detector, const of_batch *batch,
                                      const char *source, of_error *error) {
    quantizers all = {.of = {NULL}};
    if (detector == NULL || batch == NULL || (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_quantize_pixels: detector and images are both needed");
    of_status status = of_batch_check(batch, "of_detector_quantize_pixels", error);
    if (status == OF_OK)
        status = make_quantizers(detector, &all, error);
    if (status == OF_OK)
        status = add_images(&all, batch, error);
    if (status == OF_OK)
        status = adopt(detector, &all, source, error);
    free_quantizers(&all);
    return status;
}
