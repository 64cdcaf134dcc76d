/* SPDX-License-Identifier: Apache-2.0 */
#include "score/correlation.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <stdlib.h>

typedef struct ranked {
    double value;
    size_t index;
} ranked;

static int ascending(const void *a, const void *b) {
    double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* Ranks minus their mean (count - 1)/2, so that the sums below need no further centring. */
static void centred_ranks(const double *values, size_t count, ranked *order, double *ranks) {
    for (size_t i = 0; i < count; i++)
        order[i] = (ranked){isfinite(values[i]) ? values[i] : -(double)INFINITY, i};
    qsort(order, count, sizeof *order, ascending);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && order[end].value == order[begin].value;)
            end++;
        double rank = ((double)begin + (double)(end - 1) - (double)(count - 1)) / 2;
        for (size_t i = begin; i < end; i++)
            ranks[order[i].index] = rank;
    }
}

static double product_sum(const double *x, const double *y, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}

of_status of_rank_correlation(const double *x, const double *y, size_t count, double *correlation,
                              of_error *error) {
    *correlation = NAN;
    if (count < 2)
        return OF_OK;
    ranked *order = of_allocate(count, sizeof *order);
    double *rank_x = of_allocate(count, sizeof *rank_x);
    double *rank_y = of_allocate(count, sizeof *rank_y);
    of_status status = OF_OK;
    if (order == NULL || rank_x == NULL || rank_y == NULL) {
        status = of_fail_memory(error, "ranks");
    } else {
        centred_ranks(x, count, order, rank_x);
        centred_ranks(y, count, order, rank_y);
        double scale =
            sqrt(product_sum(rank_x, rank_x, count)) * sqrt(product_sum(rank_y, rank_y, count));
        if (scale > 0)
            *correlation = product_sum(rank_x, rank_y, count) / scale;
    }
    of_free(order);
    of_free(rank_x);
    of_free(rank_y);
    return status;
}

/* Sums about running means (Welford 1962): values of 1e5 nats that differ by 1 keep their digits.
 */
double of_value_correlation(const double *x, const double *y, size_t count) {
    double n = 0, mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i]))
            continue;
        n++;
        double dx = x[i] - mean_x, dy = y[i] - mean_y;
        mean_x += dx / n;
        mean_y += dy / n;
        xx += dx * (x[i] - mean_x);
        yy += dy * (y[i] - mean_y);
        xy += dx * (y[i] - mean_y);
    }
    return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : (double)NAN;
}
