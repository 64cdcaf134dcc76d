/* SPDX-License-Identifier: Apache-2.0 */
/* Separation of two sets of scores: one walk over the sorted scores, tied scores taken together. */
#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <stdlib.h>

/* Copies scores with what is not finite raised to +infinity: most anomalous, all equal. */
static size_t copy_ranked(double *target, const double *scores, size_t count) {
    size_t non_finite = 0;
    for (size_t i = 0; i < count; i++) {
        bool finite = isfinite(scores[i]);
        target[i] = finite ? scores[i] : (double)INFINITY;
        non_finite += !finite;
    }
    return non_finite;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Number of scores from `from` on that equal `value`; sorted descending, none before is less. */
static size_t run_length(const double *sorted, size_t count, size_t from, double value) {
    size_t end = from;
    while (end < count && sorted[end] == value)
        end++;
    return end - from;
}

/* With a group of `a` inliers and `b` outliers of one score, from the highest score down:
 *   U        += b * (inliers strictly below + a/2)                       (Mann and Whitney 1947)
 *   aupr_out += b * precision of "outlier if at or above this score", over the outliers at the end
 *   aupr_in  += a * precision of "inlier if at or below this score", over the inliers at the end
 *   fpr95     = share of inliers at or above the first score that 95 % of the outliers reach */
static void walk_groups(const double *in, size_t inliers, const double *out, size_t outliers,
                        of_metrics *metrics) {
    double n_in = (double)inliers, n_out = (double)outliers, u = 0;
    bool reached = false;
    for (size_t above_in = 0, above_out = 0; above_in < inliers || above_out < outliers;) {
        bool from_in =
            above_out == outliers || (above_in < inliers && in[above_in] > out[above_out]);
        double value = from_in ? in[above_in] : out[above_out];
        size_t a = run_length(in, inliers, above_in, value);
        size_t b = run_length(out, outliers, above_out, value);
        double left_in = (double)(inliers - above_in), left_out = (double)(outliers - above_out);
        metrics->aupr_in += (double)a * (left_in / (left_in + left_out));
        u += (double)b * (left_in - (double)a + (double)a / 2);
        above_in += a;
        above_out += b;
        metrics->aupr_out += (double)b * ((double)above_out / (double)(above_in + above_out));
        if (!reached &&
            above_out >= outliers - outliers / 20) { /* ceil(0.95 n) = n - floor(n/20) */
            reached = true;
            metrics->fpr95 = (double)above_in / n_in;
        }
    }
    metrics->auroc = u / n_in / n_out;
    metrics->aupr_in /= n_in;
    metrics->aupr_out /= n_out;
}

of_status of_metrics_compute(const double *inlier_scores, size_t inliers,
                             const double *outlier_scores, size_t outliers, of_metrics *metrics,
                             of_error *error) {
    if (inliers == 0 || outliers == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "the set of %s is empty: metrics compare two sets of scores",
                       inliers == 0 ? "inliers" : "outliers");
    if (inlier_scores == NULL || outlier_scores == NULL || metrics == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_metrics_compute: an argument is NULL");
    double *in = of_allocate(inliers, sizeof *in), *out = of_allocate(outliers, sizeof *out);
    if (in == NULL || out == NULL) {
        of_free(in);
        of_free(out);
        return of_fail_memory(error, "sorted scores");
    }
    *metrics = (of_metrics){.inliers = inliers, .outliers = outliers};
    metrics->non_finite_in = copy_ranked(in, inlier_scores, inliers);
    metrics->non_finite_out = copy_ranked(out, outlier_scores, outliers);
    qsort(in, inliers, sizeof *in, descending);
    qsort(out, outliers, sizeof *out, descending);
    walk_groups(in, inliers, out, outliers, metrics);
    of_free(in);
    of_free(out);
    return OF_OK;
}
