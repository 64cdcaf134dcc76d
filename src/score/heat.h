/* SPDX-License-Identifier: Apache-2.0 */
/* Heat of an image: which of its pixels make a score what it is. */
#ifndef OF_SCORE_HEAT_H
#define OF_SCORE_HEAT_H

#include <outflow/outflow.h>

/* What of_session_position_contributions gives for one image under a model. */
typedef struct of_position_contributions {
    const of_architecture *architecture;
    const double *grids; /* NULL: there is no such model */
} of_position_contributions;

/* The score whose heat is shown for `score`: itself where it is made of contributions, else `ratio`
 * with a general model and `nll` without one. */
of_score of_heat_score(of_score score, bool with_general);

/* heat [height][width] in nats a pixel, higher is more anomalous: each position's share spread over
 * the pixels that it covers. It sums to the score's value: nll, last, scale:i, ratio and
 * ratio-last, with classes of the likeliest class. `score` comes from of_heat_score. */
void of_heat_of_score(of_score score, of_position_contributions own,
                      of_position_contributions general, double *heat);

#endif
