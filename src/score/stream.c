/* SPDX-License-Identifier: Apache-2.0 */
#include "score/stream.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/parts.h"

#include <inttypes.h>
#include <string.h>

/* Of a batch's images, where a micro-batch for every thread does not take more. */
static const size_t BATCH_BYTES = (size_t)256 << 20;

/* A run: the batch with room for its results, and images gathered where some are left out. */
typedef struct stream {
    const of_stream_models *models;
    of_source *source;
    size_t batch_size, image_bytes;
    unsigned threads;      /* for coding images */
    uint64_t every, taken; /* of the source so far */
    of_scored_batch batch;
    uint8_t *pixels; /* every > 1: [batch_size][image_bytes] */
    of_item *items;  /* every > 1 */
    double *logp;    /* of one member */
} stream;

static const double *row_of(const double *rows, size_t index, size_t width) {
    return rows != NULL ? rows + index * width : NULL;
}

of_image_likelihood of_scored_image(const of_scored_batch *batch, size_t index) {
    const of_lane_results *own = &batch->own, *general = &batch->general;
    of_image_likelihood image = {
        .logp = own->logp[index],
        .contributions = row_of(own->contributions, index, own->scales),
        .latent_squares = row_of(own->latent_squares, index, own->scales),
        .class_logp = row_of(own->class_logp, index, own->classes),
        .general_logp = general->scales > 0 ? general->logp[index] : 0,
        .general_contributions = row_of(general->contributions, index, general->scales),
        .general_scales = general->scales,
        .general_latent_squares = row_of(general->latent_squares, index, general->scales),
        .member_logp = row_of(batch->member_logp, index, batch->members),
        .members = batch->members,
        .png_bytes = batch->png_bytes != NULL ? batch->png_bytes[index] : 0,
        .webp_bytes = batch->webp_bytes != NULL ? batch->webp_bytes[index] : 0,
    };
    return image;
}

of_status of_stream_check(const of_architecture *a, const of_architecture *b, const char *what,
                          of_error *error) {
    if (a->channels == b->channels && a->height == b->height && a->width == b->width)
        return OF_OK;
    return of_fail(error, OF_ERROR_MISMATCH,
                   "the model takes images of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                   " (channels, height, width), %s of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                   ": use models of the same image size",
                   a->channels, a->height, a->width, what, b->channels, b->height, b->width);
}

size_t of_stream_batch_size(const of_plan *plan) {
    of_plan_info info = of_plan_describe(plan);
    size_t round = (size_t)info.threads * info.micro_batch; /* one micro-batch a thread */
    size_t image = (size_t)of_architecture_dimensions(of_plan_architecture(plan));
    size_t most = BATCH_BYTES / (image > 0 ? image : 1);
    return of_round_up(most < 64 ? most + 1 : 64, round > 0 ? round : 1);
}

/* ---- Memory ------------------------------------------------------------------------------- */

static bool take(double **values, size_t rows, size_t width) {
    size_t count;
    *values = of_multiply(rows, width, &count) ? of_allocate(count, sizeof **values) : NULL;
    return *values != NULL;
}

static const of_architecture *architecture_of(const of_session *session) {
    return of_plan_architecture(of_session_plan(session));
}

static bool open_lane(of_lane_results *lane, const of_session *session, size_t rows) {
    if (session == NULL)
        return true;
    lane->scales = of_architecture_scale_count(architecture_of(session));
    lane->classes = architecture_of(session)->classes;
    return take(&lane->logp, rows, 1) && take(&lane->contributions, rows, lane->scales) &&
           take(&lane->latent_squares, rows, lane->scales) &&
           (lane->classes == 0 || take(&lane->class_logp, rows, lane->classes));
}

static bool open_rest(stream *s) {
    const of_stream_models *models = s->models;
    size_t rows = s->batch_size, bytes;
    s->batch.members = models->member_count;
    if (models->member_count > 0 &&
        (!take(&s->batch.member_logp, rows, models->member_count) || !take(&s->logp, rows, 1)))
        return false;
    if ((models->with_png && !take(&s->batch.png_bytes, rows, 1)) ||
        (models->with_webp && !take(&s->batch.webp_bytes, rows, 1)))
        return false;
    if (s->every == 1)
        return true;
    s->items = of_allocate(rows, sizeof *s->items);
    s->pixels = of_multiply(rows, s->image_bytes, &bytes) ? of_allocate(bytes, 1) : NULL;
    return s->items != NULL && s->pixels != NULL;
}

