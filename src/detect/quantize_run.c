/* SPDX-License-Identifier: Apache-2.0 */
/* Quantizing a detector: how large its models' activations are, on images of a source, and what the
 * scores then lose, on images that are left out of that. */
#include "core/batch_check.h"
#include "core/error.h"
#include "core/memory.h"
#include "detect/batch.h"
#include "detect/losses.h"
#include "detect/losses_measure.h"
#include "detect/thinned_sample.h"
#include "detect/unusual.h"
#include "graph/layer_choice.h"
#include "graph/quantizer.h"
#include "model/model.h"
#include "model/quantization.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELD_OUT = 3,        /* every third image is left out of the ranges */
    MOST_COMPARED = 512, /* images in memory, of these and of the others */
    MOST_FITTED = 512,
    UNUSUAL = 48,        /* images of a kind */
    CHOOSING_USUAL = 24, /* images that layers are chosen by */
    CHOOSING_ALTERED = 5,
    CHOOSING = CHOOSING_USUAL + OF_UNUSUAL_SHAPES * CHOOSING_ALTERED
};

/* Of the likelihoods, see of_layers_choose. Half of it would take cifar10 to 16 bits in half of
 * scale 0's networks, and most of the gain in speed over bfloat16. */
static const double ENOUGH = 0.02;

/* ---- Ranges -------------------------------------------------------------------------------- */

typedef struct quantizing {
    of_quantizer *of[OF_PLACES]; /* NULL where there is no model */
    char *texts[OF_PLACES];      /* what they find */
    size_t image_bytes;
    uint64_t seen;
    of_thinned_sample compared, fitted;
} quantizing;

static void close_quantizing(quantizing *q) {
    for (size_t i = 0; i < OF_PLACES; i++) {
        of_quantizer_free(q->of[i]);
        free(q->texts[i]);
    }
    of_free(q->compared.pixels);
    of_free(q->fitted.pixels);
}

static of_status open_quantizing(const of_detector *detector, quantizing *q, of_error *error) {
    size_t bytes = of_architecture_dimensions(&detector->models[OF_PLACE_MODEL].architecture);
    of_status status = of_thinned_sample_open(&q->compared, bytes, MOST_COMPARED, error);
    q->image_bytes = bytes;
    if (status == OF_OK)
        status = of_thinned_sample_open(&q->fitted, bytes, MOST_FITTED, error);
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (of_detector_has(detector, i))
            status = of_quantizer_create(detector->plans[i], &q->of[i], error);
    return status;
}

/* Images that are not held out, and lie side by side. */
static of_status add_run(quantizing *q, const uint8_t *pixels, size_t count, of_error *error) {
    const of_batch images = {OF_PIXEL_U8, pixels, count};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (q->of[i] != NULL)
            status = of_quantizer_add(q->of[i], &images, error);
    for (size_t i = 0; i < count; i++)
        of_thinned_sample_add(&q->fitted, pixels + i * q->image_bytes);
    return status;
}

static bool is_held_out(uint64_t number) {
    return number % HELD_OUT == HELD_OUT - 1;
}

/* The images are moved together in a buffer of their own, so that calls stay large. */
static of_status add_images(quantizing *q, const uint8_t *pixels, size_t count, of_error *error) {
    size_t kept = 0;
    uint8_t *run = of_allocate(count, q->image_bytes);
    if (run == NULL)
        return of_fail_memory(error, "images");
    for (size_t i = 0; i < count; i++, q->seen++) {
        const uint8_t *image = pixels + i * q->image_bytes;
        if (is_held_out(q->seen))
            of_thinned_sample_add(&q->compared, image);
        else
            memcpy(run + kept++ * q->image_bytes, image, q->image_bytes);
    }
    of_status status = kept > 0 ? add_run(q, run, kept, error) : OF_OK;
    of_free(run);
    return status;
}

static of_status add_batch(void *user, const of_scored_batch *batch, of_error *error) {
    return add_images(user, batch->pixels, batch->count, error);
}

/* ---- Unusual images ------------------------------------------------------------------------ */

