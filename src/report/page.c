/* SPDX-License-Identifier: Apache-2.0 */
/* The report as one HTML file. */
#include "core/error.h"
#include "report/chart_parts.h"
#include "report/html.h"
#include "report/page_parts.h"
#include "report/script.h"
#include "report/style.h"

#include <inttypes.h>
#include <math.h>

/* ---- Head --------------------------------------------------------------------------------- */

static void write_head(const of_report *report, FILE *file) {
    (void)fputs(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
        "data:; style-src 'unsafe-inline'; script-src '",
        file);
    (void)fputs(of_script_sort_hash, file);
    (void)fputs("'\"/>\n<title>", file);
    of_html_text(file, report->title);
    (void)fprintf(file, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n<h1>",
                  of_style_charts, of_style_page);
    of_html_text(file, report->title);
    (void)fputs("</h1>\n", file);
}

/* One set needs no telling apart. */
static void write_legend(const of_report *report, FILE *file) {
    if (report->set_count < 2)
        return;
    (void)fputs("<ul class=\"legend\" aria-label=\"Colours of the sets\">\n", file);
    for (size_t i = 0; i < report->set_count; i++) {
        (void)fprintf(file, "<li class=\"c%zu\">", of_chart_colour(i));
        if (of_chart_numbers_sets(report))
            (void)fprintf(file, "%zu ", i + 1);
        of_html_text(file, report->sets[i].name);
        (void)fputs("</li>\n", file);
    }
    (void)fputs("</ul>\n", file);
}

/* ---- Charts ------------------------------------------------------------------------------- */

static of_status write_models(of_chart_page *page, const of_report *report, of_error *error) {
    char spearman[OF_HTML_NUMBER], pearson[OF_HTML_NUMBER];
    if (!report->with_general)
        return OF_OK;
    (void)fputs("<section aria-labelledby=\"models\"><h2 id=\"models\">Two models, one "
                "likelihood</h2>\n<div class=\"split\">\n<div>",
                page->file);
    of_status status = of_chart_scatter(page, report, error);
    if (status != OF_OK)
        return status;
    (void)fprintf(page->file,
                  "</div>\n<div><p>Each dot is an image. Where the two models' log-likelihoods lie "
                  "along a line, most of a likelihood is what any image model finds: local "
                  "smoothness. It says little about belonging. Over all sets the correlation is "
                  "<strong>%s</strong> by ranks (Spearman) and <strong>%s</strong> of the values "
                  "(Pearson).</p>\n<p>The distance to the dashed line, where both models agree, is "
                  "the score <em>ratio</em>: images above the line belong, those below it are "
                  "likelier among images in general.</p>\n",
                  of_html_number(report->spearman, spearman),
                  of_html_number(report->pearson, pearson));
    (void)fprintf(page->file,
                  "<p class=\"note\">At most %d evenly spaced images of a set are drawn; dots "
                  "beyond an axis lie on its edge. The correlations of each set are in the table "
                  "above.</p></div></div></section>\n",
                  OF_CHART_POINTS);
    return OF_OK;
}

static void write_scales(of_chart_page *page, const of_report *report) {
    (void)fputs("<section aria-labelledby=\"scales\"><h2 id=\"scales\">What each scale says</h2>\n"
                "<div class=\"split\">\n<div>",
                page->file);
    of_chart_scales(page, report);
    (void)fputs(
        "</div>\n<div><p>Scale 0 is the finest: it sees edges and texture. The last scale "
        "sees layout and objects. Dots are means, lines reach one standard deviation to "
        "either side; to the right is what a scale finds unlikely. An arrow with a number is "
        "a mean beyond the axis.",
        page->file);
    if (of_chart_numbers_sets(report))
        (void)fputs(" Numbers are those of the sets in the list above.", page->file);
    (void)fputs("</p>\n", page->file);
    of_page_scale_table(report, page->file);
    (void)fputs("</div></div></section>\n", page->file);
}