static of_status open_stream(stream *s, of_error *error) {
    const of_stream_models *models = s->models;
    s->threads = of_plan_describe(of_session_plan(models->own)).threads;
    s->image_bytes = of_architecture_dimensions(architecture_of(models->own));
    return open_lane(&s->batch.own, models->own, s->batch_size) &&
                   open_lane(&s->batch.general, models->general, s->batch_size) && open_rest(s)
               ? OF_OK
               : of_fail_memory(error, "the likelihoods of a batch");
}

static void close_lane(of_lane_results *lane) {
    of_free(lane->logp);
    of_free(lane->contributions);
    of_free(lane->latent_squares);
    of_free(lane->class_logp);
}

static void close_stream(stream *s) {
    close_lane(&s->batch.own);
    close_lane(&s->batch.general);
    of_free(s->batch.member_logp);
    of_free(s->batch.png_bytes);
    of_free(s->batch.webp_bytes);
    of_free(s->pixels);
    of_free(s->items);
    of_free(s->logp);
}

/* ---- Batches ------------------------------------------------------------------------------ */

/* Leaves out what is not the `every`-th image; what stays is copied to where it can be packed. */
static void thin_out(stream *s, of_source_batch *images) {
    size_t kept = 0;
    for (size_t i = 0; i < images->count; i++) {
        if (s->taken++ % s->every != 0)
            continue;
        memcpy(s->pixels + kept * s->image_bytes, images->pixels + i * s->image_bytes,
               s->image_bytes);
        s->items[kept++] = images->items[i];
    }
    *images = (of_source_batch){kept, s->pixels, s->items};
}

static of_status run_lane(of_session *session, const of_batch *images, const of_lane_results *lane,
                          of_error *error) {
    of_likelihoods out = {.logp = lane->logp,
                          .contributions = lane->contributions,
                          .latent_squares = lane->latent_squares,
                          .class_logp = lane->class_logp};
    return session != NULL ? of_session_forward(session, images, &out, error) : OF_OK;
}

static of_status run_members(stream *s, const of_batch *images, of_error *error) {
    const of_stream_models *models = s->models;
    of_status status = OF_OK;
    for (size_t m = 0; status == OF_OK && m < models->member_count; m++) {
        of_likelihoods out = {.logp = s->logp};
        status = of_session_forward(models->members[m], images, &out, error);
        for (size_t i = 0; status == OF_OK && i < images->count; i++)
            s->batch.member_logp[i * models->member_count + m] = s->logp[i];
    }
    return status;
}

typedef of_status of_coder(const uint8_t *pixels, uint32_t channels, uint32_t height,
                           uint32_t width, size_t *bytes, of_error *error);

/* Sizes of all images under a coder, with as many threads as the plan has. */
static of_status code_images(const stream *s, const of_source_batch *images, of_coder *coder,
                             double *sizes, of_error *error) {
    const of_architecture *a = architecture_of(s->models->own);
    size_t count = images->count, failures = 0;
#pragma omp parallel for schedule(dynamic, 4) num_threads(s->threads) reduction(+ : failures)
    for (size_t i = 0; i < count; i++) {
        size_t bytes = 0;
        failures += coder(images->pixels + i * s->image_bytes, a->channels, a->height, a->width,
                          &bytes, NULL) != OF_OK;
        sizes[i] = (double)bytes;
    }
    if (failures == 0)
        return OF_OK;
    size_t unused;
    of_status status = OF_OK; /* once more, for the reason */
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = coder(images->pixels + i * s->image_bytes, a->channels, a->height, a->width,
                       &unused, error);
    return status != OF_OK ? status : of_fail_memory(error, "the codes of images");
}

/* ---- Several processes -------------------------------------------------------------------- */

size_t of_stream_part(size_t count, unsigned parts, unsigned part) {
    return of_part_begin(count, parts, part);
}

static of_status share_lane(const stream *s, const of_lane_results *lane, of_error *error) {
    const of_stream_models *models = s->models;
    double *const rows[] = {lane->logp, lane->contributions, lane->latent_squares,
                            lane->class_logp};
    const size_t widths[] = {1, lane->scales, lane->scales, lane->classes};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && lane->scales > 0 && i < 4; i++)
        if (rows[i] != NULL)
            status = models->share(models->user, rows[i], widths[i], s->batch.count, error);
    return status;
}

static of_status share_batch(const stream *s, of_error *error) {
    const of_stream_models *models = s->models;
    double *const rows[] = {s->batch.member_logp, s->batch.png_bytes, s->batch.webp_bytes};
    const size_t widths[] = {s->batch.members, 1, 1};
    of_status status = share_lane(s, &s->batch.own, error);
    if (status == OF_OK)
        status = share_lane(s, &s->batch.general, error);
    for (size_t i = 0; status == OF_OK && i < 3; i++)
        if (rows[i] != NULL)
            status = models->share(models->user, rows[i], widths[i], s->batch.count, error);
    return status;
}