/* Spread over the sample, [count]; to be freed with of_free. */
static uint8_t *take_some(const of_thinned_sample *s, size_t count) {
    uint8_t *some = s->count > 0 ? of_allocate(count, s->image_bytes) : NULL;
    for (size_t i = 0; some != NULL && i < count; i++)
        memcpy(some + i * s->image_bytes, s->pixels + i * s->count / count * s->image_bytes,
               s->image_bytes);
    return some;
}

typedef struct unusual_quantizers {
    of_quantizer *of[OF_MOST_OTHER_KINDS];
} unusual_quantizers;

static of_status observe_unusual(const of_detector *detector, const quantizing *q, size_t place,
                                 unusual_quantizers *unusual, of_error *error) {
    static const of_unusual kinds[OF_MOST_OTHER_KINDS] = {OF_UNUSUAL_NOISY, OF_UNUSUAL_DARKENED,
                                                          OF_UNUSUAL_ENLARGED, OF_UNUSUAL_FADED};
    const of_architecture *shape = &detector->models[OF_PLACE_MODEL].architecture;
    uint8_t *usual = take_some(&q->fitted, UNUSUAL), *pixels = of_allocate(UNUSUAL, q->image_bytes);
    const of_batch batch = {OF_PIXEL_U8, pixels, UNUSUAL};
    of_status status =
        usual != NULL && pixels != NULL ? OF_OK : of_fail_memory(error, "unusual images");
    for (size_t k = 0; status == OF_OK && k < OF_MOST_OTHER_KINDS; k++) {
        status = of_quantizer_create(detector->plans[place], &unusual->of[k], error);
        if (status == OF_OK)
            status = of_unusual_make(kinds[k], shape, usual, UNUSUAL, pixels, error);
        if (status == OF_OK)
            status = of_quantizer_add(unusual->of[k], &batch, error);
    }
    of_free(usual);
    of_free(pixels);
    return status;
}

static of_status finish_ranges(const of_detector *detector, quantizing *q, size_t place,
                               const char *source, of_error *error) {
    unusual_quantizers unusual = {.of = {NULL}};
    of_status status = OF_OK;
    size_t kinds = q->fitted.count > 0 ? OF_MOST_OTHER_KINDS : 0;
    if (kinds > 0)
        status = observe_unusual(detector, q, place, &unusual, error);
    if (status == OF_OK)
        status = of_quantizer_finish(q->of[place], unusual.of, kinds,
                                     detector->models[place].fingerprint, source, &q->texts[place],
                                     error);
    for (size_t k = 0; k < OF_MOST_OTHER_KINDS; k++)
        of_quantizer_free(unusual.of[k]);
    return status;
}

/* ---- Models -------------------------------------------------------------------------------- */

/* The detector's models with their new ranges. Those that are in memory are the caller's: what is
 * changed is a copy without metadata, which refers to the same weights. */
typedef struct quantized_models {
    of_model *loaded[OF_PLACES];
    of_model copies[OF_PLACES];
    const of_model *models[OF_PLACES];
} quantized_models;

static void free_models(quantized_models *all) {
    for (size_t i = 0; i < OF_PLACES; i++) {
        of_model_free(all->loaded[i]);
        if (all->copies[i].metadata != NULL)
            (void)of_model_set_metadata(&all->copies[i], "quantization", NULL, NULL);
        free(all->copies[i].metadata);
    }
}

static of_status load_model(const of_detector *detector, size_t place, of_model **model,
                            of_error *error) {
    const char *file = detector->files[place];
    bool bundled = place == OF_PLACE_GENERAL && strcmp(file, detector->files[OF_PLACE_MODEL]) == 0;
    of_status status =
        bundled ? of_model_load_general(file, model, error) : of_model_load(file, model, error);
    if (status == OF_OK &&
        (*model == NULL || of_model_fingerprint(*model) != detector->models[place].fingerprint))
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%.480s: its weights are no longer the ones that were opened", file);
    return status;
}

