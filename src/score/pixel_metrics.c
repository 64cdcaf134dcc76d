/* SPDX-License-Identifier: Apache-2.0 */
/* How well heat finds the places of defects: one walk over all pixels, the hottest first. */
#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <outflow/outflow.h>
#include <stdlib.h>

/* A pixel with its heat; region 0 is normal. */
typedef struct ranked_pixel {
    float heat;
    uint32_t region;
} ranked_pixel;

static int descending(const void *a, const void *b) {
    float x = ((const ranked_pixel *)a)->heat, y = ((const ranked_pixel *)b)->heat;
    return (x < y) - (x > y);
}

/* What is not finite is hottest. Returns the largest region. */
static uint32_t rank_pixels(const float *heat, const uint32_t *regions, size_t count,
                            ranked_pixel *pixels) {
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        pixels[i] = (ranked_pixel){isfinite(heat[i]) ? heat[i] : INFINITY, regions[i]};
        most = regions[i] > most ? regions[i] : most;
    }
    qsort(pixels, count, sizeof *pixels, descending);
    return most;
}

/* sizes[region], of 0 the normal pixels; returns how many regions have pixels. */
static size_t count_regions(const ranked_pixel *pixels, size_t count, uint32_t most,
                            double *sizes) {
    size_t regions = 0;
    for (size_t r = 0; r <= most; r++)
        sizes[r] = 0;
    for (size_t i = 0; i < count; i++)
        sizes[pixels[i].region]++;
    for (size_t r = 1; r <= most; r++)
        regions += sizes[r] > 0;
    return regions;
}

/* The curve's part from one point to the next, over false positive rates up to `limit`. */
static double trapezoid(double from, double to, double low, double high, double limit) {
    double end = fmin(to, limit);
    if (!(end > from))
        return 0;
    double at_end = low + (high - low) * (end - from) / (to - from);
    return (end - from) * (low + at_end) / 2;
}

/* Pixels of one heat are taken together:
 *   fpr  = share of the normal pixels so far,  tpr = share of the others
 *   pro  = mean over regions of the share of the region so far */
static void walk(const ranked_pixel *pixels, size_t count, const double *sizes, size_t regions,
                 double limit, of_pixel_metrics *metrics) {
    double normal = sizes[0], others = (double)count - normal;
    double fpr = 0, tpr = 0, pro = 0;
    for (size_t i = 0; i < count;) {
        float heat = pixels[i].heat;
        double more_fpr = fpr, more_tpr = tpr, more_pro = pro;
        for (; i < count && pixels[i].heat == heat; i++) {
            uint32_t region = pixels[i].region;
            more_fpr += region == 0 ? 1 / normal : 0;
            more_tpr += region == 0 ? 0 : 1 / others;
            more_pro += region == 0 ? 0 : 1 / (sizes[region] * (double)regions);
        }
        metrics->auroc += trapezoid(fpr, more_fpr, tpr, more_tpr, 2);
        metrics->aupro += trapezoid(fpr, more_fpr, pro, more_pro, limit) / limit;
        fpr = more_fpr, tpr = more_tpr, pro = more_pro;
    }
}

of_status of_pixel_metrics_compute(const float *heat, const uint32_t *regions, size_t count,
                                   double limit, of_pixel_metrics *metrics, of_error *error) {
    if (heat == NULL || regions == NULL || metrics == NULL || !(limit > 0 && limit <= 1))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_pixel_metrics_compute: an argument is NULL, or the limit not in (0, 1]");
    ranked_pixel *pixels = of_allocate(count, sizeof *pixels);
    if (pixels == NULL)
        return of_fail_memory(error, "ranked pixels");
    uint32_t most = rank_pixels(heat, regions, count, pixels);
    double *sizes = of_allocate((size_t)most + 1, sizeof *sizes);
    if (sizes == NULL) {
        of_free(pixels);
        return of_fail_memory(error, "the sizes of regions");
    }
    size_t found = count_regions(pixels, count, most, sizes);
    of_status status = OF_OK;
    *metrics = (of_pixel_metrics){.pixels = count, .regions = found};
    if (found == 0 || sizes[0] == 0)
        status =
            of_fail(error, OF_ERROR_ARGUMENT, "there are no %s pixels: metrics compare two kinds",
                    found == 0 ? "anomalous" : "normal");
    else
        walk(pixels, count, sizes, found, limit, metrics);
    of_free(sizes);
    of_free(pixels);
    return status;
}
