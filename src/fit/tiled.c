/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of pictures that are cut: lists of their files, windows of those that are trained on, and
 * pictures with defects to measure with. */
#include "fit/tiled.h"
#include "core/error.h"
#include "core/random.h"

#include <outflow/output.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 64,
    REGIONS = 4, /* of each picture that is held out, for defects */
    MOST_REGIONS = 2000,
    MOST_SIDE = 2048
};

#define PICTURE_BYTES ((size_t)192 << 20) /* of all that get defects */

char *of_fitting_listed(const of_fitting *fitting, const char *list, const char *before) {
    size_t size = strlen(before) + strlen(list) + strlen(fitting->options.source) + 16;
    char *name = malloc(size);
    if (name != NULL)
        (void)snprintf(name, size, "%simglist:%s:%s", before, list, fitting->options.source);
    return name;
}

/* ---- Lists -------------------------------------------------------------------------------- */

bool of_list_can_name(const char *path) {
    return strpbrk(path, "\r\n") == NULL && path[0] != '\0' &&
           strchr(" \t", path[strlen(path) - 1]) == NULL;
}

/* The label keeps a blank in the file's name from being taken for what stands before one. */
void of_list_add(of_output *output, const char *path) {
    (void)fprintf(of_output_file(output), "%s%s normal\n", path[0] == '#' ? "./" : "", path);
}

/* ---- Windows ------------------------------------------------------------------------------ */

static of_status copy_windows(of_source *source, const of_pictures *shape, uint64_t count,
                              of_npy_file *file, of_error *error) {
    for (uint64_t written = 0; written < count;) {
        of_source_batch batch;
        of_status status = of_source_next(source, BATCH, &batch, error);
        if (status == OF_OK && batch.count == 0)
            status = of_fail(error, OF_ERROR_FORMAT,
                             "pictures that could be read before cannot be read any more");
        for (size_t i = 0; status == OF_OK && i < batch.count && written < count; i++, written++)
            status = of_npy_add(file, batch.pixels + i * shape->image_bytes, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

static of_status write_windows(const of_fitting *fitting, const char *name, uint64_t count,
                               of_error *error) {
    const of_architecture *a = &fitting->plan.architecture;
    const of_pictures shape = {.channels = a->channels,
                               .image_bytes = (size_t)a->channels * a->height * a->width};
    of_source_options wish = of_source_options_default(a);
    of_source *source = NULL;
    of_npy_file file;
    wish.threads = fitting->options.threads;
    wish.seed = fitting->options.seed;
    of_status status = of_source_open(name, &wish, &source, error);
    if (status == OF_OK)
        status = of_npy_begin(fitting->work.train, a->channels, a->height, a->width, (size_t)count,
                              &file, error);
    if (status == OF_OK)
        status = of_npy_end(&file, copy_windows(source, &shape, count, &file, error), error);
    of_source_free(source);
    return status;
}

of_status of_fitting_write_windows(of_fitting *fitting, of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    uint64_t each = plan->windows / plan->train;
    char before[64];
    (void)snprintf(before, sizeof before, "windows:%" PRIu32 ":%" PRIu64 ":", plan->tiles.size,
                   each > 0 ? each : 1);
    char *name = of_fitting_listed(fitting, fitting->work.lists[0], before);
    if (name == NULL)
        return of_fail_memory(error, "the name of a source");
    plan->windows = (each > 0 ? each : 1) * plan->train;
    of_status status = write_windows(fitting, name, plan->windows, error);
    free(name);
    return status;
}

/* ---- Defects ------------------------------------------------------------------------------ */

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static of_status load(const of_fitting *fitting, const char *list, uint32_t height, uint32_t width,
                      unsigned each, size_t most, of_pictures *pictures, of_error *error) {
    char before[64];
    (void)snprintf(before, sizeof before, "windows:%" PRIu32 ":%u:", height, each);
    char *name = of_fitting_listed(fitting, list, before);
    if (name == NULL)
        return of_fail_memory(error, "the name of a source");
    of_status status = of_pictures_load(name, fitting->plan.architecture.channels, height, width,
                                        most, pictures, error);
    free(name);
    return status;
}

of_status of_defects_open(const of_fitting *fitting, const char *list, of_defects *defects,
                          of_error *error) {
    const of_fit_plan *plan = &fitting->plan;
    uint32_t height = smaller(plan->median_height, MOST_SIDE);
    uint32_t width = smaller(plan->median_width, MOST_SIDE);
    uint32_t side = smaller(2 * plan->tiles.size, smaller(height, width));
    size_t bytes = (size_t)height * width * plan->architecture.channels;
    size_t most = PICTURE_BYTES / bytes < OF_DEFECTIVE ? PICTURE_BYTES / bytes : OF_DEFECTIVE;
    *defects = (of_defects){.pictures = {0}};
    of_status status =
        load(fitting, list, height, width, 1, most > 0 ? most : 1, &defects->pictures, error);
    if (status == OF_OK)
        status = load(fitting, list, side, side, REGIONS, MOST_REGIONS, &defects->regions, error);
    if (status == OF_OK && (defects->pictures.count == 0 || defects->regions.count == 0))
        status = of_fail(error, OF_ERROR_FORMAT, "no picture that was held out can be read");
    return status;
}

void of_defects_close(of_defects *defects) {
    of_pictures_free(&defects->pictures);
    of_pictures_free(&defects->regions);
}

/* A picture in which a region is replaced by one that does not belong. */
static void deface(const of_defects *defects, of_outliers kind, uint64_t seed, uint64_t index,
                   uint8_t *region, uint8_t *picture) {
    const of_pictures *all = &defects->pictures, *part = &defects->regions;
    of_random random = of_random_stream(seed, index);
    uint32_t x = of_random_below(&random, all->width - part->width + 1);
    uint32_t y = of_random_below(&random, all->height - part->height + 1);
    size_t row = (size_t)part->width * part->channels;
    memcpy(picture, of_picture(all, index % all->count), all->image_bytes);
    of_outliers_make(part, kind, seed, index, region);
    for (uint32_t i = 0; i < part->height; i++)
        memcpy(picture + (((size_t)y + i) * all->width + x) * all->channels, region + i * row, row);
}

of_status of_defects_write(const of_defects *defects, of_outliers kind, uint64_t seed,
                           const char *path, of_error *error) {
    const of_pictures *all = &defects->pictures;
    uint8_t *picture = malloc(all->image_bytes), *region = malloc(defects->regions.image_bytes);
    of_npy_file file;
    of_status status = OF_OK;
    if (picture == NULL || region == NULL)
        status = of_fail_memory(error, "a picture");
    if (status == OF_OK)
        status =
            of_npy_begin(path, all->channels, all->height, all->width, all->count, &file, error);
    if (status == OF_OK) {
        for (size_t i = 0; status == OF_OK && i < all->count; i++) {
            deface(defects, kind, seed, i, region, picture);
            status = of_npy_add(&file, picture, error);
        }
        status = of_npy_end(&file, status, error);
    }
    free(picture);
    free(region);
    return status;
}
