/* SPDX-License-Identifier: Apache-2.0 */
/* Charts that compare sets with the first one, scales and models with each other. */
#include "core/error.h"
#include "core/memory.h"
#include "report/axis.h"
#include "report/chart_parts.h"
#include "report/html.h"

#include <math.h>
#include <stdlib.h>

/* ---- ROC ---------------------------------------------------------------------------------- */

enum { ROC_LEFT = 40, ROC_RIGHT = 350, ROC_TOP = 8, ROC_BOTTOM = 218, ROC_HEIGHT = 256 };

/* What is not finite is most anomalous, as in of_metrics_compute. */
static of_status sorted_scores(const double *values, size_t count, double **sorted,
                               of_error *error) {
    size_t finite;
    of_status status = of_chart_sorted(values, count, sorted, &finite, error);
    for (size_t i = finite; status == OF_OK && i < count; i++)
        (*sorted)[i] = INFINITY;
    return status;
}

/* Scores from the highest on; a point where either share has moved by a two-hundredth. */
static void draw_curve(const double *in, size_t inliers, const double *out, size_t outliers,
                       const of_axis *x, const of_axis *y, FILE *file) {
    double drawn_x = 0, drawn_y = 0;
    (void)fprintf(file, "<path class=\"line\" d=\"M%.1f %.1f", of_axis_place(x, 0),
                  of_axis_place(y, 0));
    for (size_t i = inliers, o = outliers; i > 0 || o > 0;) {
        double value = o == 0 || (i > 0 && in[i - 1] > out[o - 1]) ? in[i - 1] : out[o - 1];
        while (i > 0 && in[i - 1] == value)
            i--;
        while (o > 0 && out[o - 1] == value)
            o--;
        double fpr = 1 - (double)i / (double)inliers, tpr = 1 - (double)o / (double)outliers;
        if (fpr - drawn_x < 0.005 && tpr - drawn_y < 0.005 && (i > 0 || o > 0))
            continue;
        (void)fprintf(file, "L%.1f %.1f", of_axis_place(x, fpr), of_axis_place(y, tpr));
        drawn_x = fpr;
        drawn_y = tpr;
    }
    (void)fputs("\"/>\n", file);
}

static of_status draw_roc_of_set(const of_report *report, size_t score, size_t i, const of_axis *x,
                                 const of_axis *y, FILE *file, of_error *error) {
    const of_report_set *in = &report->sets[0], *out = &report->sets[i];
    double *in_sorted = NULL, *out_sorted = NULL;
    of_status status = sorted_scores(in->scores[score], in->images, &in_sorted, error);
    if (status == OF_OK)
        status = sorted_scores(out->scores[score], out->images, &out_sorted, error);
    if (status == OF_OK) {
        (void)fprintf(file, "<g class=\"c%zu d%zu\">", of_chart_colour(i), i % 3);
        draw_curve(in_sorted, in->images, out_sorted, out->images, x, y, file);
        (void)fputs("</g>\n", file);
    }
    of_free(in_sorted);
    of_free(out_sorted);
    return status;
}

of_status of_chart_roc(of_chart_page *page, const of_report *report, size_t score,
                       of_error *error) {
    const of_axis x = {0, 1, ROC_LEFT, ROC_RIGHT}, y = {0, 1, ROC_BOTTOM, ROC_TOP};
    char title[120], name[32];
    of_status status = OF_OK;
    of_score_name(report->scores[score], name, sizeof name);
    (void)snprintf(title, sizeof title, "ROC curves of %s, a line for each out set", name);
    of_chart_open(page, OF_CHART_WIDTH, ROC_HEIGHT, title);
    of_axis_draw_across(&x, ROC_TOP, ROC_BOTTOM,
                        "flagged: of the in set (across), of an out set (up)", page->file);
    of_axis_draw_up(&y, ROC_LEFT, ROC_RIGHT, page->file);
    (void)fprintf(page->file, "<path class=\"chance\" d=\"M%d %dL%d %d\"/>\n", ROC_LEFT, ROC_BOTTOM,
                  ROC_RIGHT, ROC_TOP);
    for (size_t i = 1; status == OF_OK && i < report->set_count; i++)
        status = draw_roc_of_set(report, score, i, &x, &y, page->file, error);
    of_chart_close(page);
    return status;
}

/* ---- Scatter ------------------------------------------------------------------------------ */

