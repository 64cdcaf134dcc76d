/* SPDX-License-Identifier: Apache-2.0 */
/* Heat of kept images: maps of both models, less what is usual. */
#include "cli/examples.h"
#include "core/error.h"
#include "core/memory.h"
#include "score/heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 32 };

/* The strongest colour stands for the |heat| that all but this share of the pixels stay below. */
#define BEYOND 0.02

static size_t pixel_count(const of_engine *engine) {
    return (size_t)engine->architecture.height * engine->architecture.width;
}

static const of_architecture *architecture_of(const of_session *session) {
    return of_plan_architecture(of_session_plan(session));
}

static of_status make_maps(of_session *session, const of_batch *batch, double **maps,
                           of_error *error) {
    size_t count;
    *maps = NULL;
    if (session == NULL)
        return OF_OK;
    if (of_multiply(batch->count, of_architecture_map_size(architecture_of(session)), &count))
        *maps = of_allocate(count, sizeof **maps);
    return *maps != NULL ? of_session_maps(session, batch, *maps, error)
                         : of_fail_memory(error, "maps of images");
}

static of_heat_maps maps_of(const of_session *session, const double *maps, size_t image) {
    of_heat_maps result = {NULL, NULL};
    if (session != NULL) {
        result.architecture = architecture_of(session);
        result.maps = maps + image * of_architecture_map_size(result.architecture);
    }
    return result;
}

