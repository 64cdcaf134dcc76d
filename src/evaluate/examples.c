/* SPDX-License-Identifier: Apache-2.0 */
/* Images that stand out: a heap while they are offered, sorted afterwards. */
#define _POSIX_C_SOURCE 200809L
#include "evaluate/examples.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

of_status of_examples_create(const of_detector *detector, size_t most, bool lowest,
                             of_examples **examples, of_error *error) {
    if (detector == NULL || examples == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "examples need a detector and a place for their handle");
    of_examples *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "examples");
    *made = (of_examples){.detector = detector, .most = most, .lowest = lowest};
    *examples = made;
    return OF_OK;
}

/* ---- A heap with the least extreme example on top ------------------------------------------ */

static double rank_of(const of_examples *examples, double value) {
    double rank = isfinite(value) ? value : (double)INFINITY;
    return examples->lowest ? -rank : rank;
}

static bool more_extreme(const of_examples *examples, const of_kept_image *a,
                         const of_kept_image *b) {
    double x = rank_of(examples, a->value), y = rank_of(examples, b->value);
    return x > y || (x == y && (a->number < b->number) != examples->lowest);
}

static void swap(of_kept_image *a, of_kept_image *b) {
    of_kept_image other = *a;
    *a = *b;
    *b = other;
}

static void sift_up(of_examples *examples, size_t child) {
    of_kept_image *items = examples->items;
    while (child > 0 && more_extreme(examples, &items[(child - 1) / 2], &items[child])) {
        swap(&items[(child - 1) / 2], &items[child]);
        child = (child - 1) / 2;
    }
}

static void sift_down(of_examples *examples, size_t parent, size_t count) {
    of_kept_image *items = examples->items;
    for (;;) {
        size_t least = parent;
        for (size_t child = 2 * parent + 1; child <= 2 * parent + 2 && child < count; child++)
            if (more_extreme(examples, &items[least], &items[child]))
                least = child;
        if (least == parent)
            return;
        swap(&items[least], &items[parent]);
        parent = least;
    }
}

static void free_example(of_kept_image *example) {
    free(example->path);
    free(example->label);
    of_free(example->pixels);
    of_free(example->heat);
}

static bool reserve(of_examples *examples) {
    size_t capacity = examples->capacity > 0 ? 2 * examples->capacity : 16, bytes;
    if (examples->count < examples->capacity)
        return true;
    if (!of_multiply(capacity, sizeof *examples->items, &bytes))
        return false;
    of_kept_image *items = realloc(examples->items, bytes);
    if (items == NULL)
        return false;
    examples->items = items;
    examples->capacity = capacity;
    return true;
}

/* Images in memory have no name. */
static bool copy_names(of_kept_image *example, const of_item *item) {
    example->path = strdup(item != NULL ? item->path : "");
    example->label = strdup(item != NULL ? item->label : "");
    return example->path != NULL && example->label != NULL;
}

static bool copy_pixels(of_kept_image *example, const uint8_t *pixels, uint32_t channels) {
    size_t bytes = (size_t)example->height * example->width * channels;
    example->pixels = of_allocate(bytes, 1);
    if (example->pixels != NULL)
        memcpy(example->pixels, pixels, bytes);
    return example->pixels != NULL;
}

/* A picture that was cut, with its heat above what is usual. */
static bool copy_picture(of_kept_image *example, const of_tiled_heat *from, uint32_t channels) {
    size_t count = (size_t)from->height * from->width;
    example->cut = true;
    example->height = from->height;
    example->width = from->width;
    example->limit = from->limit;
    example->heat = of_allocate(count, sizeof *example->heat);
    for (size_t i = 0; example->heat != NULL && i < count; i++)
        example->heat[i] = from->values[i] - from->usual;
    return example->heat != NULL && copy_pixels(example, from->pixels, channels);
}

static bool copy_image(const of_architecture *a, of_kept_image *example,
                       const of_scored_batch *batch, size_t index) {
    const of_tiled_heat *heat = of_scored_heat(batch, index);
    example->height = a->height;
    example->width = a->width;
    return copy_names(example, of_scored_item(batch, index)) &&
           (heat != NULL ? copy_picture(example, heat, a->channels)
                         : copy_pixels(example, of_scored_pixels(batch, index), a->channels));
}

of_status of_examples_offer(of_examples *examples, const char *source, const of_scored_batch *batch,
                            size_t index, double value, of_error *error) {
    if (examples == NULL || batch == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_examples_offer: a required argument is NULL");
    if (examples->sorted || index >= of_scored_count(batch))
        return of_fail(error, OF_ERROR_ARGUMENT, "an example that cannot be kept: %s",
                       examples->sorted ? "they are sorted already" : "it is not in the batch");
    of_kept_image example = {.source = source, .value = value, .number = examples->offered++};
    const of_architecture *a = of_detector_architecture(examples->detector);
    bool full = examples->count == examples->most;
    if (examples->most == 0 || (full && !more_extreme(examples, &example, &examples->items[0])))
        return OF_OK;
    if ((!full && !reserve(examples)) || !copy_image(a, &example, batch, index)) {
        free_example(&example);
        return of_fail_memory(error, "an example");
    }
    if (full) {
        free_example(&examples->items[0]);
        examples->items[0] = example;
        sift_down(examples, 0, examples->count);
    } else {
        examples->items[examples->count++] = example;
        sift_up(examples, examples->count - 1);
    }
    return OF_OK;
}

void of_examples_sort(of_examples *examples) {
    if (examples->sorted)
        return;
    examples->sorted = true;
    for (size_t count = examples->count; count-- > 1;) {
        swap(&examples->items[0], &examples->items[count]);
        sift_down(examples, 0, count);
    }
}

void of_examples_shorten(of_examples *examples, size_t count) {
    while (examples->count > count)
        free_example(&examples->items[--examples->count]);
}

void of_examples_free(of_examples *examples) {
    if (examples == NULL)
        return;
    of_examples_shorten(examples, 0);
    free(examples->items);
    free(examples);
}

/* ---- Reading them -------------------------------------------------------------------------- */

size_t of_examples_count(const of_examples *examples) {
    return examples->count;
}

of_example of_examples_get(const of_examples *examples, size_t index) {
    if (index >= examples->count)
        return (of_example){.path = NULL};
    const of_kept_image *item = &examples->items[index];
    return (of_example){.path = item->path,
                        .label = item->label,
                        .source = item->source,
                        .value = item->value,
                        .pixels = item->pixels,
                        .heat = item->heat,
                        .limit = item->limit,
                        .height = item->height,
                        .width = item->width};
}
