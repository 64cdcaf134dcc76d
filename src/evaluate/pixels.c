/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "evaluate/pixels.h"

#include "core/error.h"
#include "core/memory.h"
#include "data/formats/reader.h"
#include "evaluate/regions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pixel of the map is anomalous if at least a quarter of what it stands for is. */
enum { LEAST_SHADE = 64 };

/* Up to this false positive rate (Bergmann et al. 2019). */
#define MOST_FPR 0.3

of_status of_pixel_sets_open(const of_detector *detector, const char *folder, of_score score,
                             size_t set_count, of_pixel_sets **pixels, of_error *error) {
    const of_architecture *a = of_detector_architecture(detector);
    of_pixel_sets *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "pixels");
    *made = (of_pixel_sets){.detector = detector,
                            .folder = strdup(folder),
                            .score = score,
                            .sets = calloc(set_count, sizeof *made->sets),
                            .set_count = set_count,
                            .room = of_allocate((size_t)a->height * a->width, sizeof(double))};
    *pixels = made;
    return made->folder != NULL && made->sets != NULL && made->room != NULL
               ? OF_OK
               : of_fail_memory(error, "pixels");
}

static void free_set(of_pixel_set *set) {
    free(set->heat);
    free(set->regions);
}

void of_pixel_sets_free(of_pixel_sets *pixels) {
    if (pixels == NULL)
        return;
    for (size_t i = 0; pixels->sets != NULL && i < pixels->set_count; i++)
        free_set(&pixels->sets[i]);
    free(pixels->sets);
    free(pixels->folder);
    of_free(pixels->room);
    free(pixels);
}

static bool reserve(of_pixel_set *set, size_t more) {
    size_t capacity = set->capacity > 0 ? set->capacity : 65536, bytes;
    if (more > SIZE_MAX / 4 - set->count)
        return false;
    while (capacity < set->count + more)
        capacity *= 2;
    if (capacity == set->capacity)
        return true;
    if (!of_multiply(capacity, sizeof *set->regions, &bytes))
        return false;
    float *heat = realloc(set->heat, bytes);
    set->heat = heat != NULL ? heat : set->heat;
    uint32_t *regions = realloc(set->regions, bytes);
    set->regions = regions != NULL ? regions : set->regions;
    if (heat == NULL || regions == NULL)
        return false;
    set->capacity = capacity;
    return true;
}

/* ---- Masks -------------------------------------------------------------------------------------
 */

/* FOLDER[/NAME]/PATH without its ending, and `ending`. */
static void mask_path(const char *folder, const char *name, const char *path, const char *ending,
                      char *text, size_t size) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t stem =
        dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - path) : strlen(path);
    (void)snprintf(text, size, "%s/%s%s%.*s%s", folder, name, name[0] != '\0' ? "/" : "",
                   (int)(stem < 4096 ? stem : 4096), path, ending);
}

static bool find_mask(const of_pixel_sets *pixels, const char *name, const char *path, char *text,
                      size_t size) {
    static const char *const endings[] = {".png", "_mask.png"};
    for (size_t i = 0; i < 4; i++) {
        mask_path(pixels->folder, i < 2 ? name : "", path, endings[i % 2], text, size);
        if (access(text, F_OK) == 0)
            return true;
    }
    return false;
}

/* The mask as grey pixels of the map's size. */
static of_status read_mask(const char *path, const of_item *item, const of_target *target,
                           uint8_t *mask, of_error *error) {
    of_entry entry = {0};
    of_image_info info;
    of_error reason;
    of_status status = of_entry_begin(&entry, path, "", error);
    if (status == OF_OK)
        status = of_entry_read_file(&entry, path, target, error);
    if (status == OF_OK && of_entry_decode(&entry, target, mask, &info, &reason) != OF_OK)
        status = of_fail_from(error, &reason, "%.400s: %.400s", path, reason.message);
    else if (status == OF_OK && (info.height != item->height || info.width != item->width))
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%.400s: this mask has %" PRIu32 "x%" PRIu32
                         " pixels (height x width), its picture %" PRIu32 "x%" PRIu32,
                         path, info.height, info.width, item->height, item->width);
    of_entry_free(&entry);
    return status;
}

