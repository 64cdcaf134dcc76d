/* SPDX-License-Identifier: Apache-2.0 */
/* The parts: groups of images that are nearly the same go into one of them, in an order that
 * depends on their pixels and the seed alone. */
#include "core/error.h"
#include "core/random.h"
#include "fit/fitting.h"
#include "fit/pictures.h"
#include "fit/tiled.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SHIFT = 2 /* pixels that copies are moved by */ };

/* An image in the order in which the parts are filled: by its group's number, then as it came. */
typedef struct place {
    uint64_t number;
    uint32_t group, image;
} place;

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

static uint64_t number_of(const of_survey *survey, uint32_t group, uint64_t seed) {
    uint32_t words[4];
    of_philox(survey->images[group].content, seed, 0, words);
    return (uint64_t)words[0] << 32 | words[1];
}

static size_t order_images(const of_survey *survey, uint64_t seed, bool listed, place *places) {
    size_t count = 0;
    for (uint32_t i = 0; i < survey->count; i++) {
        uint32_t group = survey->images[i].group;
        if (!survey->images[i].copy && (!listed || of_list_can_name(survey->images[i].path)))
            places[count++] = (place){number_of(survey, group, seed), group, i};
    }
    qsort(places, count, sizeof *places, by_place);
    return count;
}

/* ---- Filling ------------------------------------------------------------------------------ */

typedef enum part { TRAIN, CALIBRATE, CHECK, PARTS } part;

/* A group goes where it fits, the parts that are held out first; the rest is trained on. A part
 * that a group does not fit into any more may stay short: `counts` [PARTS] are what came of it. */
static void assign(const of_fit_plan *plan, const place *places, size_t count, part *parts,
                   uint64_t counts[PARTS]) {
    const uint64_t wanted[PARTS] = {count, plan->calibrate, plan->check};
    memset(counts, 0, PARTS * sizeof *counts);
    for (size_t first = 0, next; first < count; first = next) {
        for (next = first; next < count && places[next].group == places[first].group;)
            next++;
        size_t members = next - first;
        part chosen = counts[CALIBRATE] + members <= wanted[CALIBRATE] ? CALIBRATE
                      : counts[CHECK] + members <= wanted[CHECK]       ? CHECK
                                                                       : TRAIN;
        counts[chosen] += members;
        for (size_t i = first; i < next; i++)
            parts[i] = chosen;
    }
}

/* In the model's channels: brightness is the same in all three where only one is wanted. */
static void convert(const of_survey *survey, uint32_t image, uint32_t channels, uint8_t *to) {
    const uint8_t *from = of_survey_pixels(survey, image);
    size_t pixels = (size_t)survey->height * survey->width;
    if (channels == OF_SURVEY_CHANNELS) {
        memcpy(to, from, survey->image_bytes);
        return;
    }
    for (size_t p = 0; p < pixels; p++, from += OF_SURVEY_CHANNELS)
        to[p] = (uint8_t)((299u * from[0] + 587u * from[1] + 114u * from[2] + 500u) / 1000u);
}

static uint32_t moved(uint32_t at, int by, uint32_t size) {
    int64_t to = (int64_t)at + by;
    return to < 0 ? 0 : to >= size ? size - 1 : (uint32_t)to;
}

/* Copy number `round` of an image, moved by up to two pixels. */
static void move(const of_architecture *shape, const uint8_t *from, uint64_t round, uint64_t seed,
                 uint32_t image, uint8_t *to) {
    of_random random = of_random_stream(seed + round, image);
    int down = (int)of_random_below(&random, 2 * MOST_SHIFT + 1) - MOST_SHIFT;
    int across = (int)of_random_below(&random, 2 * MOST_SHIFT + 1) - MOST_SHIFT;
    for (uint32_t y = 0; y < shape->height; y++)
        for (uint32_t x = 0; x < shape->width; x++)
            memcpy(to + ((size_t)y * shape->width + x) * shape->channels,
                   from + ((size_t)moved(y, down, shape->height) * shape->width +
                           moved(x, across, shape->width)) *
                              shape->channels,
                   shape->channels);
}

/* ---- Writing ------------------------------------------------------------------------------ */

typedef struct writer {
    const of_fitting *fitting;
    const of_survey *survey;
    const place *places;
    const part *parts;
    size_t count;
    uint8_t *pixels, *copy; /* of an image */
} writer;