static of_status write_score(of_chart_page *page, const of_report *report, size_t s,
                             of_error *error) {
    (void)fputs("<div class=\"card\"><h3>", page->file);
    of_page_score_name(page->file, report->scores[s]);
    (void)fputs(s == report->main_score ? " (main score)</h3>\n" : "</h3>\n", page->file);
    of_status status = of_chart_distributions(page, report, s, error);
    if (status == OF_OK && report->compared)
        status = of_chart_roc(page, report, s, error);
    (void)fputs("</div>\n", page->file);
    return status;
}

static void write_threshold_note(const of_report *report, FILE *file) {
    if (!of_chart_has_threshold(report, report->main_score))
        return;
    (void)fputs(" The dashed line of ", file);
    of_page_score_name(file, report->scores[report->main_score]);
    if (report->rate > 0)
        (void)fprintf(file, ": what lies above has a p-value of at most %g.", report->rate);
    else
        (void)fputs(": what reaches it is flagged.", file);
}

static of_status write_scores(of_chart_page *page, const of_report *report, of_error *error) {
    (void)fprintf(page->file,
                  "<section aria-labelledby=\"scores\"><h2 id=\"scores\">Scores</h2>\n"
                  "<p class=\"note\">Higher is more anomalous. Every set is drawn as high as its "
                  "own highest bin; the line is its median; values beyond an axis count at its "
                  "ends; an arrow says that half of a set or more lies there.%s",
                  report->compared ? " Beside a name is its AUROC. Below: ROC curves, the share of "
                                     "each out set found against "
                                     "the share of the in set flagged."
                                   : "");
    write_threshold_note(report, page->file);
    (void)fputs("</p>\n", page->file);
    write_legend(report, page->file);
    (void)fputs("<div class=\"cards\">\n", page->file);
    of_status status = OF_OK;
    for (size_t s = 0; status == OF_OK && s < report->score_count; s++)
        status = write_score(page, report, s, error);
    (void)fputs("</div></section>\n", page->file);
    return status;
}

/* ---- Foot --------------------------------------------------------------------------------- */

static void write_provenance(const of_report *report, FILE *file) {
    (void)fputs("<section aria-labelledby=\"made\"><h2 id=\"made\">How this was made</h2>\n", file);
    if (report->command != NULL) {
        (void)fputs("<pre>", file);
        of_html_text(file, report->command);
        (void)fputs("</pre>\n", file);
    }
    of_page_open_table("Program, models and machine", file);
    (void)fputs("<tbody>\n", file);
    for (size_t i = 0; i < report->fact_count; i++) {
        (void)fputs("<tr><th scope=\"row\">", file);
        of_html_text(file, report->facts[i].name);
        (void)fputs("</th><td class=\"text\">", file);
        of_html_text(file, report->facts[i].value);
        (void)fputs("</td></tr>\n", file);
    }
    of_page_close_table(file);
    (void)fprintf(file, "</section>\n</main>\n<script>%s</script>\n</body>\n</html>\n",
                  of_script_sort);
}

of_status of_report_write(const of_report *report, FILE *file, of_error *error) {
    of_chart_page page = {.file = file};
    of_status status = OF_OK;
    write_head(report, file);
    of_page_verdict(report, file);
    write_legend(report, file);
    of_page_sets(report, file);
    status = of_page_flagged_images(report, file, error);
    if (status != OF_OK)
        return status;
    if (report->compared) {
        of_page_metrics(report, file);
        of_page_flags(report, file);
    }
    status = write_models(&page, report, error);
    if (status != OF_OK)
        return status;
    if (report->set_count > 1)
        write_scales(&page, report);
    status = write_scores(&page, report, error);
    if (status == OF_OK)
        status = of_page_images(report, file, error);
    if (status != OF_OK)
        return status;
    of_page_unreadable(report, file);
    write_provenance(report, file);
    return OF_OK;
}
