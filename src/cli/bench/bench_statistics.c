/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench/bench.h"

#include <math.h>
#include <stdlib.h>

enum { CALLS_BEYOND = 10 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void of_bench_sort(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
}

double of_bench_mean(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

double of_bench_deviation(const double *values, size_t count) {
    double mean = of_bench_mean(values, count), square = 0;
    for (size_t i = 0; i < count; i++)
        square += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sqrt(square / (double)(count - 1)) : 0;
}

double of_bench_median(const of_bench_row *row) {
    size_t middle = row->count / 2;
    return row->count % 2 == 1 ? row->rates[middle]
                               : 0.5 * (row->rates[middle - 1] + row->rates[middle]);
}

/* The smallest value that at least `share` of all do not exceed. */
static double percentile(const double *sorted, size_t count, double share) {
    size_t index = (size_t)ceil(share * (double)count);
    return sorted[index > 0 ? index - 1 : 0];
}

of_bench_latency of_bench_summarise(double *seconds, size_t count) {
    of_bench_latency latency = {.calls = count,
                                .mean = of_bench_mean(seconds, count),
                                .deviation = of_bench_deviation(seconds, count)};
    for (size_t i = 1; i < count; i++)
        latency.jitter += fabs(seconds[i] - seconds[i - 1]) / (double)(count - 1);
    of_bench_sort(seconds, count);
    latency.least = seconds[0];
    latency.p50 = percentile(seconds, count, 0.50);
    latency.p90 = percentile(seconds, count, 0.90);
    latency.p95 = percentile(seconds, count, 0.95);
    latency.p99 = percentile(seconds, count, 0.99);
    latency.p999 = percentile(seconds, count, 0.999);
    latency.most = seconds[count - 1];
    return latency;
}

size_t of_bench_calls_for(double share) {
    return (size_t)(CALLS_BEYOND / (1 - share) + 0.5);
}

of_bench_line of_bench_fit(const double *x, const double *y, size_t count) {
    double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
    for (size_t i = 0; i < count; i++) {
        double weight = 1 / (y[i] * y[i]);
        w += weight;
        wx += weight * x[i];
        wy += weight * y[i];
        wxx += weight * x[i] * x[i];
        wxy += weight * x[i] * y[i];
    }
    of_bench_line line = {.slope = (w * wxy - wx * wy) / (w * wxx - wx * wx)};
    line.constant = (wy - line.slope * wx) / w;
    double mean = of_bench_mean(y, count), residual = 0, total = 0;
    for (size_t i = 0; i < count; i++) {
        double error = y[i] - line.constant - line.slope * x[i];
        residual += error * error;
        total += (y[i] - mean) * (y[i] - mean);
    }
    line.r2 = 1 - residual / total;
    return line;
}
