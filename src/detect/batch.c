/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/batch.h"

#include "core/error.h"
#include "core/memory.h"

#include <string.h>

/* ---- Reading ------------------------------------------------------------------------------- */

size_t of_scored_count(const of_scored_batch *batch) {
    return batch->count;
}

const of_item *of_scored_item(const of_scored_batch *batch, size_t index) {
    return &batch->items[index];
}

const uint8_t *of_scored_pixels(const of_scored_batch *batch, size_t index) {
    return batch->pixels + index * batch->image_bytes;
}

static const double *row_of(const double *rows, size_t index, size_t width) {
    return rows != NULL ? rows + index * width : NULL;
}

of_image_likelihood of_scored_likelihood(const of_scored_batch *batch, size_t index) {
    const of_model_results *own = &batch->own, *general = &batch->general;
    return (of_image_likelihood){
        .logp = own->logp[index],
        .contributions = row_of(own->contributions, index, own->scales),
        .latent_squares = row_of(own->latent_squares, index, own->scales),
        .class_logp = row_of(own->class_logp, index, own->classes),
        .general_logp = general->scales > 0 ? general->logp[index] : 0,
        .general_contributions = row_of(general->contributions, index, general->scales),
        .general_bin = general->bin,
        .general_scales = general->scales,
        .general_latent_squares = row_of(general->latent_squares, index, general->scales),
        .member_logp = row_of(batch->member_logp, index, batch->members),
        .members = batch->members,
        .png_bytes = batch->png_bytes != NULL ? batch->png_bytes[index] : 0,
        .webp_bytes = batch->webp_bytes != NULL ? batch->webp_bytes[index] : 0,
        .tiles = batch->tiles,
    };
}

const of_tiled_heat *of_scored_heat(const of_scored_batch *batch, size_t index) {
    (void)index; /* a batch of cut pictures holds one */
    return batch->heat;
}

/* ---- Memory -------------------------------------------------------------------------------- */

static bool take(double **values, size_t rows, size_t width) {
    size_t count;
    *values = of_multiply(rows, width, &count) ? of_allocate(count, sizeof **values) : NULL;
    return *values != NULL;
}

static bool open_results(of_model_results *results, const of_detector *detector, size_t place,
                         size_t rows) {
    const of_architecture *a = &detector->models[place].architecture;
    if (!of_detector_has(detector, place))
        return true;
    results->scales = of_architecture_scale_count(a);
    results->classes = a->classes;
    results->bin = a->input.bin;
    return take(&results->logp, rows, 1) && take(&results->contributions, rows, results->scales) &&
           take(&results->latent_squares, rows, results->scales) &&
           (a->classes == 0 || take(&results->class_logp, rows, a->classes));
}

static bool open_rest(const of_detector *detector, unsigned needs, of_scored_batch *batch) {
    size_t rows = batch->capacity, members = detector->ensemble_count;
    batch->members = members;
    return (members == 0 ||
            (take(&batch->member_logp, rows, members) && take(&batch->spare, rows, 1))) &&
           ((needs & OF_NEEDS_PNG) == 0 || take(&batch->png_bytes, rows, 1)) &&
           ((needs & OF_NEEDS_WEBP) == 0 || take(&batch->webp_bytes, rows, 1));
}

of_status of_scored_batch_open(const of_detector *detector, size_t capacity, unsigned needs,
                               of_scored_batch *batch, of_error *error) {
    *batch = (of_scored_batch){.capacity = capacity,
                               .image_bytes =
                                   of_architecture_dimensions(of_detector_architecture(detector))};
    if (open_results(&batch->own, detector, OF_PLACE_MODEL, capacity) &&
        open_results(&batch->general, detector, OF_PLACE_GENERAL, capacity) &&
        open_rest(detector, needs, batch))
        return OF_OK;
    of_scored_batch_close(batch);
    return of_fail_memory(error, "the likelihoods of a batch");
}

static void close_results(of_model_results *results) {
    of_free(results->logp);
    of_free(results->contributions);
    of_free(results->latent_squares);
    of_free(results->class_logp);
}

