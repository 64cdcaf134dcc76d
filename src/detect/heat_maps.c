/* SPDX-License-Identifier: Apache-2.0 */
/* Heat of images, and what it is relative to. */
#include "core/batch_check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"
#include "detect/detector.h"
#include "score/heat.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Images whose position contributions are in memory at a time. */
enum { AT_ONCE = 32 };

/* The strongest colour stands for the |heat| that all but this share of the pixels stay below. */
#define BEYOND 0.02

struct of_heat_reference {
    of_score score; /* of_detector_heat_score of what it is for */
    uint32_t height, width;
    double floor;  /* strongest colours stand for no less than this: what is usual */
    double mean[]; /* [height][width] */
};

static size_t pixel_count(const of_detector *detector) {
    const of_architecture *a = of_detector_architecture(detector);
    return (size_t)a->height * a->width;
}

of_score of_detector_heat_score(const of_detector *detector, of_score score) {
    return of_heat_score(score, detector->has_general);
}

/* ---- Making it ----------------------------------------------------------------------------- */

static of_status make_grids(of_session *session, const of_batch *batch, double **grids,
                            of_error *error) {
    size_t count;
    *grids = NULL;
    if (session == NULL)
        return OF_OK;
    const of_architecture *a = of_plan_architecture(of_session_plan(session));
    if (of_multiply(batch->count, of_architecture_position_count(a), &count))
        *grids = of_allocate(count, sizeof **grids);
    return *grids != NULL ? of_session_position_contributions(session, batch, *grids, error)
                          : of_fail_memory(error, "position contributions of images");
}

static of_position_contributions grids_of(const of_session *session, const double *grids,
                                          size_t image) {
    of_position_contributions result = {NULL, NULL};
    if (session != NULL) {
        result.architecture = of_plan_architecture(of_session_plan(session));
        result.grids = grids + image * of_architecture_position_count(result.architecture);
    }
    return result;
}

/* `score` comes from of_heat_score; heat [count][height][width]. */
static of_status heat_part(const of_detector *detector, of_runner *runner, of_score score,
                           const of_batch *batch, double *heat, of_error *error) {
    of_session *own = runner->sessions[OF_PLACE_MODEL];
    of_session *general = of_score_needs_general(score) ? runner->sessions[OF_PLACE_GENERAL] : NULL;
    double *own_grids = NULL, *general_grids = NULL;
    of_status status = make_grids(own, batch, &own_grids, error);
    if (status == OF_OK)
        status = make_grids(general, batch, &general_grids, error);
    for (size_t i = 0; status == OF_OK && i < batch->count; i++)
        of_heat_of_score(score, grids_of(own, own_grids, i), grids_of(general, general_grids, i),
                         heat + i * pixel_count(detector));
    of_free(own_grids);
    of_free(general_grids);
    return status;
}

static of_status check_arguments(const of_detector *detector, const of_batch *batch,
                                 const void *result, of_error *error) {
    bool missing = detector == NULL || batch == NULL ||
                   (batch->count > 0 && (batch->pixels == NULL || result == NULL));
    return missing ? of_fail(error, OF_ERROR_ARGUMENT,
                             "heat: detector, images and a place for the result are all needed")
                   : of_batch_check(batch, "heat", error);
}

of_status of_detector_heat(const of_detector *detector, of_score score, const of_batch *batch,
                           double *heat, of_error *error) {
    of_runner *runner;
    of_status status = check_arguments(detector, batch, heat, error);
    if (status == OF_OK)
        status = of_detector_check_score(detector, score, error);
    if (status == OF_OK)
        status = of_runner_take(detector, &runner, error);
    if (status != OF_OK)
        return status;
    size_t element = batch->type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    size_t image = of_architecture_dimensions(of_detector_architecture(detector)) * element;
    score = of_detector_heat_score(detector, score);
    for (size_t first = 0; status == OF_OK && first < batch->count; first += AT_ONCE) {
        size_t left = batch->count - first;
        const of_batch part = {batch->type, (const char *)batch->pixels + first * image,
                               left < AT_ONCE ? left : AT_ONCE};
        status =
            heat_part(detector, runner, score, &part, heat + first * pixel_count(detector), error);
    }
    of_runner_give_back(detector, runner);
    return status;
}

/* ---- What is usual ------------------------------------------------------------------------- */

/* |heat| that a share BEYOND of its finite values exceeds; 0 if there are none. `sizes` has room
 * for as many values. */
static double usual_size(const double *heat, size_t count, double *sizes) {
    size_t finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(heat[i]))
            sizes[finite++] = fabs(heat[i]);
    of_sort_doubles(sizes, finite);
    return finite > 0 ? sizes[(size_t)((1 - BEYOND) * (double)(finite - 1))] : 0;
}

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

