/* SPDX-License-Identifier: Apache-2.0 */
/* Whether pictures are cut into tiles: a few windows of some pictures, in their own size, tell what
 * is lost when whole pictures are reduced, and whether distant parts of a picture look alike. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "data/formats/reader.h"
#include "fit/fitting.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LOOKED_AT = 64, /* pictures */
    WINDOWS = 4,    /* of each */
    WIDE = 1000000  /* pixels, from which on tiles do not overlap */
};

/* A picture that is reduced less is seen well enough. */
static const double least_reduced = 2;
/* In a texture nearly all variance is inside of windows, and a part of it is fine. */
static const double texture_alike = 0.75, texture_lost = 0.1;
/* So much is fine detail in pictures of any kind. */
static const double most_lost = 0.4;

/* ---- Measuring ---------------------------------------------------------------------------- */

/* Sums of variances of brightness over pictures. */
typedef struct variances {
    double all, between, fine; /* of all pixels, of windows' means, inside of reduced pixels */
    double means[WINDOWS], within;
    unsigned windows;
} variances;

static double brightness(const uint8_t *pixel) {
    return 0.25 * pixel[0] + 0.5 * pixel[1] + 0.25 * pixel[2];
}

/* Mean and variance in a rectangle of a window. */
static void moments(const uint8_t *pixels, uint32_t width, const uint32_t from[2],
                    const uint32_t to[2], double *mean, double *variance) {
    double sum = 0, squares = 0, count = (double)(to[0] - from[0]) * (to[1] - from[1]);
    for (uint32_t y = from[0]; y < to[0]; y++)
        for (uint32_t x = from[1]; x < to[1]; x++) {
            double value = brightness(pixels + ((size_t)y * width + x) * OF_SURVEY_CHANNELS);
            sum += value;
            squares += value * value;
        }
    *mean = sum / count;
    *variance = fmax(0, squares / count - *mean * *mean);
}

/* What one reduced pixel stands for is `block` pixels wide. */
static double fine_variance(const uint8_t *pixels, uint32_t height, uint32_t width,
                            uint32_t block) {
    double sum = 0;
    for (uint32_t y = 0; y < height; y += block)
        for (uint32_t x = 0; x < width; x += block) {
            const uint32_t from[2] = {y, x};
            const uint32_t to[2] = {y + block < height ? y + block : height,
                                    x + block < width ? x + block : width};
            double mean, variance;
            moments(pixels, width, from, to, &mean, &variance);
            sum += variance * (to[0] - from[0]) * (to[1] - from[1]);
        }
    return sum / ((double)height * width);
}

static void end_picture(variances *v) {
    double mean = 0, between = 0;
    for (unsigned i = 0; i < v->windows; i++)
        mean += v->means[i] / v->windows;
    for (unsigned i = 0; i < v->windows; i++)
        between += (v->means[i] - mean) * (v->means[i] - mean) / (v->windows - 1);
    v->between += between;
    v->all += between + v->within / v->windows;
    v->windows = 0;
    v->within = 0;
}

static void add_window(variances *v, const uint8_t *pixels, uint32_t height, uint32_t width,
                       uint32_t block) {
    const uint32_t from[2] = {0, 0}, to[2] = {height, width};
    double variance;
    moments(pixels, width, from, to, &v->means[v->windows], &variance);
    v->within += variance;
    v->fine += fine_variance(pixels, height, width, block) / WINDOWS;
    if (++v->windows == WINDOWS)
        end_picture(v);
}

static of_status read_windows(const of_fitting *fitting, const char *name, variances *v,
                              of_error *error) {
    const of_architecture *shape = &fitting->plan.architecture;
    of_source_options wish = of_source_options_default(NULL);
    of_source *source = NULL;
    of_source_batch batch = {0};
    uint32_t block = (uint32_t)ceil(fmin(fitting->plan.reduced, shape->height));
    wish.channels = OF_SURVEY_CHANNELS;
    wish.height = shape->height;
    wish.width = shape->width;
    wish.threads = fitting->options.threads;
    wish.seed = fitting->options.seed;
    wish.limit = (uint64_t)LOOKED_AT * WINDOWS;
    of_status status = of_source_open(name, &wish, &source, error);
    do {
        if (status == OF_OK)
            status = of_source_next(source, WINDOWS, &batch, error);
        for (size_t i = 0; status == OF_OK && i < batch.count; i++)
            add_window(v,
                       batch.pixels + i * shape->height * shape->width * (size_t)OF_SURVEY_CHANNELS,
                       shape->height, shape->width, block);
    } while (status == OF_OK && batch.count > 0);
    of_source_free(source);
    return status;
}