static of_status quantize_model(const of_detector *detector, size_t place, const char *text,
                                quantized_models *all, of_error *error) {
    of_model *model = &all->copies[place];
    of_status status = OF_OK;
    if (detector->given[place] != NULL) {
        *model = *detector->given[place];
        model->metadata = NULL;
        model->metadata_count = 0;
    } else {
        status = load_model(detector, place, &all->loaded[place], error);
        model = all->loaded[place];
    }
    if (status == OF_OK)
        status = of_model_set_metadata(model, "quantization", text, error);
    all->models[place] = model;
    return status;
}

static of_status open_reduced(const of_detector *detector, const quantized_models *all,
                              of_detector **reduced, of_error *error) {
    const of_detector_models models = {.size = sizeof models,
                                       .model = all->models[OF_PLACE_MODEL],
                                       .general_model = all->models[OF_PLACE_GENERAL]};
    of_detector_options options = of_detector_options_default();
    options.threads = of_detector_threads(detector);
    options.precision = OF_PRECISION_INT8;
    options.latency = false;
    options.lossy_scores = true;
    return of_detector_create(&models, &options, reduced, error);
}

/* ---- Layers -------------------------------------------------------------------------------- */

/* Usual images and some of each kind of altered ones, [CHOOSING]; to be freed with of_free. */
static of_status make_choosing(const of_detector *detector, const quantizing *q, uint8_t **pixels,
                               of_error *error) {
    const of_architecture *shape = &detector->models[OF_PLACE_MODEL].architecture;
    of_status status = OF_OK;
    *pixels = of_allocate(CHOOSING, q->image_bytes);
    if (*pixels == NULL)
        return of_fail_memory(error, "images");
    uint8_t *next = *pixels + (size_t)CHOOSING_USUAL * q->image_bytes;
    memcpy(*pixels, q->fitted.pixels, (size_t)CHOOSING_USUAL * q->image_bytes);
    for (int kind = 0; status == OF_OK && kind < OF_UNUSUAL_SHAPES; kind++) {
        status = of_unusual_make((of_unusual)kind, shape, *pixels, CHOOSING_ALTERED, next, error);
        next += (size_t)CHOOSING_ALTERED * q->image_bytes;
    }
    return status;
}

static of_status choose_layers(const of_detector *detector, quantizing *q, quantized_models *all,
                               of_error *error) {
    uint8_t *pixels = NULL;
    if (q->fitted.count < CHOOSING_USUAL)
        return OF_OK;
    of_status status = make_choosing(detector, q, &pixels, error);
    const of_batch images = {OF_PIXEL_U8, pixels, CHOOSING};
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++) {
        char *text = NULL;
        if (!of_detector_has(detector, i))
            continue;
        of_model *model = all->loaded[i] != NULL ? all->loaded[i] : &all->copies[i];
        status =
            of_layers_choose(model, &images, ENOUGH, of_detector_threads(detector), &text, error);
        if (status == OF_OK) {
            free(q->texts[i]);
            q->texts[i] = text;
        }
    }
    of_free(pixels);
    return status;
}

/* ---- Losses -------------------------------------------------------------------------------- */

static of_status compare(const of_detector *detector, quantizing *q, of_losses *losses,
                         of_error *error) {
    const of_usual_images images = {q->compared.pixels, q->fitted.pixels, q->compared.count,
                                    q->fitted.count};
    quantized_models all = {.loaded = {NULL}};
    of_detector *reduced = NULL;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (of_detector_has(detector, i))
            status = quantize_model(detector, i, q->texts[i], &all, error);
    if (status == OF_OK)
        status = choose_layers(detector, q, &all, error);
    if (status == OF_OK)
        status = open_reduced(detector, &all, &reduced, error);
    if (status == OF_OK)
        status = of_losses_measure(detector, reduced, &images, losses, error);
    of_detector_free(reduced);
    free_models(&all);
    return status;
}

/* Where integers do not run, nothing is measured, and layers stay as they are by default. */
static of_status measure_losses(const of_detector *detector, quantizing *q, of_losses *losses,
                                of_error *error) {
    of_precision precision;
    losses->count = 0;
    return of_precision_resolve(OF_PRECISION_INT8, OF_ISA_AUTO, &precision, NULL) == OF_OK
               ? compare(detector, q, losses, error)
               : OF_OK;
}

