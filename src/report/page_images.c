/* SPDX-License-Identifier: Apache-2.0 */
/* The images of the page: all that are flagged, as a table; both ends of each set, as a wall. */
#include "core/error.h"
#include "report/html.h"
#include "report/page_parts.h"

#include <inttypes.h>
#include <math.h>

/* Pixels of the longer side at most, of an image and of a picture that was cut. */
enum { IMAGE_SIDE = 128, PICTURE_SIDE = 384 };

/* ---- An image ------------------------------------------------------------------------------ */

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

/* The image, and its heat. */
static of_status write_pair(const of_report *report, const of_report_image *image, FILE *file,
                            of_error *error) {
    (void)fputs("<div class=\"pair\">", file);
    of_status status = write_picture(report, image, of_picture_plain, "image ", file, error);
    if (status == OF_OK)
        status = write_picture(report, image, of_picture_heat, "heat of ", file, error);
    (void)fputs("</div>", file);
    return status;
}

static void write_value(double value, FILE *file) {
    char text[OF_HTML_NUMBER];
    (void)fputs(isfinite(value) ? of_html_number(value, text) : "not finite", file);
}

static bool has_p_values(const of_report *report) {
    for (size_t i = 0; i < report->set_count; i++)
        if (report->sets[i].most_count > 0 && !isnan(report->sets[i].most[0].p_value))
            return true;
    return false;
}

/* ---- All that are flagged ------------------------------------------------------------------ */

static bool has_labels(const of_report_set *set) {
    for (size_t i = 0; i < set->flagged_count; i++)
        if (set->most[i].label[0] != '\0')
            return true;
    return false;
}

/* The button sorts by this column where scripts run (of_script_sort). */
static void write_column(const char *name, const char *class, FILE *file) {
    (void)fprintf(file, "<th scope=\"col\"%s><button type=\"button\">%s</button></th>", class,
                  name);
}

static void write_flagged_heading(const of_report *report, const of_report_set *set, FILE *file) {
    char name[32];
    of_score_name(report->scores[report->main_score], name, sizeof name);
    (void)fputs("<thead><tr><th scope=\"col\">image, heat</th>", file);
    write_column(name, "", file);
    if (has_p_values(report))
        write_column("p", "", file);
    write_column("path", " class=\"text\"", file);
    if (has_labels(set))
        write_column("label", " class=\"text\"", file);
    (void)fputs("</tr></thead><tbody>\n", file);
}

/* Sorting reads data-value: what is not finite counts as the most anomalous. */
static void write_sorted_cell(double value, FILE *file) {
    (void)fprintf(file, "<td data-value=\"%.9g\">", isfinite(value) ? value : 1e308);
}

static of_status write_flagged_row(const of_report *report, const of_report_set *set,
                                   const of_report_image *image, FILE *file, of_error *error) {
    (void)fputs("<tr><td>", file);
    of_status status = write_pair(report, image, file, error);
    (void)fputs("</td>", file);
    write_sorted_cell(image->value, file);
    write_value(image->value, file);
    (void)fputs("</td>", file);
    if (has_p_values(report)) {
        write_sorted_cell(image->p_value, file);
        (void)fprintf(file, "%.3g</td>", image->p_value);
    }
    (void)fputs("<td class=\"text\">", file);
    of_html_text(file, image->path);
    (void)fputs("</td>", file);
    if (has_labels(set)) {
        (void)fputs("<td class=\"text\">", file);
        of_html_text(file, image->label);
        (void)fputs("</td>", file);
    }
    (void)fputs("</tr>\n", file);
    return status;
}

static void describe_flagged(const of_report *report, const of_report_set *set, char *caption,
                             size_t size) {
    uint64_t flagged = set->flags[report->main_score].count;
    if (flagged > set->flagged_count)
        (void)snprintf(caption, size,
                       "The %zu most anomalous of %" PRIu64 " flagged images, most anomalous first",
                       set->flagged_count, flagged);
    else
        (void)snprintf(caption, size, "All %" PRIu64 " flagged images, most anomalous first",
                       flagged);
}

static of_status write_flagged_set(const of_report *report, const of_report_set *set, FILE *file,
                                   of_error *error) {
    char caption[128];
    of_status status = OF_OK;
    if (set->flagged_count == 0)
        return OF_OK;
    if (report->set_count > 1) {
        (void)fputs("<h3>", file);
        of_html_text(file, set->name);
        (void)fputs("</h3>\n", file);
    }
    describe_flagged(report, set, caption, sizeof caption);
    of_page_open_sortable(caption, file);
    write_flagged_heading(report, set, file);
    for (size_t i = 0; status == OF_OK && i < set->flagged_count; i++)
        status = write_flagged_row(report, set, &set->most[i], file, error);
    of_page_close_table(file);
    return status;
}

of_status of_page_flagged_images(const of_report *report, FILE *file, of_error *error) {
    size_t flagged = 0;
    for (size_t i = 0; i < report->set_count; i++)
        flagged += report->sets[i].flagged_count;
    if (flagged == 0)
        return OF_OK;
    (void)fputs("<section aria-labelledby=\"found\"><h2 id=\"found\">Flagged images</h2>\n", file);
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < report->set_count; i++)
        status = write_flagged_set(report, &report->sets[i], file, error);
    (void)fputs("</section>\n", file);
    return status;
}

/* ---- Both ends of each set ----------------------------------------------------------------- */

static of_status write_image(const of_report *report, const of_report_image *image, FILE *file,
                             of_error *error) {
    char limit[OF_HTML_NUMBER];
    (void)fputs("<figure>", file);
    of_status status = write_pair(report, image, file, error);
    if (status != OF_OK)
        return status;
    (void)fputs("<figcaption title=\"", file);
    of_html_text(file, image->path);
    if (image->label[0] != '\0') {
        (void)fputs(", ", file);
        of_html_text(file, image->label);
    }
    (void)fputs("\"><strong>", file);
    write_value(image->value, file);
    (void)fprintf(file, "</strong> (\xc2\xb1%s)<br/>", of_html_number(image->limit, limit));
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

of_status of_page_images(const of_report *report, FILE *file, of_error *error) {
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
