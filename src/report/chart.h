/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as inline SVG. Colours are the CSS variables of style.h, so that they follow the page. */
#ifndef OF_REPORT_CHART_H
#define OF_REPORT_CHART_H

#include "report/report.h"

enum { OF_CHART_COLOURS = 8, OF_CHART_POINTS = 2000 /* a set, in a scatter plot */ };

/* Where charts are written; numbers of identifiers go on from chart to chart. */
typedef struct of_chart_page {
    FILE *file;
    unsigned identifiers;
} of_chart_page;

/* Distributions of a score, a row for each set, each as high as its own highest bin, with its
 * median. Values beyond the axis count in the outermost bins. A line for the main score's
 * threshold. */
of_status of_chart_distributions(of_chart_page *page, const of_report *report, size_t score,
                                 of_error *error);

/* The same drawing without its <svg>, at the current origin, for the figure. */
enum { OF_CHART_WIDTH = 360 };
double of_chart_distributions_height(const of_report *report, size_t score);
of_status of_chart_draw_distributions(FILE *file, const of_report *report, size_t score,
                                      of_error *error);

/* ROC curves of a score, a line for each out set. */
of_status of_chart_roc(of_chart_page *page, const of_report *report, size_t score, of_error *error);

/* The two models' log-likelihoods against each other, at most OF_CHART_POINTS images of a set. */
of_status of_chart_scatter(of_chart_page *page, const of_report *report, of_error *error);

/* Means and standard deviations of the sets' scores scale:i, in standard deviations of the first
 * set around its mean; without an in set, of all images. */
void of_chart_scales(of_chart_page *page, const of_report *report);

/* Finite values of a column, ascending, allocated with of_allocate; and a quantile of such. */
of_status of_chart_sorted(const double *values, size_t count, double **sorted, size_t *finite,
                          of_error *error);
double of_chart_mean(const double *values, size_t count); /* of the finite ones */
double of_chart_quantile(const double *sorted, size_t count, double share);

/* The axis of a column of every set (`column` gives it): from the lowest `beyond` to the highest
 * 1 - `beyond` of any set, but no further from the first set than three times its width, so that
 * one set far away does not press all others together. */
typedef const double *of_chart_column(const of_report_set *set, size_t score);
of_status of_chart_range(const of_report *report, of_chart_column *column, size_t score,
                         double beyond, double *low, double *high, of_error *error);

#endif
