/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with so many images. */
#include "core/clock.h"
#include "core/error.h"
#include "data/pixels/tiles.h"
#include "fit/tiled.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* More passes over a part than this make a model know its images by heart. */
enum {
    MOST_EPOCHS = 40,
    MOST_CALIBRATE = 1500,
    MOST_CHECK = 500,
    MOST_CALIBRATE_TILED = 500, /* pictures */
    LEAST_FOR_CHECK = 100,      /* pictures in tiles */
    MOST_WINDOWS = 20000,
    MOST_TILES = 64 /* of a picture, in a calibration */
};

#define WINDOW_BYTES ((size_t)128 << 20) /* of all that are trained on */

static const double general_share = 0.4; /* of the time for training, where there is no model */

/* ---- The images --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Least, median and most of a side, `values` [count] being room for it. */
static void describe_side(uint32_t *values, size_t count, uint32_t *least, uint32_t *median,
                          uint32_t *most) {
    qsort(values, count, sizeof *values, by_value);
    *least = values[0];
    *median = values[count / 2];
    *most = values[count - 1];
}

static of_status describe_images(const of_survey *survey, const of_similar *similar,
                                 of_fit_plan *plan, of_error *error) {
    size_t count = survey->count, coloured = 0;
    uint32_t *sides = calloc(count, sizeof *sides);
    if (sides == NULL)
        return of_fail_memory(error, "the sizes of images");
    plan->found = survey->found;
    plan->looked_at = count;
    plan->unreadable = survey->unreadable;
    plan->skipped = survey->skipped;
    plan->copies = similar->copies;
    plan->similar = similar->similar;
    plan->alike = similar->alike;
    for (size_t i = 0; i < count; i++)
        sides[i] = survey->images[i].height;
    describe_side(sides, count, &plan->least_height, &plan->median_height, &plan->most_height);
    for (size_t i = 0; i < count; i++)
        sides[i] = survey->images[i].width;
    describe_side(sides, count, &plan->least_width, &plan->median_width, &plan->most_width);
    for (size_t i = 0; i < count; i++)
        coloured += survey->images[i].coloured;
    plan->coloured = (double)coloured / (double)count;
    free(sides);
    return OF_OK;
}

/* ---- The parts ---------------------------------------------------------------------------- */

static of_status fail_too_few(const of_fit_options *options, const of_survey *survey,
                              const of_similar *similar, of_error *error) {
    uint64_t different = survey->count - similar->copies;
    if (survey->count == 0 && survey->unreadable > 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: none of its %" PRIu64 " images can be read; the first: %s",
                       options->source, survey->unreadable, survey->reason);
    if (survey->count == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", options->source);
    if (different == 1 && survey->count > 1)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "%s: all %zu images are the same picture: what varies among normal images "
                       "cannot be learned from it",
                       options->source, survey->count);
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "%s: %" PRIu64 " different image%s%s: at least %d are needed to say what is "
                   "normal, and from %d on a model is trained on them",
                   options->source, different, different == 1 ? "" : "s",
                   similar->copies > 0 ? " (others are copies)" : "", (int)OF_FIT_LEAST,
                   (int)OF_FIT_LEAST_TRAIN);
}

static uint64_t limited(double value, uint64_t least, uint64_t most) {
    uint64_t count = (uint64_t)value;
    return count < least ? least : count > most ? most : count;
}

static void choose_parts(uint64_t different, of_fit_plan *plan) {
    plan->way = different >= OF_FIT_LEAST_TRAIN     ? OF_FIT_TRAIN
                : different >= OF_CALIBRATION_LEAST ? OF_FIT_STATISTICS
                                                    : OF_FIT_COPIES;
    plan->calibrate = different;
    if (plan->way == OF_FIT_COPIES) /* whole rounds of copies */
        plan->calibrate = (OF_CALIBRATION_LEAST + different - 1) / different * different;
    if (plan->way != OF_FIT_TRAIN)
        return;
    plan->calibrate = limited(0.15 * (double)different, OF_CALIBRATION_LEAST, MOST_CALIBRATE);
    if (different >= (uint64_t)2 * OF_FIT_LEAST_TRAIN)
        plan->check = limited(0.1 * (double)different, OF_CALIBRATION_LEAST / 2, MOST_CHECK);
    plan->train = different - plan->calibrate - plan->check;
}

