/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "detect/pictures.h"

#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/convert.h"
#include "score/calibration_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAT_SIDE = 768, SMALL_SIDE = 256 };

/* ---- Opening ----------------------------------------------------------------------------------
 */

/* All that can be computed with these needs. */
static of_status choose_scores(of_picture_gatherer *g, unsigned needs, of_error *error) {
    const unsigned coders = OF_NEEDS_PNG | OF_NEEDS_WEBP;
    size_t count = of_detector_scores(g->detector, NULL, 0), kept = 0;
    g->scores = of_allocate(count, sizeof *g->scores);
    if (g->scores == NULL)
        return of_fail_memory(error, "scores");
    (void)of_detector_scores(g->detector, g->scores, count);
    for (size_t i = 0; i < count; i++)
        if ((of_score_needs(g->scores[i]) & coders & ~needs) == 0)
            g->scores[kept++] = g->scores[i];
    g->summary.score_count = kept;
    g->summary.scores = g->scores;
    g->main = of_tile_summary_find(&g->summary, g->heat_score);
    return OF_OK;
}

static of_status open_columns(of_picture_gatherer *g, of_error *error) {
    size_t count = g->summary.score_count;
    g->summary.maxima = g->maxima = of_allocate(count, sizeof(double));
    g->summary.means = g->means = of_allocate(count, sizeof(double));
    g->summary.least_p = g->least_p = of_allocate(count, sizeof(double));
    g->summary.flagged = g->flagged = of_allocate(count, sizeof(double));
    g->calibrated = of_allocate(count, sizeof *g->calibrated);
    if (g->maxima == NULL || g->means == NULL || g->least_p == NULL || g->flagged == NULL ||
        g->calibrated == NULL)
        return of_fail_memory(error, "the scores of a picture");
    for (size_t i = 0; i < count; i++)
        g->calibrated[i] = !isnan(of_detector_tile_p_value(g->detector, g->scores[i], 0));
    return OF_OK;
}

of_status of_pictures_open(const of_detector *detector, const of_stream_options *options,
                           of_scored_visit *visit, void *user, of_picture_gatherer *gatherer,
                           of_error *error) {
    const of_architecture *a = of_detector_architecture(detector);
    uint32_t side = options->tile_heat_side > 0 ? options->tile_heat_side : HEAT_SIDE;
    *gatherer = (of_picture_gatherer){.detector = detector,
                                      .visit = visit,
                                      .user = user,
                                      .tile_visit = options->tile_visit,
                                      .tile_user = options->tile_user,
                                      .with_heat = options->tile_heat != NULL,
                                      .heat_score = of_detector_default_score(detector)};
    if (options->tile_heat != NULL)
        gatherer->heat_score = *options->tile_heat;
    of_heat_canvas_open(a, gatherer->with_heat ? side : SMALL_SIDE, &gatherer->canvas);
    of_status status = choose_scores(gatherer, options->needs, error);
    if (status == OF_OK)
        status = open_columns(gatherer, error);
    if (status == OF_OK)
        status = of_scored_batch_open(detector, 1, options->needs, &gatherer->picture, error);
    gatherer->small = status == OF_OK ? of_allocate(of_architecture_dimensions(a), 1) : NULL;
    return status != OF_OK || gatherer->small != NULL ? status
                                                      : of_fail_memory(error, "a small picture");
}

void of_pictures_close(of_picture_gatherer *gatherer) {
    of_free(gatherer->scores);
    of_free(gatherer->calibrated);
    of_free(gatherer->maxima);
    of_free(gatherer->means);
    of_free(gatherer->least_p);
    of_free(gatherer->flagged);
    of_free(gatherer->small);
    free(gatherer->path);
    free(gatherer->label);
    of_scored_batch_close(&gatherer->picture);
    of_heat_canvas_close(&gatherer->canvas);
    *gatherer = (of_picture_gatherer){.open = false};
}

/* ---- Sums over tiles --------------------------------------------------------------------------
 */

static void add_row(double *sums, const double *rows, size_t index, size_t width) {
    for (size_t i = 0; rows != NULL && sums != NULL && i < width; i++)
        sums[i] += rows[index * width + i];
}

