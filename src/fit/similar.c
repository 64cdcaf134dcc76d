/* SPDX-License-Identifier: Apache-2.0 */
#include "fit/similar.h"

#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    BANDS = 4,       /* of a thumbnail's bits: near duplicates have one band in common */
    NEIGHBOURS = 24, /* that an image is compared with in a band's order */
    MOST_BITS = 6,   /* in which near duplicates' thumbnails differ */
    MOST_LEVELS = 6  /* their mean difference in grey levels */
};

typedef struct entry {
    uint64_t key;
    uint32_t image;
} entry;

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

/* ---- Groups: a forest whose roots are the earliest images --------------------------------- */

static uint32_t root_of(of_survey_image *images, uint32_t image) {
    while (images[image].group != image) {
        images[image].group = images[images[image].group].group;
        image = images[image].group;
    }
    return image;
}

static void join(of_survey_image *images, uint32_t a, uint32_t b) {
    a = root_of(images, a);
    b = root_of(images, b);
    if (a < b)
        images[b].group = a;
    else
        images[a].group = b;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

static unsigned count_bits(uint64_t bits) {
    return (unsigned)__builtin_popcountll(bits);
}

static bool look_alike(const of_survey *survey, uint32_t a, uint32_t b) {
    const uint8_t *x = of_survey_pixels(survey, a), *y = of_survey_pixels(survey, b);
    size_t most = survey->image_bytes * MOST_LEVELS, difference = 0;
    if (count_bits(survey->images[a].gradient ^ survey->images[b].gradient) > MOST_BITS)
        return false;
    for (size_t i = 0; i < survey->image_bytes && difference <= most; i++)
        difference += (size_t)abs(x[i] - y[i]);
    return difference <= most;
}

static bool are_equal(const of_survey *survey, uint32_t a, uint32_t b) {
    return survey->images[a].content == survey->images[b].content &&
           memcmp(of_survey_pixels(survey, a), of_survey_pixels(survey, b), survey->image_bytes) ==
               0;
}

static void find_copies(of_survey *survey, entry *order, of_similar *found) {
    for (uint32_t i = 0; i < survey->count; i++)
        order[i] = (entry){survey->images[i].content, i};
    qsort(order, survey->count, sizeof *order, by_key);
    for (size_t i = 1, first = 0; i < survey->count; i++) {
        if (!are_equal(survey, order[first].image, order[i].image)) {
            first = i;
            continue;
        }
        survey->images[order[i].image].copy = true;
        survey->images[order[i].image].original = order[first].image;
        join(survey->images, order[first].image, order[i].image);
        found->copies++;
    }
}

/* One band first in the order, the other bits after it. */
static uint64_t rotate(uint64_t bits, unsigned by) {
    return by == 0 ? bits : bits << by | bits >> (64 - by);
}

static void compare_band(of_survey *survey, entry *order, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count && j <= i + NEIGHBOURS; j++) {
            if (order[i].key >> (64 - 64 / BANDS) != order[j].key >> (64 - 64 / BANDS))
                break;
            if (root_of(survey->images, order[i].image) !=
                    root_of(survey->images, order[j].image) &&
                look_alike(survey, order[i].image, order[j].image))
                join(survey->images, order[i].image, order[j].image);
        }
}

static void find_similar(of_survey *survey, entry *order) {
    for (unsigned band = 0; band < BANDS; band++) {
        size_t count = 0;
        for (uint32_t i = 0; i < survey->count; i++)
            if (!survey->images[i].copy)
                order[count++] =
                    (entry){rotate(survey->images[i].gradient, band * (64 / BANDS)), i};
        qsort(order, count, sizeof *order, by_key);
        compare_band(survey, order, count);
    }
}

/* Members of the groups, `sizes` [count], and how many have a near duplicate. */
static void count_groups(of_survey *survey, uint32_t *sizes, of_similar *found) {
    uint32_t largest = 0;
    size_t different = survey->count - (size_t)found->copies;
    for (uint32_t i = 0; i < survey->count; i++) {
        survey->images[i].group = root_of(survey->images, i);
        if (!survey->images[i].copy && ++sizes[survey->images[i].group] > largest)
            largest = sizes[survey->images[i].group];
    }
    for (uint32_t i = 0; i < survey->count; i++)
        found->similar += !survey->images[i].copy && sizes[survey->images[i].group] > 1;
    found->alike = largest >= OF_FIT_LEAST && largest > different / 2;
    for (uint32_t i = 0; found->alike && i < survey->count; i++)
        survey->images[i].group = i;
}

of_status of_similar_find(of_survey *survey, of_similar *found, of_error *error) {
    *found = (of_similar){0};
    entry *order = calloc(survey->count + 1, sizeof *order);
    uint32_t *sizes = calloc(survey->count + 1, sizeof *sizes);
    of_status status =
        order == NULL || sizes == NULL ? of_fail_memory(error, "the order of images") : OF_OK;
    if (status == OF_OK) {
        for (uint32_t i = 0; i < survey->count; i++)
            survey->images[i].group = i;
        find_copies(survey, order, found);
        find_similar(survey, order);
        count_groups(survey, sizes, found);
    }
    free(order);
    free(sizes);
    return status;
}