/* ---- Results ------------------------------------------------------------------------------- */

static of_status print_losses(const of_detector *detector, const quantizing *q,
                              const of_losses *losses, char **text, of_error *error) {
    const of_losses_models models = {.model = detector->models[OF_PLACE_MODEL].fingerprint,
                                     .general = detector->models[OF_PLACE_GENERAL].fingerprint,
                                     .ranges = q->texts[OF_PLACE_GENERAL],
                                     .own_ranges = q->texts[OF_PLACE_MODEL]};
    *text = of_losses_print(losses, &models, q->compared.count);
    return *text != NULL ? OF_OK : of_fail_memory(error, "the text of scores' losses");
}

/* All takes the place of what was there before together, or not at all. */
static void adopt(of_detector *detector, quantizing *q, const of_losses *losses, char *text) {
    for (size_t i = 0; i < OF_PLACES; i++) {
        free(detector->quantizations[i]);
        detector->quantizations[i] = q->texts[i];
        q->texts[i] = NULL;
    }
    free(detector->losses_text);
    detector->losses_text = text;
    detector->losses = *losses;
}

static of_status finish(of_detector *detector, quantizing *q, const char *source, of_error *error) {
    of_losses losses;
    char *text = NULL;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < OF_PLACES; i++)
        if (q->of[i] != NULL)
            status = finish_ranges(detector, q, i, source, error);
    if (status == OF_OK)
        status = measure_losses(detector, q, &losses, error);
    if (status == OF_OK)
        status = print_losses(detector, q, &losses, &text, error);
    if (status == OF_OK)
        adopt(detector, q, &losses, text);
    return status;
}

of_status of_detector_quantize(of_detector *detector, const char *source,
                               const of_stream_options *options, of_stream_result *result,
                               of_error *error) {
    quantizing q = {.seen = 0};
    of_stream_result own = {0};
    if (result != NULL)
        *result = own;
    if (detector == NULL || source == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_quantize: detector and source are both needed");
    of_status status = open_quantizing(detector, &q, error);
    if (status == OF_OK)
        status = of_detector_stream(detector, source, options, add_batch, &q, &own, error);
    if (status == OF_OK && own.images == 0)
        status = of_stream_fail_empty(source, &own, error);
    if (status == OF_OK)
        status = finish(detector, &q, source, error);
    close_quantizing(&q);
    if (result != NULL)
        *result = own;
    return status;
}

static uint8_t byte_of(float value) {
    float level = value * 255;
    return level >= 255 ? 255 : level > 0 ? (uint8_t)lroundf(level) : 0; /* NaN: 0 */
}

/* Floats are rounded to bytes, as images of files are. */
static of_status add_pixels(quantizing *q, const of_batch *batch, of_error *error) {
    size_t count;
    if (batch->type == OF_PIXEL_U8)
        return add_images(q, batch->pixels, batch->count, error);
    const float *values = batch->pixels;
    uint8_t *bytes = of_allocate(batch->count, q->image_bytes);
    if (bytes == NULL || !of_multiply(batch->count, q->image_bytes, &count)) {
        of_free(bytes);
        return of_fail_memory(error, "images as bytes");
    }
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_of(values[i]);
    of_status status = add_images(q, bytes, batch->count, error);
    of_free(bytes);
    return status;
}

of_status of_detector_quantize_pixels(of_detector *detector, const of_batch *batch,
                                      const char *source, of_error *error) {
    quantizing q = {.seen = 0};
    if (detector == NULL || batch == NULL || (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_quantize_pixels: detector and images are both needed");
    of_status status = of_batch_check(batch, "of_detector_quantize_pixels", error);
    if (status == OF_OK)
        status = open_quantizing(detector, &q, error);
    if (status == OF_OK)
        status = add_pixels(&q, batch, error);
    if (status == OF_OK)
        status = finish(detector, &q, source, error);
    close_quantizing(&q);
    return status;
}
