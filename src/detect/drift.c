/* SPDX-License-Identifier: Apache-2.0 */
/* Do images, taken as a whole, score as those of the calibration did? */
#include <outflow/detect.h>

#include <math.h>

void of_drift_add(of_drift *drift, double p_value) {
    if (!(p_value > 0 && p_value <= 1))
        return;
    size_t bin = (size_t)ceil(p_value * OF_DRIFT_BINS) - 1;
    drift->bins[bin < OF_DRIFT_BINS ? bin : OF_DRIFT_BINS - 1]++;
    drift->images++;
}

/* The largest distance of the p-values' distribution function from that of normal images, which is
 * the diagonal. */
static double distance_of(const of_drift *drift) {
    uint64_t below = 0;
    double most = 0;
    for (size_t i = 0; i < OF_DRIFT_BINS; i++) {
        below += drift->bins[i];
        double share = (double)below / (double)drift->images;
        most = fmax(most, fabs(share - (double)(i + 1) / OF_DRIFT_BINS));
    }
    return most;
}

/* P(a distance as large or larger | both samples are of one distribution): Kolmogorov's series
 * 2 sum (-1)^(k-1) exp(-2 k^2 l^2), with Stephens' l = (sqrt(n) + 0.12 + 0.11 / sqrt(n)) D. */
static double significance_of(double distance, double images) {
    double root = sqrt(images), sum = 0;
    double l = (root + 0.12 + 0.11 / root) * distance;
    if (l < 0.2)
        return 1; /* the series converges slowly, to more than 1 - 1e-12 */
    for (int k = 1; k <= 100; k++) {
        double term = 2 * exp(-2.0 * k * k * l * l);
        sum += k % 2 == 1 ? term : -term;
        if (term < 1e-12)
            break;
    }
    return fmin(fmax(sum, 0), 1);
}

/* The images whose scores the p-values of a score count. */
static double counted_images(const of_calibration *calibration, of_score score) {
    if (calibration == NULL)
        return 0;
    bool fitted = score.kind == OF_SCORE_COMBINED || score.kind == OF_SCORE_TYPICALITY;
    uint64_t images = of_calibration_describe(calibration).images;
    return (double)(fitted ? images / 2 : images);
}

of_drift_summary of_drift_summarise(const of_drift *drift, const of_calibration *calibration,
                                    of_score score) {
    of_drift_summary summary = {.images = drift->images, .distance = NAN, .significance = NAN};
    double others = counted_images(calibration, score);
    if (drift->images == 0 || others < 1)
        return summary;
    double own = (double)drift->images;
    summary.distance = distance_of(drift);
    summary.significance = significance_of(summary.distance, own * others / (own + others));
    summary.drifted = summary.distance >= 0.1 && summary.significance < 0.001;
    return summary;
}