/* Pictures that flagging at the rate takes, where scores are fitted to none of them. */
static uint64_t counted_for(double rate) {
    double needed = ceil(1 / rate - 1e-9) - 1;
    return limited(needed, OF_CALIBRATION_LEAST_PICTURES, UINT32_MAX);
}

static uint64_t tiles_of_picture(const of_fit_plan *plan) {
    const of_architecture *a = &plan->architecture;
    const of_tile_grid grid =
        of_tile_grid_of(&plan->tiles, a->height, a->width, plan->median_height, plan->median_width);
    return of_tile_grid_count(&grid);
}

/* Of every other picture, tiles are a calibration of their own. */
static uint64_t pictures_for_tiles(const of_fit_plan *plan) {
    uint64_t tiles = limited((double)tiles_of_picture(plan), 1, MOST_TILES);
    return 2 * ((OF_CALIBRATION_LEAST + tiles - 1) / tiles);
}

/* Pictures in tiles: each has many windows to train on, so that most may be held out if they are
 * few. */
static void choose_tiled_parts(uint64_t different, double rate, of_fit_plan *plan) {
    uint64_t least = pictures_for_tiles(plan), counted = counted_for(rate);
    uint64_t plain = counted > least ? counted : least;
    uint64_t fitted = 2 * counted > least ? 2 * counted : least;
    const of_architecture *a = &plan->architecture;
    plan->way = OF_FIT_TRAIN;
    plan->calibrate = fitted * 5 <= different * 3
                          ? limited(0.25 * (double)different, fitted,
                                    fitted > MOST_CALIBRATE_TILED ? fitted : MOST_CALIBRATE_TILED)
                          : plain;
    plan->check = different >= LEAST_FOR_CHECK && plan->calibrate + different / 5 < different
                      ? limited(0.1 * (double)different, OF_CALIBRATION_LEAST_PICTURES, MOST_CHECK)
                      : 0;
    plan->train =
        different > plan->calibrate + plan->check ? different - plan->calibrate - plan->check : 0;
    uint64_t most = WINDOW_BYTES / ((size_t)a->channels * a->height * a->width);
    plan->windows = most < MOST_WINDOWS ? most : MOST_WINDOWS;
}

static of_status check_tiled_rate(const of_fit_options *options, const of_fit_plan *plan,
                                  of_error *error) {
    return plan->train > 0 ? OF_OK
                           : of_fail_setting(error, OF_ERROR_ARGUMENT, "rate",
                                             "a rate of %g needs %" PRIu64
                                             " pictures of this size to calibrate with: none is "
                                             "left to learn from",
                                             options->rate, plan->calibrate);
}

/* Scores that are fitted to half of the pictures are counted in the other half. */
of_score of_fitting_score(const of_fitting *fitting) {
    const of_fit_plan *plan = &fitting->plan;
    bool fits = fitting->options.rate * (floor((double)plan->calibrate / 2) + 1) >= 1;
    return plan->tiles.size == 0 || fits ? (of_score){OF_SCORE_COMBINED, 0}
                                         : (of_score){OF_SCORE_RATIO, 0};
}

/* Half of the images are counted for scores that are fitted to the other half. */
static of_status check_rate(const of_fit_options *options, const of_fit_plan *plan,
                            of_error *error) {
    double counted = floor((double)plan->calibrate / 2);
    return options->rate * (counted + 1) >= 1
               ? OF_OK
               : of_fail_setting(error, OF_ERROR_ARGUMENT, "rate",
                                 "a rate of %g needs %.0f images to calibrate with, and of these "
                                 "there are %" PRIu64 " for it: the least rate for them is %.2g",
                                 options->rate, 2 * (ceil(1 / options->rate) - 1), plan->calibrate,
                                 1 / (counted + 1));
}

/* ---- How long ----------------------------------------------------------------------------- */

/* Of a model and a general one, where training is three passes through a model and a half. */
static const double scored_while_one_is_trained = 1.75;

/* Seconds that calibrating and measuring with pictures in tiles takes; 0 without. */
static double tiled_seconds(const of_fit_plan *plan) {
    if (plan->tiles.size == 0 || !(plan->images_per_second > 0))
        return 0;
    uint64_t held_out = plan->check > 0 ? plan->check : plan->calibrate;
    double pictures = (double)(2 * plan->calibrate + held_out + OF_DEFECTIVE_ALL);
    return pictures * (double)tiles_of_picture(plan) /
           (scored_while_one_is_trained * plan->images_per_second);
}

