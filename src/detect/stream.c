/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a source through the models, a batch at a time. */
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "core/parts.h"
#include "data/pixels/image.h"
#include "data/source.h"
#include "detect/label_order.h"
#include "detect/pictures.h"
#include "ranks/ranks.h"

#include <inttypes.h>
#include <outflow/output.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More decoders than this would only wait for the flow. */
enum { MAX_DECODERS = 16 };

/* A run: the batch with room for its results, and images gathered where some are left out. */
typedef struct stream {
    const of_detector *detector;
    const char *name;
    of_stream_options options;
    of_stream_observer observer;
    of_source *source;
    of_runner *runner;
    uint64_t taken; /* images of the source so far */
    of_scored_batch batch;
    uint8_t *pixels; /* every > 1: [capacity][image_bytes] */
    of_item *items;  /* every > 1 */
    of_scored_visit *visit;
    void *user;
    of_stream_result result;
    uint32_t height, width; /* of the largest image that was reshaped */
    of_label_order order;
    uint64_t read;   /* images of the source, those that were left out included */
    char worst[256]; /* its path, or the beginning of it */
    uint64_t dim, enlarged, converted, transparent,
        reduced;          /* images of which that is worth a word */
    bool to_grey;         /* what was converted was colour */
    bool cut;             /* its pictures are cut: the source gives out tiles */
    of_tiles_range tiles; /* limit and every are those of pictures, not of tiles */
    uint64_t pictures;    /* of the source if known, else 0 */
    of_picture_gatherer gatherer;
} stream;

of_stream_options of_stream_options_default(void) {
    return (of_stream_options){.size = sizeof(of_stream_options)};
}

of_stream_observer of_stream_observer_default(void) {
    return (of_stream_observer){.size = sizeof(of_stream_observer)};
}

/* ---- The source ----------------------------------------------------------------------------- */

static void tell_unreadable(void *user, const char *path, const char *reason) {
    const stream *s = user;
    if (s->observer.unreadable != NULL)
        s->observer.unreadable(s->observer.user, s->name, path, reason);
}

static bool is_stopped(void *user) {
    const stream *s = user;
    return s->observer.stop != NULL && s->observer.stop(s->observer.user);
}

static of_status open_tiles(stream *s, const of_source_options *options, of_error *error) {
    of_target target;
    of_reader *whole, *tiles;
    of_status status = of_tiles_check_source(s->name, error);
    if (status == OF_OK)
        status = of_source_target(options, &target, error);
    if (status == OF_OK)
        status = of_reader_open(s->name, &target, options->seed, &whole, error);
    if (status != OF_OK)
        return status;
    s->pictures = whole->expected;
    status = of_reader_open_tiles(whole, &s->tiles, &target, &tiles, error);
    return status == OF_OK ? of_source_from_reader(tiles, options, &s->source, error) : status;
}

static of_status open_source(stream *s, of_error *error) {
    of_source_options options = of_source_options_default(of_detector_architecture(s->detector));
    unsigned threads = of_detector_threads(s->detector);
    options.threads = threads < MAX_DECODERS ? threads : MAX_DECODERS;
    options.limit = s->options.limit;
    options.seed = s->options.seed;
    options.strict = s->options.strict;
    options.max_pixels = s->options.max_pixels;
    options.max_bytes = s->options.max_bytes;
    options.max_unpacked = s->options.max_unpacked;
    options.background = s->options.background;
    options.full_decoding = s->options.full_decoding;
    options.all_frames = s->options.all_frames;
    options.on_unreadable = tell_unreadable;
    options.stop = is_stopped;
    options.user = s;
    of_status status = of_ranks_check_source(s->detector->ranks, s->name, error);
    if (status == OF_OK)
        status = s->cut ? open_tiles(s, &options, error)
                        : of_source_open(s->name, &options, &s->source, error);
    return of_ranks_agree(s->detector->ranks, status, error);
}