/* `values` [images][pixels] holds their heat, `sizes` is room for as much. */
static void fill_reference(size_t images, size_t pixels, double *values, double *sizes,
                           of_heat_reference *reference) {
    average(values, images, pixels, reference->mean);
    for (size_t i = 0; i < images * pixels; i++)
        values[i] -= reference->mean[i % pixels];
    reference->floor = usual_size(values, images * pixels, sizes);
}

static void describe_reference(const of_detector *detector, of_score score,
                               of_heat_reference *reference) {
    const of_architecture *a = of_detector_architecture(detector);
    reference->score = of_detector_heat_score(detector, score);
    reference->height = a->height;
    reference->width = a->width;
}

/* `score` comes from of_detector_heat_score. */
static of_status check_reference(const of_detector *detector, of_score score,
                                 const of_heat_reference *reference, of_error *error) {
    const of_architecture *a = of_detector_architecture(detector);
    if (reference == NULL)
        return OF_OK;
    if (reference->height != a->height || reference->width != a->width)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "the reference of heat is for images of %" PRIu32 "x%" PRIu32
                       " pixels, not of %" PRIu32 "x%" PRIu32,
                       reference->height, reference->width, a->height, a->width);
    if (reference->score.kind != score.kind || reference->score.scale != score.scale)
        return of_fail(error, OF_ERROR_MISMATCH, "the reference of heat is for another score");
    return OF_OK;
}

of_status of_heat_reference_create(const of_detector *detector, of_score score,
                                   const of_batch *batch, of_heat_reference **reference,
                                   of_error *error) {
    of_status status = check_arguments(detector, batch, reference, error);
    if (status == OF_OK && (reference == NULL || batch->count == 0))
        status = of_fail(error, OF_ERROR_ARGUMENT,
                         "the reference of heat needs images, and a place for its handle");
    if (status != OF_OK)
        return status;
    size_t pixels = pixel_count(detector), count;
    double *values = NULL, *sizes = NULL;
    of_heat_reference *made = calloc(1, sizeof *made + pixels * sizeof *made->mean);
    if (of_multiply(batch->count, pixels, &count)) {
        values = of_allocate(count, sizeof *values);
        sizes = of_allocate(count, sizeof *sizes);
    }
    status = made != NULL && values != NULL && sizes != NULL
                 ? of_detector_heat(detector, score, batch, values, error)
                 : of_fail_memory(error, "the reference of heat");
    if (status == OF_OK) {
        describe_reference(detector, score, made);
        fill_reference(batch->count, pixels, values, sizes, made);
        *reference = made;
    } else {
        free(made);
    }
    of_free(values);
    of_free(sizes);
    return status;
}

void of_heat_reference_free(of_heat_reference *reference) {
    free(reference);
}

const char *of_heat_reference_text(const of_detector *detector, of_score score,
                                   const of_heat_reference *reference) {
    if (reference != NULL)
        return "what it adds on average in in-distribution images";
    return of_score_needs_general(of_detector_heat_score(detector, score))
               ? "0, where both models agree"
               : "the image's own mean";
}

/* ---- Relative heat --------------------------------------------------------------------------- */

static void make_relative(bool ratio, const of_heat_reference *reference, double *heat,
                          size_t pixels) {
    double own = 0;
    if (reference == NULL && !ratio) {
        average(heat, 1, pixels, heat); /* what is not finite becomes 0 */
        for (size_t p = 0; p < pixels; p++)
            own += heat[p] / (double)pixels;
    }
    for (size_t p = 0; p < pixels; p++)
        heat[p] -= reference != NULL ? reference->mean[p] : own;
}

of_status of_detector_relative_heat(const of_detector *detector, of_score score,
                                    const of_heat_reference *reference, const of_batch *batch,
                                    double *heat, double *limits, of_error *error) {
    of_status status = check_arguments(detector, batch, heat, error);
    if (status == OF_OK)
        status =
            check_reference(detector, of_detector_heat_score(detector, score), reference, error);
    if (status == OF_OK)
        status = of_detector_heat(detector, score, batch, heat, error);
    if (status != OF_OK)
        return status;
    size_t pixels = pixel_count(detector);
    bool ratio = of_score_needs_general(of_detector_heat_score(detector, score));
    double *sizes = of_allocate(pixels, sizeof *sizes);
    if (sizes == NULL)
        return of_fail_memory(error, "sizes of heat");
    for (size_t i = 0; i < batch->count; i++) {
        double *own = heat + i * pixels;
        make_relative(ratio, reference, own, pixels);
        if (limits != NULL)
            limits[i] =
                fmax(usual_size(own, pixels, sizes), reference != NULL ? reference->floor : 0);
    }
    of_free(sizes);
    return OF_OK;
}