static of_status add_mask(of_pixel_set *set, const char *path, const of_item *item, uint32_t height,
                          uint32_t width, of_error *error) {
    const of_target target = {.channels = 1,
                              .height = height,
                              .width = width,
                              .max_pixels = OF_MAX_PIXELS,
                              .max_bytes = OF_MAX_FILE_BYTES,
                              .max_memory = OF_MAX_DECODER_BYTES};
    uint8_t *mask = of_allocate((size_t)height * width, 1);
    if (mask == NULL)
        return of_fail_memory(error, "a mask");
    of_status status = read_mask(path, item, &target, mask, error);
    if (status == OF_OK)
        status = of_regions_find(mask, height, width, LEAST_SHADE, set->region_count,
                                 set->regions + set->count, &set->region_count, error);
    of_free(mask);
    return status;
}

/* ---- Pictures ----------------------------------------------------------------------------------
 */

/* The map of an image that was not cut; `room` holds its values. */
static of_status heat_image(const of_pixel_sets *pixels, const of_scored_batch *batch, size_t index,
                            of_error *error) {
    const of_batch image = {OF_PIXEL_U8, of_scored_pixels(batch, index), 1};
    return of_detector_heat(pixels->detector, pixels->score, &image, pixels->room, error);
}

static void copy_heat(const of_pixel_sets *pixels, const of_tiled_heat *tiled, size_t count,
                      float *to) {
    for (size_t i = 0; i < count; i++)
        to[i] = tiled != NULL ? tiled->values[i] : (float)pixels->room[i];
}

of_status of_pixel_sets_add(of_pixel_sets *pixels, size_t set, const char *name,
                            const of_scored_batch *batch, size_t index, of_error *error) {
    const of_architecture *a = of_detector_architecture(pixels->detector);
    const of_tiled_heat *tiled = of_scored_heat(batch, index);
    const of_item *item = of_scored_item(batch, index);
    uint32_t height = tiled != NULL ? tiled->height : a->height;
    uint32_t width = tiled != NULL ? tiled->width : a->width;
    size_t count = (size_t)height * width;
    of_pixel_set *own = &pixels->sets[set];
    char path[8192];
    if (set > 0 && !find_mask(pixels, name, item->path, path, sizeof path)) {
        own->without_mask++;
        return OF_OK;
    }
    if (!reserve(own, count))
        return of_fail_memory(error, "the heat of all pictures");
    of_status status = tiled == NULL ? heat_image(pixels, batch, index, error) : OF_OK;
    if (status == OF_OK && set > 0)
        status = add_mask(own, path, item, height, width, error);
    if (status != OF_OK)
        return status;
    if (set == 0)
        memset(own->regions + own->count, 0, count * sizeof *own->regions);
    copy_heat(pixels, tiled, count, own->heat + own->count);
    own->count += count;
    own->pictures++;
    return OF_OK;
}

/* ---- Metrics -----------------------------------------------------------------------------------
 */

/* Appends a set's pixels; its regions are numbered on from those before. */
static bool append(of_pixel_set *to, const of_pixel_set *from) {
    if (!reserve(to, from->count))
        return false;
    for (size_t i = 0; i < from->count; i++) {
        uint32_t region = from->regions[i];
        to->heat[to->count + i] = from->heat[i];
        to->regions[to->count + i] = region > 0 ? region + to->region_count : 0;
    }
    to->count += from->count;
    to->region_count += from->region_count;
    return true;
}

of_status of_pixel_sets_compare(const of_pixel_sets *pixels, size_t set, of_pixel_metrics *metrics,
                                of_error *error) {
    of_pixel_set all = {0};
    bool stored = append(&all, &pixels->sets[0]);
    for (size_t i = 1; stored && i < pixels->set_count; i++)
        if (set == 0 || set == i)
            stored = append(&all, &pixels->sets[i]);
    of_status status = stored ? of_pixel_metrics_compute(all.heat, all.regions, all.count, MOST_FPR,
                                                         metrics, error)
                              : of_fail_memory(error, "the heat of all pictures");
    free_set(&all);
    return status;
}
