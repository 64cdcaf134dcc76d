/* SPDX-License-Identifier: Apache-2.0 */
#include "score/combine.h"

#include <math.h>

of_spread of_spread_fit(const double *values, size_t count) {
    double sum = 0, squares = 0, finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            finite++;
        }
    double mean = finite > 0 ? sum / finite : 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            squares += (values[i] - mean) * (values[i] - mean);
    double deviation = finite > 0 ? sqrt(squares / finite) : 0, least = 1e-9 * (1 + fabs(mean));
    return (of_spread){mean, deviation > least ? deviation : least};
}

/* -ln P(Z > z) of a standard Gaussian. Far out, where erfc underflows, by its asymptotic series. */
static double surprise(double z) {
    const double half_log_two_pi = 0.91893853320467274178;
    if (z < 30)
        return -log(0.5 * erfc(z / sqrt(2)));
    double w = 1 / (z * z);
    return z * z / 2 + log(z) + half_log_two_pi - log1p(-w * (1 - 3 * w * (1 - 5 * w)));
}

double of_combine_distance(double squared_distance) {
    return cbrt(squared_distance);
}

void of_combination_choose_weights(of_combination *combination, bool with_general) {
    combination->complexity_weight = with_general ? 0 : 1;
    combination->ratio_weight = with_general ? 2 : 0;
}

void of_combination_old_weights(of_combination *combination, bool with_ratio) {
    combination->complexity_weight = 1;
    combination->ratio_weight = with_ratio ? 1 : 0;
}

static double test(const of_spread *normal, double value) {
    return surprise((value - normal->mean) / normal->deviation);
}

/* A value that is not there must not count: NaN times 0 is NaN. */
static double weighted(double weight, const of_spread *normal, double value) {
    return weight > 0 ? weight * test(normal, value) : 0;
}

double of_combine(const of_combination *combination, const of_combined_tests *tests) {
    return test(&combination->distance, of_combine_distance(tests->squared_distance)) +
           weighted(combination->complexity_weight, &combination->complexity, tests->complexity) +
           weighted(combination->ratio_weight, &combination->ratio, tests->ratio);
}