/* Pictures are chosen by their paths, so that those of one class alone are not looked at. */
static of_status measure(of_fitting *fitting, const of_survey *survey, of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    variances v = {0};
    double share = fmin(1, 1.5 * LOOKED_AT / (double)survey->count);
    size_t size = strlen(fitting->options.source) + 96;
    char *name = malloc(size);
    if (name == NULL)
        return of_fail_memory(error, "the name of a source");
    (void)snprintf(name, size, "windows:%" PRIu32 ":%d:part:0-%.6f:%s", plan->architecture.height,
                   (int)WINDOWS, share, fitting->options.source);
    of_status status = read_windows(fitting, name, &v, error);
    free(name);
    if (status == OF_OK && v.all > 0) {
        plan->detail_lost = v.fine / v.all;
        plan->parts_alike = 1 - v.between / v.all;
    }
    return status;
}

/* ---- Deciding ----------------------------------------------------------------------------- */

/* Parts of the pictures are lists of files: other sources are not cut. */
static bool can_be_listed(const of_fitting *fitting, const of_survey *survey) {
    const char *folder = fitting->options.source;
    struct stat information;
    if (strchr(folder, ':') != NULL || stat(folder, &information) != 0 ||
        !S_ISDIR(information.st_mode))
        return false;
    size_t size = strlen(folder) + strlen(survey->images[0].path) + 2;
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s/%s", folder, survey->images[0].path);
    bool found = path != NULL && stat(path, &information) == 0;
    free(path);
    return found;
}

static of_status check_asked(const of_fitting *fitting, bool listed, uint64_t different,
                             of_error *error) {
    if (!listed)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                               "%s: tiles need a folder of image files, with no colon in its name",
                               fitting->options.source);
    if (different < OF_FIT_LEAST_TILED)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "tiles",
                               "tiles need %d different pictures: %d to set the threshold by, and "
                               "others to learn from; there are %" PRIu64,
                               (int)OF_FIT_LEAST_TILED, (int)OF_CALIBRATION_LEAST_PICTURES,
                               different);
    return OF_OK;
}

static of_tiling propose(const of_fit_plan *plan) {
    uint32_t size = plan->architecture.height;
    bool wide = (uint64_t)plan->median_height * plan->median_width >= WIDE;
    return (of_tiling){size, wide ? size : size / 2};
}

of_status of_fitting_choose_tiles(of_fitting *fitting, const of_survey *survey, uint64_t different,
                                  of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    const of_fit_options *options = &fitting->options;
    bool asked = options->tiles.size > 0;
    plan->cut = OF_FIT_WHOLE;
    if (options->whole || (!asked && plan->reduced < least_reduced))
        return OF_OK;
    bool listed = can_be_listed(fitting, survey);
    if (asked) {
        plan->cut = OF_FIT_CUT_ASKED;
        plan->tiles = options->tiles;
        return check_asked(fitting, listed, different, error);
    }
    of_status status = listed ? measure(fitting, survey, error) : OF_OK;
    bool texture = plan->parts_alike >= texture_alike && plan->detail_lost >= texture_lost;
    if (status != OF_OK || (!texture && plan->detail_lost < most_lost))
        return status;
    if (different < OF_FIT_LEAST_TILED) {
        plan->cut = OF_FIT_WHOLE_FEW;
        return OF_OK;
    }
    plan->cut = texture ? OF_FIT_CUT_TEXTURE : OF_FIT_CUT_DETAIL;
    plan->tiles = propose(plan);
    return OF_OK;
}
