/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "fit/survey.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "data/formats/reader.h"
#include "data/source.h"

#include <outflow/output.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIXEL_BYTES ((size_t)512 << 20) /* of all images that are looked at */

enum { DEFAULT_SIDE = 32, DEFAULT_MOST = 50000, BATCH = 256, GRID = 8, COLOUR = 12 };

/* ---- What is to be known of an image ------------------------------------------------------ */

/* Brightness of a cell of a grid of `rows` x `columns` over the image. */
static unsigned cell(const of_survey *survey, const uint8_t *pixels, unsigned rows,
                     unsigned columns, unsigned row, unsigned column) {
    size_t top = (size_t)row * survey->height / rows,
           left = (size_t)column * survey->width / columns;
    size_t bottom = (size_t)(row + 1) * survey->height / rows;
    size_t right = (size_t)(column + 1) * survey->width / columns;
    size_t sum = 0, count = 0;
    bottom = bottom > top ? bottom : top + 1;
    right = right > left ? right : left + 1;
    for (size_t y = top; y < bottom; y++)
        for (size_t x = left; x < right; x++, count++) {
            const uint8_t *p = pixels + (y * survey->width + x) * OF_SURVEY_CHANNELS;
            sum += p[0] + 2u * p[1] + p[2];
        }
    return count > 0 ? (unsigned)(sum / count) : 0;
}

static uint64_t gradient_of(const of_survey *survey, const uint8_t *pixels) {
    uint64_t bits = 0;
    for (unsigned row = 0; row < GRID; row++) {
        unsigned before = cell(survey, pixels, GRID, GRID + 1, row, 0);
        for (unsigned column = 1; column <= GRID; column++) {
            unsigned now = cell(survey, pixels, GRID, GRID + 1, row, column);
            bits = bits << 1 | (now > before);
            before = now;
        }
    }
    return bits;
}

/* More than a trace in some pixels: a scan of grey paper has a tint as well. */
static bool is_coloured(const uint8_t *pixels, size_t count) {
    size_t tinted = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = pixels + i * OF_SURVEY_CHANNELS;
        int a = abs(p[0] - p[1]), b = abs(p[1] - p[2]), c = abs(p[0] - p[2]);
        tinted += a > COLOUR || b > COLOUR || c > COLOUR;
    }
    return tinted * 100 > count;
}

/* ---- Keeping them ------------------------------------------------------------------------- */

static of_status reserve(of_survey *survey, size_t more, of_error *error) {
    size_t needed = survey->count + more;
    if (needed <= survey->capacity)
        return OF_OK;
    size_t capacity = needed + survey->capacity / 2, bytes;
    void *pixels =
        of_multiply(capacity, survey->image_bytes, &bytes) ? realloc(survey->pixels, bytes) : NULL;
    survey->pixels = pixels != NULL ? pixels : survey->pixels;
    void *images = realloc(survey->images, capacity * sizeof *survey->images);
    survey->images = images != NULL ? images : survey->images;
    if (pixels == NULL || images == NULL)
        return of_fail_memory(error, "the images that are looked at");
    survey->capacity = capacity;
    return OF_OK;
}

static of_status take(of_survey *survey, const of_item *item, const uint8_t *pixels,
                      of_error *error) {
    char *path = strdup(item->path);
    if (path == NULL)
        return of_fail_memory(error, "the images that are looked at");
    of_survey_image *image = &survey->images[survey->count];
    *image = (of_survey_image){
        .content = of_hash(OF_HASH_START, pixels, survey->image_bytes / 4 * 4),
        .gradient = gradient_of(survey, pixels),
        .place = of_part_number(item->path),
        .path = path,
        .height = item->height,
        .width = item->width,
        .coloured = is_coloured(pixels, survey->image_bytes / OF_SURVEY_CHANNELS)};
    memcpy(survey->pixels + survey->count * survey->image_bytes, pixels, survey->image_bytes);
    survey->count++;
    return OF_OK;
}

static size_t count_below(const of_survey *survey, double share) {
    size_t count = 0;
    for (size_t i = 0; i < survey->count; i++)
        count += survey->images[i].place < share;
    return count;
}

/* Lowers the share of the paths until there is room again. */
static void thin(of_survey *survey) {
    size_t kept = 0;
    if (survey->count <= survey->most)
        return;
    while (count_below(survey, survey->share) > survey->most)
        survey->share *= 0.97;
    for (size_t i = 0; i < survey->count; i++) {
        if (survey->images[i].place >= survey->share) {
            free(survey->images[i].path);
            continue;
        }
        survey->images[kept] = survey->images[i];
        memmove(survey->pixels + kept * survey->image_bytes, of_survey_pixels(survey, i),
                survey->image_bytes);
        kept++;
    }
    survey->count = kept;
}