static double *skip(double *rows, size_t count) {
    return rows != NULL ? rows + count : NULL;
}

/* The results of a batch from image `first` on. */
static void view_from(const of_scored_batch *batch, size_t first, of_scored_batch *view) {
    of_lane_results *lanes[] = {&view->own, &view->general};
    *view = *batch;
    for (size_t i = 0; i < 2; i++) {
        of_lane_results *lane = lanes[i];
        lane->logp = skip(lane->logp, first);
        lane->contributions = skip(lane->contributions, first * lane->scales);
        lane->latent_squares = skip(lane->latent_squares, first * lane->scales);
        lane->class_logp = skip(lane->class_logp, first * lane->classes);
    }
    view->member_logp = skip(batch->member_logp, first * batch->members);
    view->png_bytes = skip(batch->png_bytes, first);
    view->webp_bytes = skip(batch->webp_bytes, first);
}

static of_status run_images(stream *s, const of_source_batch *images, of_error *error);

/* The own part, by a stream that sees nothing else. */
static of_status run_part(const stream *s, const of_source_batch *images, of_error *error) {
    const of_stream_models *models = s->models;
    size_t first = of_stream_part(images->count, models->parts, models->part);
    size_t end = of_stream_part(images->count, models->parts, models->part + 1);
    stream part = *s;
    view_from(&s->batch, first, &part.batch);
    const of_source_batch own = {end - first, images->pixels + first * s->image_bytes,
                                 images->items + first};
    return own.count > 0 ? run_images(&part, &own, error) : OF_OK;
}

static of_status run_batch(stream *s, const of_source_batch *images, of_error *error) {
    const of_stream_models *models = s->models;
    if (models->parts <= 1)
        return run_images(s, images, error);
    of_status status = models->share_items(models->user, images, error);
    if (status == OF_OK)
        status = run_part(s, images, error);
    return status == OF_OK ? share_batch(s, error) : status;
}

static of_status run_images(stream *s, const of_source_batch *images, of_error *error) {
    const of_batch batch = {OF_PIXEL_U8, images->pixels, images->count};
    of_status status = run_lane(s->models->own, &batch, &s->batch.own, error);
    if (status == OF_OK)
        status = run_lane(s->models->general, &batch, &s->batch.general, error);
    if (status == OF_OK)
        status = run_members(s, &batch, error);
    if (status == OF_OK && s->models->with_png)
        status = code_images(s, images, of_png_bytes, s->batch.png_bytes, error);
    if (status == OF_OK && s->models->with_webp)
        status = code_images(s, images, of_webp_bytes, s->batch.webp_bytes, error);
    return status;
}

static of_status run_batches(stream *s, of_scored_visit *visit, void *user, of_error *error) {
    for (;;) {
        of_source_batch images;
        of_status status = of_source_next(s->source, s->batch_size, &images, error);
        if (status == OF_OK && images.count == 0 && s->models->parts > 1)
            status = s->models->share_items(s->models->user, &images, error);
        if (status != OF_OK || images.count == 0)
            return status;
        if (s->every > 1)
            thin_out(s, &images);
        if (images.count == 0)
            continue;
        s->batch.count = images.count;
        s->batch.items = images.items;
        s->batch.pixels = images.pixels;
        if ((status = run_batch(s, &images, error)) != OF_OK ||
            (status = visit(user, &s->batch, error)) != OF_OK)
            return status;
        s->batch.first += images.count;
    }
}

static of_status check_models(const of_stream_models *models, of_error *error) {
    const of_architecture *own = architecture_of(models->own);
    of_status status = OF_OK;
    if (models->general != NULL)
        status = of_stream_check(own, architecture_of(models->general), "the general model", error);
    for (size_t i = 0; status == OF_OK && i < models->member_count; i++)
        status = of_stream_check(own, architecture_of(models->members[i]),
                                 "a model of the ensemble", error);
    return status;
}

of_status of_stream_run(of_source *source, const of_stream_models *models, size_t batch_size,
                        uint64_t every, of_scored_visit *visit, void *user, of_error *error) {
    stream s = {.models = models, .source = source, .batch_size = batch_size, .every = every};
    if (batch_size == 0 || every == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "a batch must hold at least one image");
    of_status status = check_models(models, error);
    if (status == OF_OK)
        status = open_stream(&s, error);
    if (status == OF_OK)
        status = run_batches(&s, visit, user, error);
    close_stream(&s);
    return status;
}
