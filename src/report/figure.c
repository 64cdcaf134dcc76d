/* SPDX-License-Identifier: Apache-2.0 */
/* The figure: distributions of two scores side by side, as an SVG of its own. */
#include "core/error.h"
#include "report/chart_parts.h"
#include "report/html.h"
#include "report/style.h"

enum { GAP = 24, HEADING = 26, PANELS = 2 };

static size_t find_score(const of_report *report, of_score_kind kind) {
    for (size_t s = 0; s < report->score_count; s++)
        if (report->scores[s].kind == kind)
            return s;
    return report->score_count;
}

/* nll, and the main score; where they are the same, the ratio or else the last scale. */
static void choose_scores(const of_report *report, size_t chosen[PANELS]) {
    chosen[0] = find_score(report, OF_SCORE_NLL);
    chosen[1] = report->main_score;
    if (chosen[1] == chosen[0])
        chosen[1] = find_score(report, OF_SCORE_RATIO);
    if (chosen[1] == report->score_count)
        chosen[1] = find_score(report, OF_SCORE_LAST);
}

static of_status draw_panel(const of_report *report, size_t score, size_t panel, FILE *file,
                            of_error *error) {
    char name[32];
    of_score_name(report->scores[score], name, sizeof name);
    (void)fprintf(
        file,
        "<g transform=\"translate(%zu 0)\">\n<text class=\"heading\" x=\"8\" y=\"18\">%s%s"
        "</text>\n<g transform=\"translate(0 %d)\">\n",
        panel * (OF_CHART_WIDTH + GAP), name,
        report->compared ? ", and the AUROC of each out set" : "", HEADING);
    of_status status = of_chart_draw_distributions(file, report, score, error);
    (void)fputs("</g></g>\n", file);
    return status;
}

of_status of_report_write_figure(const of_report *whole, FILE *file, of_error *error) {
    of_report without_flags = *whole; /* a figure has no text that would tell what is flagged */
    const of_report *report = &without_flags;
    size_t chosen[PANELS];
    without_flags.with_flags = false;
    choose_scores(report, chosen);
    double height = HEADING + of_chart_distributions_height(report, chosen[0]);
    of_status status = OF_OK;
    (void)fprintf(file,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
                  "height=\"%.0f\" role=\"img\" aria-labelledby=\"title\">\n<title id=\"title\">"
                  "Distributions of two scores in each set of images</title>\n<style>\n%s</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" style=\"fill:var(--paper)\"/>\n",
                  PANELS * OF_CHART_WIDTH + GAP, height, PANELS * OF_CHART_WIDTH + GAP, height,
                  of_style_charts);
    for (size_t i = 0; status == OF_OK && i < PANELS; i++)
        status = draw_panel(report, chosen[i], i, file, error);
    (void)fputs("</svg>\n", file);
    return status;
}
