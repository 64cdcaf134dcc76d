/* SPDX-License-Identifier: Apache-2.0 */
/* Distributions, and what charts share. */
#include "report/chart.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"
#include "report/axis.h"
#include "report/chart_parts.h"
#include "report/html.h"

#include <math.h>

/* ---- What charts share -------------------------------------------------------------------- */

void of_chart_open(of_chart_page *page, double width, double height, const char *title) {
    unsigned id = page->identifiers++;
    (void)fprintf(page->file,
                  "<svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                  "aria-labelledby=\"chart-%u\"><title id=\"chart-%u\">",
                  width, height, id, id);
    of_html_text(page->file, title);
    (void)fputs("</title>\n", page->file);
}

void of_chart_close(of_chart_page *page) {
    (void)fputs("</svg>\n", page->file);
}

of_status of_chart_sorted(const double *values, size_t count, double **sorted, size_t *finite,
                          of_error *error) {
    *finite = 0;
    *sorted = of_allocate(count, sizeof **sorted);
    if (*sorted == NULL)
        return of_fail_memory(error, "sorted values");
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            (*sorted)[(*finite)++] = values[i];
    of_sort_doubles(*sorted, *finite);
    return OF_OK;
}

double of_chart_quantile(const double *sorted, size_t count, double share) {
    if (count == 0)
        return NAN;
    double place = share * (double)(count - 1);
    size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

double of_chart_mean(const double *values, size_t count) {
    double sum = 0, finite = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        sum += values[i];
        finite++;
    }
    return finite > 0 ? sum / finite : (double)NAN;
}

static of_status column_ends(const double *values, size_t count, double beyond, double *low,
                             double *high, of_error *error) {
    double *sorted;
    size_t finite;
    of_status status = of_chart_sorted(values, count, &sorted, &finite, error);
    if (status == OF_OK) {
        *low = of_chart_quantile(sorted, finite, beyond);
        *high = of_chart_quantile(sorted, finite, 1 - beyond);
        of_free(sorted);
    }
    return status;
}

of_status of_chart_range(const of_report *report, of_chart_column *column, size_t score,
                         double beyond, double *low, double *high, of_error *error) {
    const double most_widths = 3;
    double first_low = NAN, first_high = NAN;
    *low = INFINITY;
    *high = -(double)INFINITY;
    for (size_t i = 0; i < report->set_count; i++) {
        const of_report_set *set = &report->sets[i];
        double set_low, set_high;
        of_status status =
            column_ends(column(set, score), set->images, beyond, &set_low, &set_high, error);
        if (status != OF_OK)
            return status;
        if (i == 0) {
            first_low = set_low;
            first_high = set_high;
        }
        *low = fmin(*low, set_low); /* which leave out NaN, of sets without finite values */
        *high = fmax(*high, set_high);
    }
    double room = most_widths * (first_high - first_low);
    if (report->compared && room > 0) {
        *low = fmax(*low, first_low - room);
        *high = fmin(*high, first_high + room);
    }
    if (!(*low <= *high))
        *low = 0, *high = 1;
    return OF_OK;
}

/* ---- Distributions ------------------------------------------------------------------------ */

enum { BINS = 56, ROW = 50, HILL = 30, TOP = 4, BOTTOM = 38, LEFT = 8, RIGHT = 352 };
enum { THRESHOLD = 16 /* its number, above the rows */, NAME = 38 /* characters */ };

static const double *score_column(const of_report_set *set, size_t score) {
    return set->scores[score];
}

/* Bins relative to the highest one, not counting the outermost two where others are filled: those
 * hold what is beyond the axis. */
static void fill_bins(const double *sorted, size_t count, const of_axis *axis, double bins[BINS]) {
    double highest = 0;
    for (int b = 0; b < BINS; b++)
        bins[b] = 0;
    for (size_t i = 0; i < count; i++) {
        double share = (sorted[i] - axis->low) / (axis->high - axis->low);
        int bin = (int)(fmin(fmax(share, 0), 1) * BINS);
        bins[bin < BINS ? bin : BINS - 1]++;
    }
    for (int b = 1; b < BINS - 1; b++)
        highest = fmax(highest, bins[b]);
    for (int b = 0; b < BINS; b++)
        bins[b] = bins[b] > 0 ? fmin(bins[b] / highest, 1) : 0;
}

static void draw_hill(const of_axis *axis, const double bins[BINS], double base, FILE *file) {
    double width = (axis->to - axis->from) / BINS;
    (void)fprintf(file, "<path class=\"hill\" d=\"M%.1f %.1f", axis->from, base);
    for (int b = 0; b < BINS; b++)
        (void)fprintf(file, "V%.1fH%.1f", base - HILL * bins[b], axis->from + width * (b + 1));
    (void)fprintf(file, "V%.1fZ\"/>\n", base);
}