static uint64_t expected_images(const stream *s) {
    uint64_t expected = s->cut ? s->pictures : of_source_expected(s->source);
    uint64_t limit = s->cut ? s->tiles.limit : s->options.limit;
    uint64_t every = s->cut ? s->tiles.every : s->options.every;
    uint64_t read = limit != 0 && expected > limit ? limit : expected;
    return read / every + (read % every > 0);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Ranks take their parts of the same batches, though their machines may differ. */
static of_status choose_batch(const stream *s, size_t *capacity, of_error *error) {
    of_ranks *ranks = s->detector->ranks;
    uint64_t batch = s->options.batch;
    if (batch == 0)
        batch = s->detector->batch * (uint64_t)of_ranks_size(ranks);
    of_status status = of_ranks_share_batch(ranks, &batch, error);
    *capacity = (size_t)batch;
    return status;
}

static of_status open_memory(stream *s, of_error *error) {
    size_t capacity = 0, bytes;
    of_status status = choose_batch(s, &capacity, error);
    if (status == OF_OK)
        status = of_scored_batch_open(s->detector, capacity, s->options.needs, &s->batch, error);
    if (status != OF_OK || s->options.every == 1)
        return status;
    s->items = of_allocate(capacity, sizeof *s->items);
    s->pixels = of_multiply(capacity, s->batch.image_bytes, &bytes) ? of_allocate(bytes, 1) : NULL;
    return s->items != NULL && s->pixels != NULL ? OF_OK : of_fail_memory(error, "a batch");
}

/* Leaves out what is not the `every`-th image; what stays is copied to where it can be packed. */
static void thin_out(stream *s, of_source_batch *images) {
    size_t kept = 0, bytes = s->batch.image_bytes;
    for (size_t i = 0; i < images->count; i++) {
        if (s->taken++ % s->options.every != 0)
            continue;
        memcpy(s->pixels + kept * bytes, images->pixels + i * bytes, bytes);
        s->items[kept++] = images->items[i];
    }
    *images = (of_source_batch){kept, s->pixels, s->items};
}

/* ---- Several processes ----------------------------------------------------------------------- */

static of_status share_results(of_ranks *ranks, const of_model_results *results, size_t count,
                               of_error *error) {
    double *const rows[] = {results->logp, results->contributions, results->latent_squares,
                            results->class_logp};
    const size_t widths[] = {1, results->scales, results->scales, results->classes};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && results->scales > 0 && i < 4; i++)
        if (rows[i] != NULL)
            status = of_ranks_share_rows(ranks, rows[i], widths[i], count, error);
    return status;
}

static of_status share_batch(const stream *s, size_t count, of_error *error) {
    of_ranks *ranks = s->detector->ranks;
    double *const rows[] = {s->batch.member_logp, s->batch.png_bytes, s->batch.webp_bytes};
    const size_t widths[] = {s->batch.members, 1, 1};
    of_status status = share_results(ranks, &s->batch.own, count, error);
    if (status == OF_OK)
        status = share_results(ranks, &s->batch.general, count, error);
    for (size_t i = 0; status == OF_OK && i < 3; i++)
        if (rows[i] != NULL)
            status = of_ranks_share_rows(ranks, rows[i], widths[i], count, error);
    return status;
}

/* ---- Batches ----------------------------------------------------------------------------------
 */

static of_status run_images(stream *s, const uint8_t *pixels, size_t count, of_scored_batch *batch,
                            of_error *error) {
    const of_batch images = {OF_PIXEL_U8, pixels, count};
    return of_scored_batch_run(s->detector, s->runner, &images, pixels, batch, error);
}

/* The rank's own part of a batch. */
static of_status run_part(stream *s, const of_source_batch *images, of_error *error) {
    unsigned ranks = of_ranks_size(s->detector->ranks), rank = of_ranks_rank(s->detector->ranks);
    size_t first = of_part_begin(images->count, ranks, rank);
    size_t end = of_part_begin(images->count, ranks, rank + 1);
    of_scored_batch part;
    of_scored_batch_view(&s->batch, first, &part);
    return end > first ? run_images(s, images->pixels + first * s->batch.image_bytes, end - first,
                                    &part, error)
                       : OF_OK;
}

static of_status run_batch(stream *s, const of_source_batch *images, of_error *error) {
    of_status status = OF_OK;
    if (of_ranks_size(s->detector->ranks) > 1) {
        status = of_ranks_compare_items(s->detector->ranks, images, error);
        if (status == OF_OK)
            status = run_part(s, images, error);
        if (status == OF_OK)
            status = share_batch(s, images->count, error);
    } else {
        status = run_images(s, images->pixels, images->count, &s->batch, error);
    }
    s->batch.count = images->count;
    s->batch.pixels = images->pixels;
    s->batch.items = images->items;
    return status;
}