static of_status write_rounds(const writer *w, part wanted, uint64_t rounds, of_npy_file *file,
                              of_error *error) {
    const of_fitting *fitting = w->fitting;
    of_status status = OF_OK;
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; status == OF_OK && i < w->count; i++) {
            if (w->parts[i] != wanted)
                continue;
            uint32_t image = w->places[i].image;
            convert(w->survey, image, fitting->plan.architecture.channels, w->pixels);
            if (round > 0)
                move(&fitting->plan.architecture, w->pixels, round, fitting->options.seed, image,
                     w->copy);
            status = of_npy_add(file, round > 0 ? w->copy : w->pixels, error);
        }
    return status;
}

static of_status write_part(const writer *w, part wanted, const char *path, uint64_t images,
                            uint64_t rounds, of_error *error) {
    const of_architecture *shape = &w->fitting->plan.architecture;
    of_npy_file file;
    if (images == 0)
        return OF_OK;
    of_status status = of_npy_begin(path, shape->channels, shape->height, shape->width,
                                    (size_t)(images * rounds), &file, error);
    if (status != OF_OK)
        return status;
    return of_npy_end(&file, write_rounds(w, wanted, rounds, &file, error), error);
}

static of_status write_parts(writer *w, const uint64_t counts[PARTS], of_error *error) {
    const of_fitting *fitting = w->fitting;
    uint64_t rounds = 1;
    if (fitting->plan.way == OF_FIT_COPIES && counts[CALIBRATE] > 0)
        rounds = fitting->plan.calibrate / counts[CALIBRATE];
    of_status status = write_part(w, TRAIN, fitting->work.train, counts[TRAIN], 1, error);
    if (status == OF_OK)
        status =
            write_part(w, CALIBRATE, fitting->work.calibrate, counts[CALIBRATE], rounds, error);
    return status == OF_OK ? write_part(w, CHECK, fitting->work.check, counts[CHECK], 1, error)
                           : status;
}

static of_status write_list(const writer *w, part wanted, const char *path, of_error *error) {
    of_output *output = NULL;
    of_status status = of_output_open(path, &output, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->survey->images[w->places[i].image].path;
        if (w->parts[i] == wanted)
            of_list_add(output, name);
    }
    return of_output_commit(output, error);
}

/* Of pictures in tiles, lists of the parts' files, and windows to train on. */
static of_status write_lists(writer *w, of_fitting *fitting, of_error *error) {
    of_status status = OF_OK;
    for (part p = TRAIN; status == OF_OK && p < PARTS; p++)
        status = write_list(w, p, fitting->work.lists[p], error);
    return status == OF_OK ? of_fitting_write_windows(fitting, error) : status;
}

/* Similar pictures stay together, which may leave a part short. */
static of_status check_counts(const uint64_t counts[PARTS], of_error *error) {
    return counts[TRAIN] > 0 && counts[CALIBRATE] >= OF_CALIBRATION_LEAST_PICTURES
               ? OF_OK
               : of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                                 "too many of the pictures are nearly the same: %" PRIu64
                                 " are left to calibrate with, and %d are needed",
                                 counts[CALIBRATE], (int)OF_CALIBRATION_LEAST_PICTURES);
}

of_status of_fitting_divide(of_fitting *fitting, const of_survey *survey, of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    uint64_t counts[PARTS];
    place *places = calloc(survey->count, sizeof *places);
    part *parts = calloc(survey->count, sizeof *parts);
    writer w = {.fitting = fitting, .survey = survey, .places = places, .parts = parts};
    w.pixels = malloc(survey->image_bytes);
    w.copy = malloc(survey->image_bytes);
    of_status status = OF_OK;
    if (places == NULL || parts == NULL || w.pixels == NULL || w.copy == NULL) {
        status = of_fail_memory(error, "the parts of the images");
    } else {
        w.count = order_images(survey, fitting->options.seed, plan->tiles.size > 0, places);
        assign(plan, places, w.count, parts, counts);
        plan->train = counts[TRAIN];
        plan->check = counts[CHECK];
        if (plan->tiles.size == 0)
            status = write_parts(&w, counts, error);
        else
            status = check_counts(counts, error);
        if (plan->way != OF_FIT_COPIES)
            plan->calibrate = counts[CALIBRATE];
        if (status == OF_OK && plan->tiles.size > 0)
            status = write_lists(&w, fitting, error);
    }
    free(places);
    free(parts);
    free(w.pixels);
    free(w.copy);
    return status;
}
