/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/examples.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- A heap with the least extreme example on top ----------------------------------------- */

static double rank_of(const of_examples *examples, double value) {
    double rank = isfinite(value) ? value : (double)INFINITY;
    return examples->lowest ? -rank : rank;
}

static bool more_extreme(const of_examples *examples, const of_example *a, const of_example *b) {
    double x = rank_of(examples, a->value), y = rank_of(examples, b->value);
    return x > y || (x == y && (a->number < b->number) != examples->lowest);
}

static void swap(of_example *a, of_example *b) {
    of_example other = *a;
    *a = *b;
    *b = other;
}

static void sift_up(of_examples *examples, size_t child) {
    of_example *items = examples->items;
    while (child > 0 && more_extreme(examples, &items[(child - 1) / 2], &items[child])) {
        swap(&items[(child - 1) / 2], &items[child]);
        child = (child - 1) / 2;
    }
}

static void sift_down(of_examples *examples, size_t parent, size_t count) {
    of_example *items = examples->items;
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

static void free_example(of_example *example) {
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
    of_example *items = realloc(examples->items, bytes);
    if (items == NULL)
        return false;
    examples->items = items;
    examples->capacity = capacity;
    return true;
}

static bool copy_image(of_example *example, const of_item *item, const uint8_t *pixels,
                       size_t image_bytes) {
    example->path = strdup(item->path);
    example->label = strdup(item->label);
    example->pixels = of_allocate(image_bytes, 1);
    if (example->path == NULL || example->label == NULL || example->pixels == NULL)
        return false;
    memcpy(example->pixels, pixels, image_bytes);
    return true;
}

of_status of_examples_offer(of_examples *examples, const char *source, const of_scored_batch *batch,
                            size_t index, size_t image_bytes, double value, of_error *error) {
    of_example example = {.source = source, .value = value, .number = examples->offered++};
    bool full = examples->count == examples->most;
    if (examples->most == 0 || (full && !more_extreme(examples, &example, &examples->items[0])))
        return OF_OK;
    if ((!full && !reserve(examples)) ||
        !copy_image(&example, &batch->items[index], batch->pixels + index * image_bytes,
                    image_bytes)) {
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
    of_examples_shorten(examples, 0);
    free(examples->items);
    examples->items = NULL;
    examples->capacity = 0;
}

/* ---- Sample ------------------------------------------------------------------------------- */

/* Reservoir sampling (Vitter 1985, algorithm R). */
of_status of_sample_offer(of_sample *sample, const uint8_t *pixels, size_t image_bytes,
                          of_error *error) {
    size_t bytes, place = sample->count;
    if (sample->pixels == NULL) {
        if (of_multiply(OF_SAMPLE_MOST, image_bytes, &bytes))
            sample->pixels = of_allocate(bytes, 1);
        if (sample->pixels == NULL)
            return of_fail_memory(error, "a sample of images");
    }
    uint64_t number = sample->offered++;
    if (sample->count == OF_SAMPLE_MOST) {
        of_random random = of_random_stream(0, number);
        uint64_t wide = (uint64_t)of_random_u32(&random) << 32 | of_random_u32(&random);
        uint64_t drawn = wide % (number + 1);
        if (drawn >= OF_SAMPLE_MOST)
            return OF_OK;
        place = (size_t)drawn;
    } else {
        sample->count++;
    }
    memcpy(sample->pixels + place * image_bytes, pixels, image_bytes);
    return OF_OK;
}

void of_sample_free(of_sample *sample) {
    of_free(sample->pixels);
    sample->pixels = NULL;
}