static void note_reshaped(stream *s, const of_item *item) {
    s->result.reshaped++;
    if ((uint64_t)item->height * item->width <= (uint64_t)s->height * s->width)
        return;
    s->height = item->height;
    s->width = item->width;
    (void)snprintf(s->worst, sizeof s->worst, "%s", item->path);
}

static void note_sizes(stream *s, const of_item *item) {
    if (item->reshaped)
        note_reshaped(s, item);
    s->enlarged += item->info.enlarged;
}

static void note_reading(stream *s, const of_image_info *info) {
    s->dim += info->dim;
    s->converted += info->converted;
    s->to_grey = info->converted ? info->channels == 3 : s->to_grey;
    s->transparent += info->alpha_dropped;
    s->reduced += info->frames_dropped > 0;
}

static void note_images(stream *s) {
    s->result.images = s->cut ? s->gatherer.pictures : s->result.images + s->batch.count;
    for (size_t i = 0; i < s->batch.count; i++) {
        const of_item *item = &s->batch.items[i];
        if (!s->cut)
            note_sizes(s, item);
        if (item->tile.number == 0) /* of a picture in tiles once */
            note_reading(s, &item->info);
    }
    if (s->observer.progressed != NULL)
        s->observer.progressed(s->observer.user, s->result.images);
}

static of_status fail_stopped(of_error *error) {
    return of_fail(error, OF_ERROR_IO, "interrupted");
}

static of_status take_batch(stream *s, const of_source_batch *images, of_error *error) {
    of_status status = run_batch(s, images, error);
    if (status == OF_OK && is_stopped(s))
        status = fail_stopped(error);
    if (status == OF_OK)
        status = s->visit(s->user, &s->batch, error);
    if (status == OF_OK)
        note_images(s);
    return status;
}

static void note_order(stream *s, const of_source_batch *images) {
    for (size_t i = 0; s->options.limit > 0 && i < images->count; i++)
        of_label_order_add(&s->order, images->items[i].label);
    s->read += images->count;
}

static of_status run_batches(stream *s, of_error *error) {
    for (;;) {
        of_source_batch images;
        of_status status = of_source_next(s->source, s->batch.capacity, &images, error);
        if (status == OF_OK && images.count == 0)
            return of_ranks_size(s->detector->ranks) > 1
                       ? of_ranks_compare_items(s->detector->ranks, &images, error)
                       : OF_OK;
        if (status == OF_OK)
            note_order(s, &images);
        if (status == OF_OK && s->options.every > 1)
            thin_out(s, &images);
        if (status == OF_OK && images.count > 0)
            status = take_batch(s, &images, error);
        if (status != OF_OK)
            return status;
    }
}

/* ---- All ----------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static void warn(const stream *s, const char *format, ...) {
    char text[1024];
    va_list arguments;
    if (s->observer.warn == NULL)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_plain_text(text); /* a source may be called anything; a warning is one line */
    s->observer.warn(s->observer.user, text);
}

/* The first images of a source that is sorted by class are all of its first classes. */
static void warn_of_order(const stream *s, uint64_t total) {
    uint64_t limit = s->options.limit;
    if (limit == 0 || s->read < limit || total <= limit || !of_label_order_is_sorted(&s->order))
        return;
    warn(s,
         "%s: sorted by class: its first %" PRIu64 " of %" PRIu64 " images are of %zu class%s ('%s'"
         "%s%s%s); a fair sample takes one image in %" PRIu64 " instead",
         s->name, limit, total, s->order.classes, s->order.classes == 1 ? "" : "es",
         s->order.names[0], s->order.classes > 1 ? " to '" : "",
         s->order.classes > 1 ? s->order.names[s->order.classes - 1] : "",
         s->order.classes > 1 ? "'" : "", (total + limit - 1) / limit);
}

static void warn_of_count(const stream *s, uint64_t count, const char *what) {
    if (count > 0)
        warn(s, "%s: %" PRIu64 " of %" PRIu64 " images %s", s->name, count, s->result.images, what);
}

