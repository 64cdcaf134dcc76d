/* SPDX-License-Identifier: Apache-2.0 */
/* What a summary of a picture's tiles says of a score. */
#include <math.h>
#include <outflow/detect.h>

size_t of_tile_summary_find(const of_tile_summary *tiles, of_score score) {
    size_t i = 0;
    while (i < tiles->score_count &&
           (tiles->scores[i].kind != score.kind || tiles->scores[i].scale != score.scale))
        i++;
    return i;
}

double of_tile_bonferroni(const of_tile_summary *tiles, of_score score) {
    size_t i = of_tile_summary_find(tiles, score);
    if (i == tiles->score_count || isnan(tiles->least_p[i]))
        return NAN;
    return fmin(1, (double)tiles->count * tiles->least_p[i]);
}