static void scale_row(double *sums, size_t width, double factor) {
    for (size_t i = 0; sums != NULL && i < width; i++)
        sums[i] *= factor;
}

typedef struct row_list {
    double *rows[11];
    size_t widths[11];
} row_list;

/* The arrays of a batch, and how wide their rows are. */
static row_list rows_of(const of_scored_batch *batch) {
    const of_model_results *own = &batch->own, *general = &batch->general;
    return (row_list){{own->logp, own->contributions, own->latent_squares, own->class_logp,
                       general->logp, general->contributions, general->latent_squares,
                       general->class_logp, batch->member_logp, batch->png_bytes,
                       batch->webp_bytes},
                      {1, own->scales, own->scales, own->classes, 1, general->scales,
                       general->scales, general->classes, batch->members, 1, 1}};
}

static void add_likelihood(of_scored_batch *sums, const of_scored_batch *tiles, size_t index) {
    row_list to = rows_of(sums), from = rows_of(tiles);
    for (size_t i = 0; i < 11; i++)
        add_row(to.rows[i], from.rows[i], index, to.widths[i]);
}

static void scale_likelihood(of_scored_batch *sums, double factor) {
    row_list rows = rows_of(sums);
    for (size_t i = 0; i < 11; i++)
        scale_row(rows.rows[i], rows.widths[i], factor);
}

static void add_score(of_picture_gatherer *g, size_t score, double value) {
    double ranked = isfinite(value) ? value : (double)INFINITY;
    g->maxima[score] = fmax(g->maxima[score], ranked);
    g->means[score] += value;
    if (!g->calibrated[score])
        return;
    double p = of_detector_tile_p_value(g->detector, g->scores[score], value);
    g->least_p[score] = fmin(g->least_p[score], p);
    g->flagged[score] += p <= OF_TILE_RATE;
}

static void add_tile(of_picture_gatherer *g, const of_scored_batch *tiles, size_t index) {
    const of_item *item = of_scored_item(tiles, index);
    of_image_likelihood likelihood = of_scored_likelihood(tiles, index);
    double heat = 0;
    for (size_t i = 0; i < g->summary.score_count; i++) {
        double value = of_detector_value(g->detector, g->scores[i], &likelihood);
        add_score(g, i, value);
        heat = i == g->main ? value : heat;
    }
    add_likelihood(&g->picture, tiles, index);
    of_heat_canvas_add(&g->canvas, &item->tile, of_scored_pixels(tiles, index), heat);
    g->summary.count++;
}

/* ---- A picture --------------------------------------------------------------------------------
 */

static of_status name_picture(of_picture_gatherer *g, const of_item *tile, of_error *error) {
    const char *place = strrchr(tile->path, '@'); /* "@X,Y" is behind it */
    size_t length = place != NULL ? (size_t)(place - tile->path) : strlen(tile->path);
    free(g->path);
    free(g->label);
    g->path = strndup(tile->path, length);
    g->label = strdup(tile->label);
    g->item = (of_item){.path = g->path,
                        .label = g->label,
                        .class_index = tile->class_index,
                        .height = tile->tile.picture_height,
                        .width = tile->tile.picture_width,
                        .info = tile->info};
    g->item.info.height = g->item.height;
    g->item.info.width = g->item.width;
    g->item.info.reshaped = false; /* that is said of a window's size */
    return g->path != NULL && g->label != NULL ? OF_OK : of_fail_memory(error, "a file name");
}

