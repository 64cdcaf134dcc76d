/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/integer_rounding.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>

enum { MOST_TAPS = 9, SWEEPS = 4, MOST_WEIGHT = 127 };

static const double CORRELATION = 0.5, EDGE_SHARE = 0.3, STEP = 0.92;
enum { SCALES = 19 /* that are tried: the last one is a fifth of the first */ };

/* Sums of errors, in units of the scale. */
typedef struct error_sums {
    double taps[MOST_TAPS];        /* of m[i] e[i][t] */
    double all;                    /* of these */
    double others[OF_MOST_OTHERS]; /* the same with the other means */
} error_sums;

/* By how much the average error changes if e[i][t] becomes e + step. */
static double cost_of(const of_input_moments *m, const error_sums *sums, size_t i, size_t t,
                      double input_sum, double e, double step) {
    double mean = (double)m->mean[i], variance = (double)m->variance[i], change = mean * step;
    double own =
        (1 - CORRELATION) * step * (2 * e + step) + CORRELATION * step * (2 * input_sum + step);
    double cost = variance * own + change * (2 * sums->all + change) +
                  EDGE_SHARE * change * (2 * sums->taps[t] + change);
    for (size_t k = 0; k < m->others; k++) {
        double other = (double)m->other_means[k * m->inputs + i] * step;
        cost += other * (2 * sums->others[k] + other);
    }
    return cost;
}

static double limited(double integer) {
    return fmax(-MOST_WEIGHT, fmin(MOST_WEIGHT, nearbyint(integer)));
}

/* Weighted squares of the errors that rounding to the nearest multiples makes, in units of the
 * weights. */
static double error_of(const of_input_moments *m, const float *weights, double scale) {
    double sum = 0;
    for (size_t i = 0; i < m->inputs; i++) {
        double mean = (double)m->mean[i], power = (double)m->variance[i] + mean * mean, own = 0;
        for (size_t t = 0; t < m->taps; t++) {
            double wish = (double)weights[i * m->taps + t] / scale, e = limited(wish) - wish;
            own += e * e;
        }
        sum += power * own;
    }
    return sum * scale * scale;
}

/* A smaller scale than the largest weight's cuts off few weights, and rounds the others better. */
static double best_scale(const of_input_moments *m, const float *weights, double largest) {
    double best = largest, least = error_of(m, weights, largest);
    double scale = largest;
    for (int i = 0; i < SCALES; i++) {
        scale *= STEP;
        double error = error_of(m, weights, scale);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

static void add_others(const of_input_moments *m, size_t i, double e, error_sums *sums) {
    for (size_t k = 0; k < m->others; k++)
        sums->others[k] += (double)m->other_means[k * m->inputs + i] * e;
}

/* Weights to the nearest integers, and their errors. */
static void round_to_nearest(const of_input_moments *m, double scale, float *weights, float *errors,
                             error_sums *sums) {
    assert(scale > 0);
    *sums = (error_sums){.all = 0};
    for (size_t k = 0; k < m->inputs * m->taps; k++) {
        double wish = (double)weights[k] / scale, integer = limited(wish);
        double weighted = (double)m->mean[k / m->taps] * (integer - wish);
        weights[k] = (float)integer;
        errors[k] = (float)(integer - wish);
        sums->taps[k % m->taps] += weighted;
        sums->all += weighted;
        add_others(m, k / m->taps, integer - wish, sums);
    }
}

/* Takes the other neighbour where that is better. Returns whether any was. */
static bool improve_input(const of_input_moments *m, size_t i, float *weights, float *errors,
                          error_sums *sums) {
    bool improved = false;
    double input_sum = 0;
    for (size_t t = 0; t < m->taps; t++)
        input_sum += (double)errors[t];
    for (size_t t = 0; t < m->taps; t++) {
        double e = (double)errors[t], step = e > 0 ? -1 : 1;
        double integer = (double)weights[t] + step;
        if (fabs(integer) > MOST_WEIGHT || fabs(e + step) > fmax(1, fabs(e)) ||
            !(cost_of(m, sums, i, t, input_sum, e, step) < 0))
            continue;
        weights[t] = (float)integer;
        errors[t] = (float)(e + step);
        input_sum += step;
        sums->taps[t] += (double)m->mean[i] * step;
        sums->all += (double)m->mean[i] * step;
        add_others(m, i, step, sums);
        improved = true;
    }
    return improved;
}

void of_round_weights(const of_input_moments *m, float *weights, float *errors) {
    size_t count = m->inputs * m->taps, largest = 0;
    for (size_t k = 0; k < count; k++)
        if (fabsf(weights[k]) > fabsf(weights[largest]))
            largest = k;
    double scale = fabs((double)weights[largest]) / MOST_WEIGHT;
    error_sums sums;
    if (!(scale > FLT_MIN))
        return;
    scale = best_scale(m, weights, scale);
    round_to_nearest(m, scale, weights, errors, &sums);
    bool improved = true;
    for (int sweep = 0; improved && sweep < SWEEPS; sweep++) {
        improved = false;
        for (size_t i = 0; i < m->inputs; i++)
            improved |= improve_input(m, i, weights + i * m->taps, errors + i * m->taps, &sums);
    }
    /* the scale is found again by the largest one */
    weights[largest] = copysignf(MOST_WEIGHT, weights[largest]);
    for (size_t k = 0; k < count; k++)
        weights[k] = (float)((double)weights[k] * scale);
}
