/* SPDX-License-Identifier: Apache-2.0 */
#include "evaluate/regions.h"

#include "core/error.h"
#include "core/memory.h"

/* A mask in the making; `stack` holds pixels whose neighbours are to be looked at. */
typedef struct filling {
    const uint8_t *mask;
    uint32_t height, width;
    uint8_t least;
    uint32_t *regions;
    size_t *stack, depth; /* each pixel is put there once at most */
} filling;

static void take(filling *f, size_t pixel, uint32_t number) {
    if (f->mask[pixel] < f->least || f->regions[pixel] != 0)
        return;
    f->regions[pixel] = number;
    f->stack[f->depth++] = pixel;
}

static void take_neighbours(filling *f, size_t pixel, uint32_t number) {
    size_t x = pixel % f->width, y = pixel / f->width;
    for (size_t v = y > 0 ? y - 1 : 0; v <= y + 1 && v < f->height; v++)
        for (size_t u = x > 0 ? x - 1 : 0; u <= x + 1 && u < f->width; u++)
            take(f, v * f->width + u, number);
}

of_status of_regions_find(const uint8_t *mask, uint32_t height, uint32_t width, uint8_t least,
                          uint32_t first, uint32_t *regions, uint32_t *last, of_error *error) {
    size_t count = (size_t)height * width;
    filling f = {mask, height, width, least, regions, of_allocate(count, sizeof *f.stack), 0};
    if (f.stack == NULL)
        return of_fail_memory(error, "the regions of a mask");
    for (size_t i = 0; i < count; i++)
        regions[i] = 0;
    *last = first;
    for (size_t i = 0; i < count; i++) {
        take(&f, i, *last + 1);
        *last += f.depth > 0;
        while (f.depth > 0)
            take_neighbours(&f, f.stack[--f.depth], *last);
    }
    of_free(f.stack);
    return OF_OK;
}