of_status of_survey_take(of_survey *survey, const of_source_batch *batch, of_error *error) {
    of_status status = reserve(survey, batch->count, error);
    for (size_t i = 0; status == OF_OK && i < batch->count; i++)
        if (of_part_number(batch->items[i].path) < survey->share)
            status = take(survey, &batch->items[i], batch->pixels + i * survey->image_bytes, error);
    thin(survey);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------ */

typedef struct looker {
    of_survey *survey;
    const of_fit_options *options;
    const of_fit_observer *observer;
} looker;

static void note_unreadable(void *user, const char *path, const char *reason) {
    const looker *look = user;
    if (look->survey->reason[0] == '\0')
        (void)snprintf(look->survey->reason, sizeof look->survey->reason, "%.200s: %.300s", path,
                       reason);
    if (look->observer->unreadable != NULL)
        look->observer->unreadable(look->observer->user, look->options->source, path, reason);
}

static bool is_stopped(void *user) {
    const looker *look = user;
    return look->observer->stop(look->observer->user);
}

static of_source_options reading(looker *look) {
    of_source_options wish = of_source_options_default(NULL);
    wish.channels = OF_SURVEY_CHANNELS;
    wish.height = look->survey->height;
    wish.width = look->survey->width;
    wish.threads = look->options->threads;
    wish.seed = look->options->seed;
    wish.on_unreadable = note_unreadable;
    wish.stop = look->observer->stop != NULL ? is_stopped : NULL;
    wish.user = look;
    return wish;
}

static of_status read_all(looker *look, of_source *source, of_error *error) {
    const of_fit_observer *observer = look->observer;
    uint64_t seen = 0;
    for (;;) {
        of_source_batch batch;
        of_status status = of_source_next(source, BATCH, &batch, error);
        if (status == OF_OK && batch.count > 0)
            status = of_survey_take(look->survey, &batch, error);
        if (status != OF_OK || batch.count == 0)
            return status;
        seen += batch.count;
        if (observer->progressed != NULL)
            observer->progressed(observer->user, seen, (double)NAN);
    }
}

/* Images of a folder, which are counted much faster than they are listed; 0 for what is none. */
static of_status count_in_folder(const char *name, const of_source_options *wish, uint64_t *count,
                                 of_error *error) {
    struct stat information;
    of_target target;
    of_reader *reader = NULL;
    *count = 0;
    if (stat(name, &information) != 0 || !S_ISDIR(information.st_mode))
        return OF_OK;
    of_status status = of_source_target(wish, &target, error);
    if (status == OF_OK)
        status = of_reader_open(name, &target, wish->seed, &reader, error);
    if (status == OF_OK)
        *count = reader->expected;
    of_reader_close(reader);
    return status;
}

/* A source that says how many it has is divided before it is decoded. */
static of_status open_share(looker *look, const of_source_options *wish, of_source **source,
                            of_error *error) {
    of_survey *survey = look->survey;
    const char *name = look->options->source;
    char number[OF_NUMBER_SIZE];
    of_status status = count_in_folder(name, wish, &survey->found, error);
    if (status == OF_OK && survey->found <= survey->most) {
        status = of_source_open(name, wish, source, error);
        survey->found = status == OF_OK ? of_source_expected(*source) : 0;
    }
    if (status != OF_OK || survey->found <= survey->most)
        return status;
    of_source_free(*source);
    *source = NULL;
    survey->share = (double)survey->most / (double)survey->found;
    size_t size = strlen(name) + OF_NUMBER_SIZE + sizeof "part:0-:";
    char *part = malloc(size);
    if (part == NULL)
        return of_fail_memory(error, "the name of a part");
    (void)snprintf(part, size, "part:0-%s:%s", of_number_text(survey->share, number), name);
    status = of_source_open(part, wish, source, error);
    free(part);
    return status;
}

of_status of_survey_run(const of_fit_options *options, const of_fit_observer *observer,
                        of_survey *survey, of_error *error) {
    looker look = {survey, options, observer};
    of_source *source = NULL;
    *survey = (of_survey){.height = options->height > 0 ? options->height : DEFAULT_SIDE,
                          .width = options->width > 0 ? options->width : DEFAULT_SIDE,
                          .share = 1};
    survey->image_bytes = (size_t)survey->height * survey->width * OF_SURVEY_CHANNELS;
    survey->most = options->most_images > 0 ? (size_t)options->most_images : DEFAULT_MOST;
    if (survey->most > PIXEL_BYTES / survey->image_bytes + 1)
        survey->most = PIXEL_BYTES / survey->image_bytes + 1;
    const of_source_options wish = reading(&look);
    of_status status = open_share(&look, &wish, &source, error);
    if (status != OF_OK)
        return status;
    if (observer->stage != NULL)
        observer->stage(observer->user, OF_FIT_LOOK,
                        survey->found < survey->most ? survey->found : survey->most, 0);
    status = read_all(&look, source, error);
    survey->unreadable = of_source_unreadable(source);
    survey->skipped = of_source_skipped(source);
    of_source_free(source);
    return status;
}

void of_survey_close(of_survey *survey) {
    for (size_t i = 0; i < survey->count; i++)
        free(survey->images[i].path);
    free(survey->images);
    free(survey->pixels);
    *survey = (of_survey){0};
}
