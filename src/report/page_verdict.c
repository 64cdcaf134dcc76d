/* SPDX-License-Identifier: Apache-2.0 */
/* The first lines of the page: what a reader who reads no further should know. */
#include "report/html.h"
#include "report/page_parts.h"

#include <inttypes.h>
#include <math.h>

/* ---- All sets together ---------------------------------------------------------------------- */

static uint64_t count_images(const of_report *report) {
    uint64_t images = 0;
    for (size_t i = 0; i < report->set_count; i++)
        images += report->sets[i].images;
    return images;
}

static uint64_t count_unreadable(const of_report *report) {
    uint64_t unreadable = 0;
    for (size_t i = 0; i < report->set_count; i++)
        unreadable += report->sets[i].unreadable;
    return unreadable;
}

/* ---- How much is flagged ------------------------------------------------------------------- */

static void write_rule(const of_report *report, FILE *file) {
    char threshold[OF_HTML_NUMBER];
    (void)fputs(": those whose ", file);
    if (report->rate > 0)
        (void)fputs("p-value of ", file);
    (void)fputs("<em>", file);
    of_page_score_name(file, report->scores[report->main_score]);
    (void)fputs("</em>", file);
    if (report->rate > 0)
        (void)fprintf(file, " is at most %g. Of normal images, at most %g %% would be.",
                      report->rate, 100 * report->rate);
    else
        (void)fprintf(file, " is at or above %s, or not finite.",
                      of_html_number(report->threshold, threshold));
}

static void write_flagged(const of_report *report, FILE *file) {
    uint64_t flagged = 0;
    for (size_t i = 0; i < report->set_count; i++)
        flagged += report->sets[i].flags[report->main_score].count;
    (void)fprintf(file, "<strong>%" PRIu64 " of %" PRIu64 " images are flagged</strong>", flagged,
                  count_images(report));
    write_rule(report, file);
}

/* Nothing decides: the reader looks at the order. */
static void write_ordered(const of_report *report, FILE *file) {
    (void)fprintf(file, "%" PRIu64 " images, ordered by <em>", count_images(report));
    of_page_score_name(file, report->scores[report->main_score]);
    (void)fputs("</em>; no rule was given that flags some of them.", file);
}

/* ---- How well sets are told apart ----------------------------------------------------------- */

static void write_separation(const of_report *report, FILE *file) {
    double least = 1, most = 0;
    for (size_t i = 1; i < report->set_count; i++) {
        double auroc = report->sets[i].metrics[report->main_score].auroc;
        least = fmin(least, auroc);
        most = fmax(most, auroc);
    }
    (void)fputs("<em>", file);
    of_page_score_name(file, report->scores[report->main_score]);
    (void)fputs("</em> tells <strong>", file);
    of_html_text(file, report->sets[0].name);
    (void)fputs("</strong> from ", file);
    if (report->set_count == 2)
        of_html_text(file, report->sets[1].name);
    else
        (void)fprintf(file, "%zu other sets", report->set_count - 1);
    (void)fprintf(file, " with an AUROC of <strong>%.3f</strong>", least);
    if (most > least)
        (void)fprintf(file, " to <strong>%.3f</strong>", most);
    (void)fputs(" (1: always, 0.5: by chance).", file);
}

/* ---- Drift --------------------------------------------------------------------------------- */

static void write_drift(const of_report *report, FILE *file) {
    for (size_t i = 0; i < report->set_count; i++) {
        const of_report_set *set = &report->sets[i];
        if (!set->drifted)
            continue;
        (void)fputs(" As a whole, <strong>", file);
        of_html_text(file, set->name);
        (void)fprintf(
            file,
            "</strong> scores unlike the calibration's images (Kolmogorov distance %.2f): "
            "if it should be normal, what makes these images has changed.",
            set->drift);
    }
}

/* ---- What could not be read ----------------------------------------------------------------- */

static void write_unreadable(const of_report *report, FILE *file) {
    uint64_t unreadable = count_unreadable(report);
    if (unreadable == 0)
        return;
    (void)fprintf(file, " <strong>%" PRIu64 " file%s could not be read</strong>", unreadable,
                  unreadable == 1 ? "" : "s");
    (void)fputs(report->faults > 0 ? " (<a href=\"#unreadable\">which</a>)." : ".", file);
}

void of_page_verdict(const of_report *report, FILE *file) {
    bool decides = report->with_flags && report->set_count > 0 &&
                   report->sets[0].flags[report->main_score].known;
    (void)fputs("<p class=\"verdict\">", file);
    if (report->compared && report->set_count > 1)
        write_separation(report, file);
    else if (decides)
        write_flagged(report, file);
    else
        write_ordered(report, file);
    write_drift(report, file);
    write_unreadable(report, file);
    (void)fputs("</p>\n", file);
}

/* ---- The list of them ------------------------------------------------------------------------ */

static void write_faults(const of_report *report, const of_report_set *set, FILE *file) {
    for (size_t i = 0; i < set->fault_count; i++) {
        (void)fputs("<tr>", file);
        if (report->set_count > 1) {
            (void)fputs("<td class=\"text\">", file);
            of_html_text(file, set->name);
            (void)fputs("</td>", file);
        }
        (void)fputs("<td class=\"text\">", file);
        of_html_text(file, set->faults[i].path);
        (void)fputs("</td><td class=\"text\">", file);
        of_html_text(file, set->faults[i].reason);
        (void)fputs("</td></tr>\n", file);
    }
}

void of_page_unreadable(const of_report *report, FILE *file) {
    uint64_t unreadable = count_unreadable(report);
    char caption[96];
    if (report->faults == 0)
        return;
    (void)fputs("<section aria-labelledby=\"unreadable\"><h2 id=\"unreadable\">Unreadable "
                "files</h2>\n",
                file);
    if (unreadable > report->faults)
        (void)snprintf(caption, sizeof caption, "The first %zu of %" PRIu64, report->faults,
                       unreadable);
    else
        (void)snprintf(caption, sizeof caption, "All %zu, and why", report->faults);
    of_page_open_table(caption, file);
    (void)fprintf(file,
                  "<thead><tr>%s<th scope=\"col\" class=\"text\">path</th>"
                  "<th scope=\"col\" class=\"text\">reason</th></tr></thead><tbody>\n",
                  report->set_count > 1 ? "<th scope=\"col\" class=\"text\">set</th>" : "");
    for (size_t i = 0; i < report->set_count; i++)
        write_faults(report, &report->sets[i], file);
    of_page_close_table(file);
    (void)fputs("</section>\n", file);
}
