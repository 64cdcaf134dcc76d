/* SPDX-License-Identifier: Apache-2.0 */
/* Findings as one HTML page: the verdict, how many of each kind, and all of them with pictures. */
#include "clean/cleaning.h"
#include "core/error.h"
#include "report/html.h"
#include "report/page_parts.h"
#include "report/script.h"
#include "report/style.h"

#include <inttypes.h>
#include <math.h>

enum { PICTURE_SIDE = 96, PICTURE_MOST = 128 };

static const char *const meanings[OF_CLEAN_ISSUES] = {
    "the same picture has another label elsewhere: one of the two is wrong",
    "the same picture, or nearly, is in both sets: what is measured on it is too good",
    "cannot be read",
    "of one colour, or nearly",
    "the same picture twice, with the same label",
    "another class fits better than its own",
    "unlike its class and every other one",
    "nearly the same picture twice",
    "much larger, smaller, wider or higher than others",
    "looks misfiled, but as many images of a clean set would"};

static void write_head(const of_cleaning *cleaning, FILE *file) {
    (void)fprintf(file,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "img-src data:; style-src 'unsafe-inline'; script-src '%s'\"/>\n"
                  "<title>Cleaning of ",
                  of_script_sort_hash);
    of_html_text(file, cleaning->sources[0]);
    (void)fprintf(file,
                  "</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n<h1>Cleaning of ",
                  of_style_charts, of_style_page);
    of_html_text(file, cleaning->sources[0]);
    if (cleaning->sources[1] != NULL) {
        (void)fputs(" and ", file);
        of_html_text(file, cleaning->sources[1]);
    }
    (void)fputs("</h1>\n", file);
}

static void write_verdict(const of_cleaning *cleaning, FILE *file) {
    const of_clean_summary *summary = &cleaning->summary;
    uint64_t sure = cleaning->entry_count - summary->found[OF_CLEAN_SUSPECT];
    (void)fprintf(file,
                  "<p class=\"verdict\"><strong>%" PRIu64 " finding%s in %" PRIu64
                  " images of %zu classes.</strong> ",
                  sure, sure == 1 ? "" : "s", summary->images, summary->classes);
    if (summary->judged == 0)
        (void)fprintf(
            file,
            "Whether images are in the right class was not judged: that takes two classes "
            "of %d images and more.",
            (int)OF_CLEAN_LEAST);
    else
        (void)fprintf(file,
                      "Of those called misfiled or outliers, about %g %% are called so wrongly if "
                      "most images of a class are alike; more where classes overlap.",
                      100 * cleaning->options.rate);
    if (summary->alike)
        (void)fputs(" Most images are nearly another one, so near copies are not listed.", file);
    (void)fputs("</p>\n", file);
}

static void write_counts(const of_cleaning *cleaning, FILE *file) {
    of_page_open_table("What was found, the surest first", file);
    (void)fputs("<thead><tr><th scope=\"col\">issue</th><th scope=\"col\">findings</th>"
                "<th scope=\"col\" class=\"text\">meaning</th></tr></thead><tbody>\n",
                file);
    for (size_t i = 0; i < OF_CLEAN_ISSUES; i++)
        if (cleaning->summary.found[i] > 0)
            (void)fprintf(file,
                          "<tr><th scope=\"row\">%s</th><td>%" PRIu64
                          "</td><td class=\"text\">%s</td></tr>\n",
                          of_clean_issue_name((of_clean_issue)i), cleaning->summary.found[i],
                          meanings[i]);
    of_page_close_table(file);
}

/* ---- Findings ------------------------------------------------------------------------------ */

static of_status write_picture(const of_cleaning *cleaning, size_t image, FILE *file,
                               of_error *error) {
    const of_survey *survey = &cleaning->survey;
    const of_heated_image shown = {.pixels = of_survey_pixels(survey, image),
                                   .channels = OF_SURVEY_CHANNELS,
                                   .height = survey->height,
                                   .width = survey->width};
    of_picture picture;
    of_status status =
        of_picture_plain(&shown, of_picture_factor(survey->height, survey->width, PICTURE_SIDE),
                         PICTURE_MOST, &picture, error);
    if (status != OF_OK)
        return status;
    (void)fputs("<img alt=\"\" src=\"", file);
    status = of_html_picture(file, &picture, error);
    (void)fputs("\"/>", file);
    of_picture_free(&picture);
    return status;
}