/* The set's name and AUROC above its hill; an arrow on its side if that is beyond the axis. */
static void draw_label(const of_report *report, size_t score, size_t i, const of_axis *axis,
                       double median, double base, FILE *file) {
    const of_report_set *set = &report->sets[i];
    bool right = median > axis->high;
    (void)fprintf(file, "<text class=\"label\" x=\"%d\" y=\"%.1f\" text-anchor=\"%s\">",
                  right ? RIGHT : LEFT, base - HILL - 7, right ? "end" : "start");
    if (median < axis->low)
        (void)fputs("\xe2\x97\x80 ", file);
    of_chart_short_text(set->name, NAME, file);
    if (set->metrics != NULL)
        (void)fprintf(file, " %.3f", set->metrics[score].auroc);
    if (right)
        (void)fputs(" \xe2\x96\xb6", file);
    (void)fputs("</text>", file);
}

/* A line through all rows with its number above; an arrow beside that if it is beyond the axis. */
static void draw_threshold(const of_report *report, const of_axis *axis, double bottom,
                           FILE *file) {
    char text[OF_HTML_NUMBER];
    double x = of_axis_place(axis, report->threshold);
    bool right = x > (LEFT + RIGHT) / 2.0;
    (void)fprintf(file,
                  "<path class=\"threshold\" d=\"M%.1f %dV%.1f\"/>\n<text class=\"tick\" "
                  "x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%sflagged %s %s%s</text>\n",
                  x, TOP, bottom, right ? x - 4 : x + 4, TOP + 10, right ? "end" : "start",
                  report->threshold < axis->low ? "\xe2\x97\x80 " : "",
                  report->rate > 0 ? "above" : "from", of_html_number(report->threshold, text),
                  report->threshold > axis->high ? " \xe2\x96\xb6" : "");
}

static of_status draw_set(const of_report *report, size_t score, size_t i, const of_axis *axis,
                          double base, FILE *file, of_error *error) {
    const of_report_set *set = &report->sets[i];
    double bins[BINS], *sorted;
    size_t finite;
    of_status status = of_chart_sorted(set->scores[score], set->images, &sorted, &finite, error);
    if (status != OF_OK)
        return status;
    fill_bins(sorted, finite, axis, bins);
    (void)fprintf(file, "<g class=\"c%zu\">\n", of_chart_colour(i));
    draw_hill(axis, bins, base, file);
    double median = of_chart_quantile(sorted, finite, 0.5), x = of_axis_place(axis, median);
    if (finite > 0)
        (void)fprintf(file, "<path class=\"median\" d=\"M%.1f %.1fV%.1f\"/>\n", x, base,
                      base - HILL - 3);
    draw_label(report, score, i, axis, finite > 0 ? median : axis->high, base, file);
    (void)fputs("</g>\n", file);
    of_free(sorted);
    return OF_OK;
}

static double first_row(const of_report *report, size_t score) {
    return TOP + (of_chart_has_threshold(report, score) ? THRESHOLD : 0);
}

of_status of_chart_draw_distributions(FILE *file, const of_report *report, size_t score,
                                      of_error *error) {
    double low, high, top = first_row(report, score);
    double bottom = top + ROW * (double)report->set_count;
    char name[48], score_name[32];
    of_status status = of_chart_range(report, score_column, score, 0.005, &low, &high, error);
    if (status != OF_OK)
        return status;
    of_axis axis = of_axis_around(low, high, LEFT, RIGHT);
    of_score_name(report->scores[score], score_name, sizeof score_name);
    (void)snprintf(name, sizeof name, "%s (%s)", score_name, of_chart_unit(report->scores[score]));
    of_axis_draw_across(&axis, top, bottom, name, file);
    if (of_chart_has_threshold(report, score))
        draw_threshold(report, &axis, bottom, file);
    for (size_t i = 0; status == OF_OK && i < report->set_count; i++)
        status = draw_set(report, score, i, &axis, top + ROW * (double)(i + 1), file, error);
    return status;
}

double of_chart_distributions_height(const of_report *report, size_t score) {
    return first_row(report, score) + ROW * (double)report->set_count + BOTTOM;
}

of_status of_chart_distributions(of_chart_page *page, const of_report *report, size_t score,
                                 of_error *error) {
    char title[80], name[32];
    of_score_name(report->scores[score], name, sizeof name);
    (void)snprintf(title, sizeof title, "Distribution of %s in each set", name);
    of_chart_open(page, OF_CHART_WIDTH, of_chart_distributions_height(report, score), title);
    of_status status = of_chart_draw_distributions(page->file, report, score, error);
    of_chart_close(page);
    return status;
}