enum { PLOT_LEFT = 60, PLOT_RIGHT = 470, PLOT_TOP = 10, PLOT_BOTTOM = 390, PLOT_WIDTH = 480 };
enum { PLOT_HEIGHT = 428 };

static const double *own_column(const of_report_set *set, size_t score) {
    (void)score;
    return set->logp;
}

static const double *general_column(const of_report_set *set, size_t score) {
    (void)score;
    return set->general_logp;
}

/* Dots as strokes of length 0 in one path: a few bytes a dot. Evenly spaced images, so that the
 * same sets give the same plot. */
enum { FEW_IMAGES = 300 /* whose dots are drawn larger */ };

static void draw_dots(const of_report_set *set, size_t number, const of_axis *x, const of_axis *y,
                      FILE *file) {
    size_t stride = (set->images + OF_CHART_POINTS - 1) / OF_CHART_POINTS;
    (void)fprintf(file, "<path class=\"dots c%zu%s\" d=\"", of_chart_colour(number),
                  set->images < FEW_IMAGES ? " few" : "");
    for (size_t i = 0; i < set->images; i += stride)
        if (isfinite(set->logp[i]) && isfinite(set->general_logp[i]))
            (void)fprintf(file, "M%.1f %.1fh0", of_axis_place(x, set->general_logp[i]),
                          of_axis_place(y, set->logp[i]));
    (void)fputs("\"/>\n", file);
}

static void draw_diagonal(const of_axis *x, const of_axis *y, FILE *file) {
    double low = fmax(x->low, y->low), high = fmin(x->high, y->high);
    if (low < high)
        (void)fprintf(file, "<path class=\"chance\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
                      of_axis_place(x, low), of_axis_place(y, low), of_axis_place(x, high),
                      of_axis_place(y, high));
}

of_status of_chart_scatter(of_chart_page *page, const of_report *report, of_error *error) {
    double low, high;
    of_status status = of_chart_range(report, general_column, 0, 0.002, &low, &high, error);
    if (status != OF_OK)
        return status;
    of_axis x = of_axis_around(low, high, PLOT_LEFT, PLOT_RIGHT);
    status = of_chart_range(report, own_column, 0, 0.002, &low, &high, error);
    if (status != OF_OK)
        return status;
    of_axis y = of_axis_around(low, high, PLOT_BOTTOM, PLOT_TOP);
    of_chart_open(page, PLOT_WIDTH, PLOT_HEIGHT,
                  "Log-likelihood under the model against log-likelihood under the general model");
    of_axis_draw_across(&x, PLOT_TOP, PLOT_BOTTOM, "log p under the general model (nats)",
                        page->file);
    of_axis_draw_up(&y, PLOT_LEFT, PLOT_RIGHT, page->file);
    (void)fprintf(page->file,
                  "<text class=\"name\" x=\"%d\" y=\"%d\">log p under the model</text>\n",
                  PLOT_LEFT + 6, PLOT_TOP + 12);
    draw_diagonal(&x, &y, page->file);
    for (size_t i = report->set_count; i-- > 0;) /* the first set on top */
        draw_dots(&report->sets[i], i, &x, &y, page->file);
    of_chart_close(page);
    return OF_OK;
}

/* ---- Scales ------------------------------------------------------------------------------- */

typedef struct point_moments {
    double count, mean, deviation;
} point_moments;

static void add_moments(point_moments *m, const double *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        double change = values[i] - m->mean;
        m->mean += change / ++m->count;
        m->deviation += change * (values[i] - m->mean);
    }
}

static void finish_moments(point_moments *m) {
    m->deviation = m->count > 1 ? sqrt(m->deviation / (m->count - 1)) : NAN;
    m->mean = m->count > 0 ? m->mean : NAN;
}

static point_moments set_moments(const of_report_set *set, size_t score) {
    point_moments m = {0};
    add_moments(&m, set->scores[score], set->images);
    finish_moments(&m);
    return m;
}

static point_moments reference_moments(const of_report *report, size_t score) {
    point_moments m = {0};
    for (size_t i = 0; i < (report->compared ? 1 : report->set_count); i++)
        add_moments(&m, report->sets[i].scores[score], report->sets[i].images);
    finish_moments(&m);
    return m;
}