static of_status begin_picture(of_picture_gatherer *g, const of_item *tile, of_error *error) {
    g->open = true;
    g->summary.tile = tile->tile;
    g->summary.count = 0;
    scale_likelihood(&g->picture, 0);
    row_list rows = rows_of(&g->picture);
    for (size_t i = 0; i < 11; i++) /* what was not finite is no number times 0 */
        for (size_t j = 0; rows.rows[i] != NULL && j < rows.widths[i]; j++)
            rows.rows[i][j] = 0;
    for (size_t i = 0; i < g->summary.score_count; i++) {
        g->maxima[i] = -INFINITY;
        g->means[i] = 0;
        g->least_p[i] = g->calibrated[i] ? 1 : (double)NAN;
        g->flagged[i] = g->calibrated[i] ? 0 : (double)NAN;
    }
    of_status status = name_picture(g, tile, error);
    return status == OF_OK ? of_heat_canvas_begin(&g->canvas, &tile->tile, error) : status;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Without calibration tiles, the map itself says what is usual. */
static of_status set_own_colours(of_tiled_heat *heat, of_error *error) {
    const double beyond = 0.02;
    size_t count = (size_t)heat->height * heat->width, finite = 0;
    float *sizes = of_allocate(count, sizeof *sizes);
    double sum = 0;
    if (sizes == NULL)
        return of_fail_memory(error, "the heat of a picture");
    for (size_t i = 0; i < count; i++)
        if (isfinite(heat->values[i])) {
            sum += heat->values[i];
            finite++;
        }
    heat->usual = finite > 0 ? sum / (double)finite : 0;
    finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(heat->values[i]))
            sizes[finite++] = fabsf(heat->values[i] - (float)heat->usual);
    qsort(sizes, finite, sizeof *sizes, ascending);
    heat->limit = finite > 0 ? sizes[(size_t)((1 - beyond) * (double)(finite - 1))] : 0;
    of_free(sizes);
    return OF_OK;
}

static of_status set_colours(const of_picture_gatherer *g, of_tiled_heat *heat, of_error *error) {
    if (g->main == g->summary.score_count || !g->calibrated[g->main])
        return set_own_colours(heat, error);
    const of_calibration *calibration = g->detector->calibration;
    heat->usual = of_calibration_threshold(calibration, g->heat_score, 0.5);
    heat->limit = of_calibration_threshold(calibration, g->heat_score, 0.001) - heat->usual;
    return isfinite(heat->usual) && isfinite(heat->limit) && heat->limit > 0
               ? OF_OK
               : set_own_colours(heat, error);
}

static of_status reduce_picture(of_picture_gatherer *g, of_error *error) {
    const of_architecture *a = of_detector_architecture(g->detector);
    const of_tiled_heat *heat = &g->canvas.heat;
    const of_raster from = {heat->pixels, heat->height, heat->width, a->channels, false};
    const of_target target = {
        .channels = a->channels, .height = a->height, .width = a->width, .max_pixels = UINT64_MAX};
    return of_convert(&from, &target, g->small, error);
}

static of_status end_picture(of_picture_gatherer *g, of_error *error) {
    double share = 1 / (double)g->summary.count;
    scale_likelihood(&g->picture, share);
    scale_row(g->means, g->summary.score_count, share);
    scale_row(g->flagged, g->summary.score_count, share);
    of_heat_canvas_finish(&g->canvas);
    of_status status = reduce_picture(g, error);
    if (status == OF_OK && g->with_heat)
        status = set_colours(g, &g->canvas.heat, error);
    if (status != OF_OK)
        return status;
    g->open = false;
    g->pictures++;
    g->enlarged += g->summary.tile.enlarged;
    g->picture.count = 1;
    g->picture.pixels = g->small;
    g->picture.items = &g->item;
    g->picture.tiles = &g->summary;
    g->picture.heat = g->with_heat ? &g->canvas.heat : NULL;
    return g->visit(g->user, &g->picture, error);
}

of_status of_pictures_take(void *gatherer, const of_scored_batch *tiles, of_error *error) {
    of_picture_gatherer *g = gatherer;
    of_status status = g->tile_visit != NULL ? g->tile_visit(g->tile_user, tiles, error) : OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(tiles); i++) {
        const of_item *item = of_scored_item(tiles, i);
        uint64_t last = (uint64_t)item->tile.down * item->tile.across - 1;
        if (!g->open)
            status = begin_picture(g, item, error);
        if (status == OF_OK)
            add_tile(g, tiles, i);
        if (status == OF_OK && item->tile.number == last)
            status = end_picture(g, error);
    }
    return status;
}
