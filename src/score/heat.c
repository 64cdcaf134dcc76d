/* SPDX-License-Identifier: Apache-2.0 */
#include "score/heat.h"

#include "model/model.h"
#include "score/score_table.h"

#include <math.h>

of_score of_heat_score(of_score score, bool with_general) {
    const of_score_row *row = of_score_row_of(score.kind);
    if (row == NULL) /* no score: none has heat */
        return score;
    of_score_kind kind = with_general ? row->heat : row->heat_alone;
    return kind == score.kind ? score : (of_score){kind, 0};
}

/* Adds `sign` times the grids of scales first..last to the pixels that its positions cover. */
static void add_scales(of_position_contributions from, uint32_t first, uint32_t last, double sign,
                       double *heat) {
    const of_architecture *a = from.architecture;
    const double *grid = from.grids;
    if (grid == NULL)
        return;
    for (uint32_t s = 0; s <= last; s++) {
        uint32_t height, width, shift = s + 1;
        of_architecture_position_shape(a, s, &height, &width);
        double share = sign / (double)((size_t)1 << 2 * shift);
        for (size_t y = 0; s >= first && y < a->height; y++)
            for (size_t x = 0; x < a->width; x++)
                heat[y * a->width + x] += share * grid[(y >> shift) * width + (x >> shift)];
        grid += (size_t)height * width;
    }
}

static uint32_t last_scale(of_position_contributions from) {
    return from.architecture != NULL ? of_architecture_scale_count(from.architecture) - 1 : 0;
}

void of_heat_of_score(of_score score, of_position_contributions own,
                      of_position_contributions general, double *heat) {
    const of_architecture *a = own.architecture;
    uint32_t last = last_scale(own), general_last = last_scale(general);
    double start = 0;
    if (score.kind == OF_SCORE_NLL) /* -D ln bin */
        start = a->channels * -log(a->input.bin);
    if (score.kind == OF_SCORE_RATIO && general.architecture != NULL)
        start =
            of_bin_difference(a, general.architecture->input.bin) / (a->height * (double)a->width);
    uint32_t first = 0;
    for (size_t i = 0; i < (size_t)a->height * a->width; i++)
        heat[i] = start;
    if (score.kind == OF_SCORE_LAST || score.kind == OF_SCORE_RATIO_LAST)
        first = last;
    if (score.kind == OF_SCORE_SCALE)
        first = last = score.scale;
    add_scales(own, first, last, -1, heat);
    if (score.kind == OF_SCORE_RATIO)
        add_scales(general, 0, general_last, 1, heat);
    if (score.kind == OF_SCORE_RATIO_LAST)
        add_scales(general, general_last, general_last, 1, heat);
}