/* What a user may not know of the images that were scored, or were not. */
static void warn_of_images(const stream *s) {
    const of_architecture *a = of_detector_architecture(s->detector);
    if (s->result.skipped > 0)
        warn(s, "%s: passed over %" PRIu64 " files that are no images by their names (%s)", s->name,
             s->result.skipped, OF_IMAGE_EXTENSIONS);
    if (s->gatherer.enlarged > 0)
        warn(s,
             "%s: %" PRIu64 " of %" PRIu64 " pictures are smaller than a tile of %" PRIu32
             " pixels and were enlarged",
             s->name, s->gatherer.enlarged, s->result.images, s->tiles.tiling.size);
    if (s->result.reshaped > 0)
        warn(s,
             "%s: %" PRIu64 " of %" PRIu64 " images, up to %" PRIu32 "x%" PRIu32
             " (%s), were shrunk or squeezed to the model's %" PRIu32 "x%" PRIu32
             ", width x height: what is small in them is lost",
             s->name, s->result.reshaped, s->result.images, s->width, s->height, s->worst, a->width,
             a->height);
    warn_of_count(s, s->converted,
                  s->to_grey ? "are in colour and were made grey, as the model's are"
                             : "are grey and were made colour, as the model's are");
    warn_of_count(s, s->enlarged,
                  "are smaller than the model's and were enlarged: what is fine in "
                  "images of that size is missing in them");
    warn_of_count(s, s->transparent, "are transparent in places and were laid over the background");
    warn_of_count(s, s->dim, "have 16 bits a sample and use 14 or fewer, so that they are dark");
    warn_of_count(s, s->reduced, "hold several pictures, of which the first was taken");
}

of_status of_stream_fail_empty(const char *source, const of_stream_result *result,
                               of_error *error) {
    if (result == NULL || result->unreadable == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", source);
    return of_fail(error, OF_ERROR_FORMAT, "%s: no image could be read, %" PRIu64 " failed", source,
                   result->unreadable);
}

static of_status run(stream *s, of_error *error) {
    double start = of_seconds();
    of_status status = open_source(s, error);
    if (status == OF_OK) {
        if (s->observer.started != NULL)
            s->observer.started(s->observer.user, s->name, expected_images(s));
        status = open_memory(s, error);
    }
    if (status == OF_OK)
        status = of_runner_take(s->detector, &s->runner, error);
    if (status == OF_OK) {
        status = run_batches(s, error);
        of_runner_give_back(s->detector, s->runner);
    }
    if (s->source != NULL) {
        s->result.unreadable = of_source_unreadable(s->source);
        s->result.skipped = of_source_skipped(s->source);
        warn_of_images(s);
        warn_of_order(s, of_source_total(s->source));
    }
    s->result.seconds = of_seconds() - start;
    return status;
}

static void close_stream(stream *s) {
    of_pictures_close(&s->gatherer);
    of_source_free(s->source);
    of_scored_batch_close(&s->batch);
    of_free(s->pixels);
    of_free(s->items);
}

static of_status read_options(const of_stream_options *options, stream *s, of_error *error) {
    s->options = of_stream_options_default();
    s->observer = of_stream_observer_default();
    of_status status =
        of_options_read(&s->options, sizeof s->options, offsetof(of_stream_options, max_pixels),
                        options, "of_stream_options", error);
    if (status == OF_OK)
        status = of_options_read(&s->observer, sizeof s->observer, sizeof s->observer,
                                 s->options.observer, "of_stream_observer", error);
    if (s->options.every == 0)
        s->options.every = 1;
    return status;
}

/* The stream is one of tiles, and its visitor puts them together. */
static of_status cut_pictures(stream *s, of_error *error) {
    s->cut = true;
    s->tiles = (of_tiles_range){
        .tiling = s->detector->tiling, .limit = s->options.limit, .every = s->options.every};
    s->options.limit = 0;
    s->options.every = 1;
    of_status status =
        of_pictures_open(s->detector, &s->options, s->visit, s->user, &s->gatherer, error);
    s->visit = of_pictures_take;
    s->user = &s->gatherer;
    return status;
}

of_status of_detector_stream(const of_detector *detector, const char *source,
                             const of_stream_options *options, of_scored_visit *visit, void *user,
                             of_stream_result *result, of_error *error) {
    stream s = {.detector = detector, .name = source, .visit = visit, .user = user};
    if (result != NULL)
        *result = s.result;
    if (detector == NULL || source == NULL || visit == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_stream: detector, source and visitor are all needed");
    of_status status = read_options(options, &s, error);
    if (status == OF_OK && detector->tiling.size > 0)
        status = cut_pictures(&s, error);
    if (status == OF_OK)
        status = run(&s, error);
    close_stream(&s);
    if (result != NULL)
        *result = s.result;
    return status;
}
