/* SPDX-License-Identifier: Apache-2.0 */
/* Heat of an image: which of its pixels make a score what it is. */
#ifndef OF_SCORE_HEAT_H
#define OF_SCORE_HEAT_H

#include <outflow/outflow.h>

/* The maps of a model (of_session_maps) for one image. */
typedef struct of_heat_maps {
    const of_architecture *architecture;
    const double *maps; /* NULL: there is no such model */
} of_heat_maps;

/* The score whose heat is shown for `score`: itself where it is made of contributions, else `ratio`
 * with a general model and `nll` without one. */
of_score of_heat_score(of_score score, bool with_general);

/* heat [height][width] in nats a pixel, higher is more anomalous: each position's share spread over
 * the pixels that it covers. It sums to the score's value: nll, last, scale:i, ratio and
 * ratio-last, with classes of the likeliest class. `score` comes from of_heat_score. */
void of_heat_of_score(of_score score, of_heat_maps own, of_heat_maps general, double *heat);

#endif