/* A set's mean and deviation in units of the reference. */
static point_moments relative_moments(const of_report *report, size_t set, size_t score) {
    point_moments reference = reference_moments(report, score);
    point_moments m = set_moments(&report->sets[set], score);
    m.mean = (m.mean - reference.mean) / reference.deviation;
    m.deviation /= reference.deviation;
    return m;
}

enum { BAR_ROW = 16, BAR_LEFT = 74, BAR_RIGHT = 350, BAR_TOP = 6, BAR_BOTTOM = 38, BAR_GAP = 12 };

/* A mean beyond the axis: an arrow at its end, and the number. */
static void draw_beyond(double mean, double y, const of_axis *x, FILE *file) {
    char text[OF_HTML_NUMBER];
    bool right = mean > x->high;
    double tip = right ? x->to : x->from, back = right ? tip - 8 : tip + 8;
    (void)fprintf(file,
                  "<path class=\"dot\" d=\"M%.1f %.1fL%.1f %.1fV%.1fZ\"/><text class=\"value\" "
                  "x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>",
                  tip, y, back, y - 5, y + 5, right ? back - 3 : back + 3, y + 4,
                  right ? "end" : "start", of_html_number(mean, text));
}

static void draw_bar(const point_moments *m, size_t set, double y, const of_axis *x, FILE *file) {
    if (!isfinite(m->mean))
        return;
    double deviation = isfinite(m->deviation) ? m->deviation : 0;
    (void)fprintf(file, "<g class=\"c%zu\"><path class=\"line\" d=\"M%.1f %.1fH%.1f\"/>",
                  of_chart_colour(set), of_axis_place(x, m->mean - deviation), y,
                  of_axis_place(x, m->mean + deviation));
    if (m->mean < x->low || m->mean > x->high)
        draw_beyond(m->mean, y, x, file);
    else
        (void)fprintf(file, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>",
                      of_axis_place(x, m->mean), y);
    (void)fputs("</g>\n", file);
}

static void draw_number(size_t set, double y, FILE *file) {
    (void)fprintf(file,
                  "<g class=\"c%zu\"><text class=\"value\" x=\"%d\" y=\"%.1f\" "
                  "text-anchor=\"end\">%zu</text></g>\n",
                  of_chart_colour(set), BAR_LEFT - 4, y + 4, set + 1);
}

static of_axis scales_axis(const of_report *report) {
    const double most = 12; /* arrows stand for dots beyond */
    double low = -2, high = 2;
    for (size_t i = 0; i < report->set_count; i++)
        for (size_t s = 0; s < report->score_count; s++) {
            if (report->scores[s].kind != OF_SCORE_SCALE)
                continue;
            point_moments m = relative_moments(report, i, s);
            if (isfinite(m.mean)) {
                double deviation = isfinite(m.deviation) ? m.deviation : 0;
                low = fmin(low, m.mean - deviation);
                high = fmax(high, m.mean + deviation);
            }
        }
    return of_axis_around(fmax(low, -most), fmin(high, most), BAR_LEFT, BAR_RIGHT);
}

void of_chart_scales(of_chart_page *page, const of_report *report) {
    double block = BAR_ROW * (double)report->set_count + BAR_GAP, top = BAR_TOP;
    uint32_t scales = of_architecture_scale_count(&report->architecture);
    double bottom = BAR_TOP + block * scales;
    of_axis x = scales_axis(report);
    of_chart_open(page, OF_CHART_WIDTH, bottom + BAR_BOTTOM,
                  "Mean and standard deviation of each scale's score in each set");
    of_axis_draw_across(&x, BAR_TOP, bottom,
                        report->compared ? "standard deviations of the in set"
                                         : "standard deviations of all images",
                        page->file);
    for (size_t s = 0; s < report->score_count; s++) {
        char name[32];
        if (report->scores[s].kind != OF_SCORE_SCALE)
            continue;
        of_score_name(report->scores[s], name, sizeof name);
        (void)fprintf(page->file, "<text class=\"label\" x=\"4\" y=\"%.1f\">%s</text>\n",
                      top + block / 2, name);
        for (size_t i = 0; i < report->set_count; i++) {
            point_moments m = relative_moments(report, i, s);
            double y = top + BAR_GAP / 2.0 + BAR_ROW * ((double)i + 0.5);
            if (of_chart_numbers_sets(report))
                draw_number(i, y, page->file);
            draw_bar(&m, i, y, &x, page->file);
        }
        top += block;
    }
    of_chart_close(page);
}
