/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* lgamma_r: lgamma writes a variable that all threads share */
#include "score/binomial.h"

#include <math.h>

/* Continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's
 * method; converges fast for x < (a + 1)/(a + b + 2). */
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m < 100000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            double term = half == 0 ? even : odd;
            d = 1 + term * d;
            c = 1 + term / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            value *= d * c;
        }
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return value;
}

static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

/* I_x(a, b), the regularised incomplete beta function. */
static double incomplete_beta(double a, double b, double x) {
    if (!(x > 0))
        return 0;
    if (!(x < 1))
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double of_binomial_cdf(uint64_t hits, uint64_t count, double share) {
    if (hits >= count)
        return 1;
    return 1 - incomplete_beta((double)hits + 1, (double)(count - hits), share);
}

/* The share at which P(X <= hits) is `tail`; the probability falls as the share grows. */
static double solve(uint64_t hits, uint64_t count, double tail) {
    double low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (of_binomial_cdf(hits, count, middle) > tail)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

of_interval of_binomial_interval(uint64_t hits, uint64_t count, double confidence) {
    double tail = (1 - confidence) / 2;
    return (of_interval){.low = hits == 0 ? 0 : solve(hits - 1, count, 1 - tail),
                         .high = hits == count ? 1 : solve(hits, count, tail)};
}
