/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding of a layer's weights to multiples of a scale, such that what it computes changes least.
 */
#ifndef OF_GRAPH_INTEGER_ROUNDING_H
#define OF_GRAPH_INTEGER_ROUNDING_H

#include <stddef.h>

enum { OF_MOST_OTHERS = 4 };

/* What is known of a layer's inputs, in their integers: [inputs] each, and [others][inputs] means
 * that they have in unusual images of several kinds. */
typedef struct of_input_moments {
    const float *mean, *variance, *other_means;
    size_t inputs, taps, others;
} of_input_moments;

/* Replaces an output's weights [inputs][taps] by multiples -127..127 of a scale, the largest by
 * +-127 times it. Among the two nearest multiples of each weight those are taken that make the
 * error of the sum small on average. With the errors e[i][t], inputs of mean m and variance v, and
 * a correlation r of neighbouring positions that is the same for all: sum over i of v[i] ((1 - r)
 * sum over t of e[i][t]^2 + r (sum over t of e[i][t])^2)
 *     + (sum over i, t of m[i] e[i][t])^2 + b sum over t of (sum over i of m[i] e[i][t])^2
 * where the last term stands for positions at the image's edge, which lack taps. The first square
 * is there once more for each of the other means: what images of one kind lose and those of another
 * do not would change how they compare. `errors`: room for as many numbers. */
void of_round_weights(const of_input_moments *moments, float *weights, float *errors);

#endif
