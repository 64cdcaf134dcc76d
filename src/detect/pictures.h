/* SPDX-License-Identifier: Apache-2.0 */
/* From scored tiles to scored pictures. */
#ifndef OF_DETECT_PICTURES_H
#define OF_DETECT_PICTURES_H

#include "detect/batch.h"
#include "detect/tile_heat.h"

/* The picture whose tiles arrive. */
typedef struct of_picture_gatherer {
    const of_detector *detector;
    of_scored_visit *visit; /* of pictures */
    void *user;
    of_scored_visit *tile_visit; /* or NULL */
    void *tile_user;
    bool with_heat;
    of_score heat_score;

    of_score *scores; /* [summary.score_count], as are the next four */
    bool *calibrated;
    double *maxima, *means, *least_p, *flagged; /* means and flagged are sums until the end */
    size_t main;                                /* number of heat_score */
    of_tile_summary summary;
    of_scored_batch picture; /* room for one: sums over its tiles, then means */
    of_item item;
    char *path, *label; /* of the item, freed with free() */
    of_heat_canvas canvas;
    uint8_t *small;    /* the picture in the model's size */
    bool open;         /* tiles of it have arrived, others are to come */
    uint64_t pictures; /* that are complete */
    uint64_t enlarged; /* of them, smaller than a tile */
} of_picture_gatherer;

of_status of_pictures_open(const of_detector *detector, const of_stream_options *options,
                           of_scored_visit *visit, void *user, of_picture_gatherer *gatherer,
                           of_error *error);
/* Accepts a zeroed gatherer. */
void of_pictures_close(of_picture_gatherer *gatherer);

/* An of_scored_visit: takes tiles, in order, and has each picture visited that they complete. */
of_status of_pictures_take(void *gatherer, const of_scored_batch *tiles, of_error *error);

#endif