/* Tiles that do not overlap are a quarter of those that do by half. */
static void save_time(const of_fitting *fitting, of_fit_plan *plan) {
    const of_tiling before = plan->tiles;
    if (plan->cut == OF_FIT_CUT_ASKED || tiled_seconds(plan) <= 0.3 * 60 * fitting->options.minutes)
        return;
    plan->tiles.stride = plan->tiles.size;
    if (pictures_for_tiles(plan) > plan->calibrate)
        plan->tiles = before;
}

/* What is left for training once calibration, measurement and report have their time. */
static double training_minutes(const of_fitting *fitting) {
    double all = 60 * fitting->options.minutes, passed = of_seconds() - fitting->started;
    double rest = 0.05 * all > 15 ? 0.05 * all : 15;
    double left = all - passed - (rest < 0.3 * all ? rest : 0.3 * all);
    left -= tiled_seconds(&fitting->plan);
    return (left > 0.2 * all ? left : 0.2 * all) / 60;
}

static void choose_length(of_fitting *fitting) {
    of_fit_plan *plan = &fitting->plan;
    const of_fit_options *options = &fitting->options;
    uint64_t most = (plan->tiles.size > 0 ? plan->windows : plan->train) * MOST_EPOCHS;
    bool trains = plan->way == OF_FIT_TRAIN, trains_general = plan->general_model == NULL;
    plan->train_images = trains ? options->images : 0;
    if (options->images > 0)
        return;
    double minutes = training_minutes(fitting), share = trains ? general_share : 1;
    if (!trains && !trains_general)
        return;
    plan->minutes = fmax(options->minutes, minutes + tiled_seconds(plan) / 60);
    plan->general_minutes = trains_general ? share * minutes : 0;
    plan->train_minutes = trains ? minutes - plan->general_minutes : 0;
    double images = plan->images_per_second * 60 * plan->train_minutes;
    if (trains && plan->images_per_second > 0 && images > (double)most) {
        plan->train_images = most;
        plan->minutes -= (images - (double)most) / plan->images_per_second / 60;
    }
}

of_status of_fitting_plan(of_fitting *fitting, const of_survey *survey, const of_similar *similar,
                          of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    const of_fit_options *options = &fitting->options;
    uint64_t different = survey->count - similar->copies;
    if (different < OF_FIT_LEAST)
        return fail_too_few(options, survey, similar, error);
    of_status status = describe_images(survey, similar, plan, error);
    if (status != OF_OK)
        return status;
    plan->architecture = of_architecture_default();
    plan->architecture.channels = options->channels > 0    ? options->channels
                                  : plan->coloured >= 0.01 ? 3
                                                           : 1;
    plan->architecture.height = survey->height;
    plan->architecture.width = survey->width;
    double down = (double)plan->median_height / survey->height;
    double across = (double)plan->median_width / survey->width;
    plan->reduced = down > across ? down : across;
    status = of_fitting_choose_tiles(fitting, survey, different, error);
    if (status != OF_OK)
        return status;
    bool tiled = plan->tiles.size > 0;
    if (tiled)
        choose_tiled_parts(different, options->rate, plan);
    if (tiled && plan->train == 0 && plan->cut != OF_FIT_CUT_ASKED) {
        plan->cut = OF_FIT_WHOLE_FEW;
        plan->tiles = (of_tiling){0, 0};
        plan->windows = plan->check = 0;
        tiled = false;
    }
    if (!tiled)
        choose_parts(different, plan);
    plan->against_general = options->general_count > 0 && plan->way == OF_FIT_TRAIN;
    status = tiled ? check_tiled_rate(options, plan, error) : check_rate(options, plan, error);
    if (status == OF_OK)
        status = of_fitting_find_general(fitting, error);
    if (status != OF_OK)
        return status;
    if (plan->way == OF_FIT_TRAIN && options->images == 0)
        plan->images_per_second = of_fitting_measure_speed(fitting, survey);
    save_time(fitting, plan);
    choose_length(fitting);
    return OF_OK;
}