static of_status write_pictures(const of_cleaning *cleaning, size_t index, FILE *file,
                                of_error *error) {
    const of_clean_entry *entry = &cleaning->entries[index];
    of_status status = OF_OK;
    (void)fputs("<td>", file);
    if (entry->issue != OF_CLEAN_UNREADABLE && index < OF_CLEAN_PICTURES) {
        (void)fputs("<div class=\"pair\">", file);
        status = write_picture(cleaning, entry->image, file, error);
        if (status == OF_OK && entry->duplicate != UINT32_MAX)
            status = write_picture(cleaning, entry->duplicate, file, error);
        (void)fputs("</div>", file);
    }
    (void)fputs("</td>", file);
    return status;
}

static void write_text(const char *text, FILE *file) {
    (void)fputs("<td class=\"text\">", file);
    of_html_text(file, text);
    (void)fputs("</td>", file);
}

/* Short, and not broken. */
static void write_word(const char *word, FILE *file) {
    (void)fputs("<td>", file);
    of_html_text(file, word);
    (void)fputs("</td>", file);
}

static of_status write_row(const of_cleaning *cleaning, size_t index, FILE *file, of_error *error) {
    const of_clean_finding finding = of_cleaning_finding(cleaning, index);
    char number[OF_HTML_NUMBER];
    (void)fprintf(file, "<tr><td data-value=\"%zu\">%zu</td>", index, index + 1);
    of_status status = write_pictures(cleaning, index, file, error);
    write_word(of_clean_issue_name(finding.issue), file);
    write_text(finding.path, file);
    write_word(finding.label, file);
    write_word(finding.suggested, file);
    (void)fprintf(file, "<td data-value=\"%g\">%s</td>",
                  isnan(finding.p_value) ? -1 : finding.p_value,
                  isnan(finding.p_value) ? "" : of_html_number(finding.p_value, number));
    (void)fputs("<td class=\"text\">", file);
    of_html_text(file, finding.duplicate_of);
    if (finding.duplicate_label[0] != '\0') {
        (void)fputs(" (", file);
        of_html_text(file, finding.duplicate_label);
        (void)fputs(")", file);
    }
    (void)fputs("</td>", file);
    write_text(finding.notes, file);
    (void)fputs("</tr>\n", file);
    return status;
}

static of_status write_findings(const of_cleaning *cleaning, FILE *file, of_error *error) {
    static const char *const columns[] = {"no.",       "picture", "issue",        "path", "label",
                                          "suggested", "p-value", "duplicate of", "notes"};
    of_status status = OF_OK;
    if (cleaning->entry_count == 0)
        return OF_OK;
    of_page_open_sortable("All findings; a click on a heading sorts", file);
    (void)fputs("<thead><tr>", file);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        (void)fprintf(file, "<th scope=\"col\"%s><button type=\"button\">%s</button></th>",
                      i == 3 || i >= 7 ? " class=\"text\"" : "", columns[i]);
    (void)fputs("</tr></thead><tbody>\n", file);
    for (size_t i = 0; status == OF_OK && i < cleaning->entry_count; i++)
        status = write_row(cleaning, i, file, error);
    of_page_close_table(file);
    return status;
}

of_status of_cleaning_write_report(const of_cleaning *cleaning, const char *command, FILE *file,
                                   of_error *error) {
    write_head(cleaning, file);
    write_verdict(cleaning, file);
    write_counts(cleaning, file);
    of_status status = write_findings(cleaning, file, error);
    if (command != NULL) {
        (void)fputs("<h2>How this was made</h2>\n<pre>", file);
        of_html_text(file, command);
        (void)fputs("</pre>\n", file);
    }
    (void)fprintf(file, "</main>\n<script>%s</script>\n</body>\n</html>\n", of_script_sort);
    return status;
}