/* heat [count][height][width] */
static of_status make_heat(of_engine *engine, of_score score, const of_batch *batch, double *heat,
                           of_error *error) {
    bool compares = of_score_needs_general(score);
    of_session *general = compares ? engine->general : NULL;
    double *own_maps = NULL, *general_maps = NULL;
    of_status status = make_maps(engine->own, batch, &own_maps, error);
    if (status == OF_OK)
        status = make_maps(general, batch, &general_maps, error);
    for (size_t i = 0; status == OF_OK && i < batch->count; i++)
        of_heat_of_score(score, maps_of(engine->own, own_maps, i),
                         maps_of(general, general_maps, i), heat + i * pixel_count(engine));
    of_free(own_maps);
    of_free(general_maps);
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* |heat| that a share BEYOND of its finite values exceeds; 0 if there are none. */
static of_status usual_size(const double *heat, size_t count, double *size, of_error *error) {
    size_t finite = 0;
    double *sizes = of_allocate(count, sizeof *sizes);
    if (sizes == NULL)
        return of_fail_memory(error, "sizes of heat");
    for (size_t i = 0; i < count; i++)
        if (isfinite(heat[i]))
            sizes[finite++] = fabs(heat[i]);
    qsort(sizes, finite, sizeof *sizes, ascending);
    *size = finite > 0 ? sizes[(size_t)((1 - BEYOND) * (double)(finite - 1))] : 0;
    of_free(sizes);
    return OF_OK;
}

/* ---- Reference ---------------------------------------------------------------------------- */

/* Mean over images of what is finite; 0 where nothing is. */
static void average(const double *heat, size_t images, size_t pixels, double *mean) {
    for (size_t p = 0; p < pixels; p++) {
        double sum = 0, finite = 0;
        for (size_t i = 0; i < images; i++) {
            if (!isfinite(heat[i * pixels + p]))
                continue;
            sum += heat[i * pixels + p];
            finite++;
        }
        mean[p] = finite > 0 ? sum / finite : 0;
    }
}

of_status of_heat_reference_make(of_engine *engine, of_score heat, const of_sample *sample,
                                 of_heat_reference *reference, of_error *error) {
    size_t pixels = pixel_count(engine), count;
    const of_batch batch = {OF_PIXEL_U8, sample->pixels, sample->count};
    double *values = NULL;
    *reference = (of_heat_reference){0};
    if (of_multiply(sample->count, pixels, &count))
        values = of_allocate(count, sizeof *values);
    reference->mean = of_allocate(pixels, sizeof *reference->mean);
    of_status status = values != NULL && reference->mean != NULL
                           ? make_heat(engine, heat, &batch, values, error)
                           : of_fail_memory(error, "the reference of heat");
    if (status == OF_OK) {
        average(values, sample->count, pixels, reference->mean);
        for (size_t i = 0; i < count; i++)
            values[i] -= reference->mean[i % pixels];
        status = usual_size(values, count, &reference->floor, error);
    }
    of_free(values);
    if (status != OF_OK)
        of_heat_reference_free(reference);
    return status;
}

void of_heat_reference_free(of_heat_reference *reference) {
    of_free(reference->mean);
    reference->mean = NULL;
}

const char *of_heat_reference_text(of_score heat, const of_heat_reference *reference) {
    if (reference->mean != NULL)
        return "what it adds on average in in-distribution images";
    return of_score_needs_general(heat) ? "0, where both models agree" : "the image's own mean";
}

static void make_relative(of_score score, const of_heat_reference *reference, double *heat,
                          size_t pixels) {
    double own = 0;
    if (reference->mean == NULL && !of_score_needs_general(score)) {
        average(heat, 1, pixels, heat); /* what is not finite becomes 0 */
        for (size_t p = 0; p < pixels; p++)
            own += heat[p] / (double)pixels;
    }
    for (size_t p = 0; p < pixels; p++)
        heat[p] -= reference->mean != NULL ? reference->mean[p] : own;
}

/* ---- Examples ----------------------------------------------------------------------------- */

static of_status finish_example(of_score score, const of_heat_reference *reference,
                                const double *heat, size_t pixels, of_example *example,
                                of_error *error) {
    example->heat = of_allocate(pixels, sizeof *example->heat);
    if (example->heat == NULL)
        return of_fail_memory(error, "the heat of an image");
    memcpy(example->heat, heat, pixels * sizeof *heat);
    make_relative(score, reference, example->heat, pixels);
    of_status status = usual_size(example->heat, pixels, &example->limit, error);
    example->limit = fmax(example->limit, reference->floor);
    return status;
}

/* Examples first..first+count through both models at once. */
static of_status heat_some(of_engine *engine, of_score score, const of_heat_reference *reference,
                           of_example *examples, size_t count, of_error *error) {
    size_t image = of_architecture_dimensions(&engine->architecture);
    size_t pixels = pixel_count(engine), bytes, values;
    bool fits = of_multiply(count, image, &bytes) && of_multiply(count, pixels, &values);
    uint8_t *images = fits ? of_allocate(bytes, 1) : NULL;
    double *heat = fits ? of_allocate(values, sizeof *heat) : NULL;
    of_status status = OF_OK;
    if (images == NULL || heat == NULL) {
        status = of_fail_memory(error, "the heat of images");
    } else {
        for (size_t i = 0; i < count; i++)
            memcpy(images + i * image, examples[i].pixels, image);
        status = make_heat(engine, score, &(of_batch){OF_PIXEL_U8, images, count}, heat, error);
    }
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = finish_example(score, reference, heat + i * pixels, pixels, &examples[i], error);
    of_free(images);
    of_free(heat);
    return status;
}

of_status of_examples_heat(of_engine *engine, of_score heat, const of_heat_reference *reference,
                           of_examples *examples, of_error *error) {
    of_progress *progress = &engine->console->progress;
    of_status status = OF_OK;
    of_progress_start(progress, of_console_progress_stream(engine->console), "heat", "images",
                      examples->count);
    for (size_t first = 0; status == OF_OK && first < examples->count; first += AT_ONCE) {
        size_t left = examples->count - first, count = left < AT_ONCE ? left : AT_ONCE;
        status = of_interrupt_check(error);
        if (status == OF_OK)
            status = heat_some(engine, heat, reference, examples->items + first, count, error);
        of_progress_update(progress, first + count, NULL);
    }
    of_progress_finish(progress);
    return status;
}