void of_scored_batch_close(of_scored_batch *batch) {
    close_results(&batch->own);
    close_results(&batch->general);
    of_free(batch->member_logp);
    of_free(batch->png_bytes);
    of_free(batch->webp_bytes);
    of_free(batch->spare);
    *batch = (of_scored_batch){.count = 0};
}

static double *skip(double *rows, size_t count) {
    return rows != NULL ? rows + count : NULL;
}

static void skip_results(of_model_results *results, size_t first) {
    results->logp = skip(results->logp, first);
    results->contributions = skip(results->contributions, first * results->scales);
    results->latent_squares = skip(results->latent_squares, first * results->scales);
    results->class_logp = skip(results->class_logp, first * results->classes);
}

void of_scored_batch_view(const of_scored_batch *batch, size_t first, of_scored_batch *view) {
    *view = *batch;
    view->capacity -= first;
    skip_results(&view->own, first);
    skip_results(&view->general, first);
    view->member_logp = skip(batch->member_logp, first * batch->members);
    view->png_bytes = skip(batch->png_bytes, first);
    view->webp_bytes = skip(batch->webp_bytes, first);
}

/* ---- Running ------------------------------------------------------------------------------- */

static of_status run_model(of_session *session, const of_batch *images,
                           const of_model_results *results, of_error *error) {
    const of_likelihoods out = {.logp = results->logp,
                                .contributions = results->contributions,
                                .latent_squares = results->latent_squares,
                                .class_logp = results->class_logp};
    return session != NULL ? of_session_forward(session, images, &out, error) : OF_OK;
}

static of_status run_members(of_runner *runner, const of_batch *images, of_scored_batch *batch,
                             of_error *error) {
    of_status status = OF_OK;
    for (size_t m = 0; status == OF_OK && m < batch->members; m++) {
        const of_likelihoods out = {.logp = batch->spare};
        status = of_session_forward(runner->sessions[OF_PLACE_ENSEMBLE + m], images, &out, error);
        for (size_t i = 0; status == OF_OK && i < images->count; i++)
            batch->member_logp[i * batch->members + m] = batch->spare[i];
    }
    return status;
}

typedef of_status of_coder(const uint8_t *pixels, uint32_t channels, uint32_t height,
                           uint32_t width, size_t *bytes, of_error *error);

/* Sizes of all images under a coder, with as many threads as the plan has. */
static of_status code_images(const of_detector *detector, const uint8_t *pixels, size_t count,
                             of_coder *coder, double *sizes, of_error *error) {
    const of_architecture *a = of_detector_architecture(detector);
    size_t image_bytes = of_architecture_dimensions(a), failures = 0;
#pragma omp parallel for schedule(dynamic, 4) num_threads(of_detector_threads(detector))            \
    reduction(+ : failures)
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        failures += coder(pixels + i * image_bytes, a->channels, a->height, a->width, &bytes,
                          NULL) != OF_OK;
        sizes[i] = (double)bytes;
    }
    if (failures == 0)
        return OF_OK;
    size_t unused;
    of_status status = OF_OK; /* once more, for the reason */
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = coder(pixels + i * image_bytes, a->channels, a->height, a->width, &unused, error);
    return status != OF_OK ? status : of_fail_memory(error, "the codes of images");
}

of_status of_scored_batch_run(const of_detector *detector, of_runner *runner,
                              const of_batch *images, const uint8_t *bytes, of_scored_batch *batch,
                              of_error *error) {
    of_status status = run_model(runner->sessions[OF_PLACE_MODEL], images, &batch->own, error);
    if (status == OF_OK)
        status = run_model(runner->sessions[OF_PLACE_GENERAL], images, &batch->general, error);
    if (status == OF_OK)
        status = run_members(runner, images, batch, error);
    if (status == OF_OK && batch->png_bytes != NULL)
        status = code_images(detector, bytes, images->count, of_png_bytes, batch->png_bytes, error);
    if (status == OF_OK && batch->webp_bytes != NULL)
        status =
            code_images(detector, bytes, images->count, of_webp_bytes, batch->webp_bytes, error);
    batch->count = images->count;
    return status;
}
