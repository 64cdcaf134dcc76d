/* SPDX-License-Identifier: Apache-2.0 */
/* The report as one HTML file. */
#include "core/error.h"
#include "report/chart_parts.h"
#include "report/html.h"
#include "report/page_parts.h"
#include "report/style.h"

#include <inttypes.h>
#include <math.h>

/* Pixels of the longer side at most, of an image and of a picture that was cut. */
enum { IMAGE_SIDE = 128, PICTURE_SIDE = 384 };

/* ---- Head --------------------------------------------------------------------------------- */

static void write_head(const of_report *report, FILE *file) {
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>",
                file);
    of_html_text(file, report->title);
    (void)fprintf(file, "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n<h1>",
                  of_style_charts, of_style_page);
    of_html_text(file, report->title);
    (void)fputs("</h1>\n", file);
}

static void write_legend(const of_report *report, FILE *file) {
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

/* ---- Images ------------------------------------------------------------------------------- */

static of_heated_image heated(const of_report *report, const of_report_image *image) {
    return (of_heated_image){image->pixels, image->heat,
                             image->limit,  report->architecture.channels,
                             image->height, image->width};
}

typedef of_status paint(const of_heated_image *image, uint32_t factor, uint32_t most,
                        of_picture *picture, of_error *error);

/* The alternative text names the image and what is seen. */
static of_status write_picture(const of_report *report, const of_report_image *image,
                               paint *painter, const char *what, FILE *file, of_error *error) {
    of_heated_image source = heated(report, image);
    of_picture picture;
    bool cut = image->width > report->architecture.width; /* a picture, not an image of a model */
    of_status status = painter(&source, 1, cut ? PICTURE_SIDE : IMAGE_SIDE, &picture, error);
    if (status != OF_OK)
        return status;
    (void)fputs("<img alt=\"", file);
    (void)fputs(what, file);
    of_html_text(file, image->path);
    (void)fprintf(file, "\" width=\"%" PRIu32 "\" height=\"%" PRIu32 "\" src=\"", picture.width,
                  picture.height);
    status = of_html_picture(file, &picture, error);
    (void)fputs("\"/>", file);
    of_picture_free(&picture);
    return status;
}

static of_status write_image(const of_report *report, const of_report_image *image, FILE *file,
                             of_error *error) {
    char value[OF_HTML_NUMBER], limit[OF_HTML_NUMBER];
    (void)fputs("<figure><div class=\"pair\">", file);
    of_status status = write_picture(report, image, of_picture_plain, "image ", file, error);
    if (status == OF_OK)
        status = write_picture(report, image, of_picture_heat, "heat of ", file, error);
    if (status != OF_OK)
        return status;
    (void)fputs("</div><figcaption title=\"", file);
    of_html_text(file, image->path);
    if (image->label[0] != '\0') {
        (void)fputs(", ", file);
        of_html_text(file, image->label);
    }
    (void)fprintf(file, "\"><strong>%s</strong> (\xc2\xb1%s)<br/>",
                  isfinite(image->value) ? of_html_number(image->value, value) : "not finite",
                  of_html_number(image->limit, limit));
    if (!isnan(image->p_value))
        (void)fprintf(file, "p %.3g<br/>", image->p_value);
    of_html_text(file, image->path);
    (void)fputs("</figcaption></figure>\n", file);
    return OF_OK;
}

static of_status write_row(const of_report *report, const of_report_set *set, bool most, FILE *file,
                           of_error *error) {
    const of_report_image *images = most ? set->most : set->least;
    size_t count = most ? set->most_count : set->least_count;
    of_status status = OF_OK;
    if (count == 0)
        return OF_OK;
    (void)fputs("<h3>", file);
    of_html_text(file, set->name);
    (void)fprintf(file, ": %s anomalous</h3>\n<div class=\"images\">\n", most ? "most" : "least");
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = write_image(report, &images[i], file, error);
    (void)fputs("</div>\n", file);
    return status;
}

static of_status write_colour_bar(FILE *file, of_error *error) {
    enum { WIDTH = 61 };
    uint8_t pixels[3 * WIDTH];
    const of_picture bar = {pixels, 1, WIDTH};
    for (int i = 0; i < WIDTH; i++)
        of_picture_colour(2.0 * i / (WIDTH - 1) - 1, pixels + 3 * (size_t)i);
    (void)fputs("<p class=\"scalebar\">more normal <img alt=\"Colours from blue over grey to "
                "orange\" src=\"",
                file);
    of_status status = of_html_picture(file, &bar, error);
    (void)fputs("\"/> more anomalous</p>\n", file);
    return status;
}

static bool has_p_values(const of_report *report) {
    for (size_t i = 0; i < report->set_count; i++)
        if (report->sets[i].most_count > 0 && !isnan(report->sets[i].most[0].p_value))
            return true;
    return false;
}

static of_status write_images(const of_report *report, FILE *file, of_error *error) {
    (void)fputs("<section aria-labelledby=\"images\"><h2 id=\"images\">Images</h2>\n<p>Ordered by "
                "<strong>",
                file);
    of_page_score_name(file, report->scores[report->main_score]);
    (void)fputs("</strong>. Beside each image, the heat of <strong>", file);
    of_page_score_name(file, report->heat);
    (void)fputs("</strong>: what each position adds to it, relative to ", file);
    of_html_text(file, report->heat_reference);
    (void)fputs(". In parentheses, what the strongest colour stands for in nats a pixel.", file);
    if (has_p_values(report))
        (void)fputs(" p is the image's p-value: the share of calibration images, itself counted "
                    "among them, that score as high or higher.",
                    file);
    (void)fputs("</p>\n", file);
    of_status status = write_colour_bar(file, error);
    for (size_t i = 0; status == OF_OK && i < report->set_count; i++) {
        status = write_row(report, &report->sets[i], true, file, error);
        if (status == OF_OK)
            status = write_row(report, &report->sets[i], false, file, error);
    }
    (void)fputs("</section>\n", file);
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
    (void)fputs("</section>\n</main>\n</body>\n</html>\n", file);
}

of_status of_report_write(const of_report *report, FILE *file, of_error *error) {
    of_chart_page page = {.file = file};
    write_head(report, file);
    write_legend(report, file);
    of_page_sets(report, file);
    if (report->compared) {
        of_page_metrics(report, file);
        of_page_flags(report, file);
    }
    of_status status = write_models(&page, report, error);
    if (status != OF_OK)
        return status;
    write_scales(&page, report);
    status = write_scores(&page, report, error);
    if (status == OF_OK)
        status = write_images(report, file, error);
    if (status == OF_OK)
        write_provenance(report, file);
    return status;
}
