/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the page. */
#include "report/chart_parts.h"
#include "report/html.h"
#include "report/page_parts.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A number with three digits after the point, if it is not out of all proportion. */
static void write_cell(FILE *file, double value) {
    char text[OF_HTML_NUMBER];
    if (fabs(value) < 1e6)
        (void)fprintf(file, "<td>%.3f</td>", value);
    else
        (void)fprintf(file, "<td>%s</td>", of_html_number(value, text));
}

void of_page_score_name(FILE *file, of_score score) {
    char name[32];
    of_score_name(score, name, sizeof name);
    of_html_text(file, name);
}

/* ---- Tables ------------------------------------------------------------------------------- */

static void open_table(const char *caption, const char *attributes, FILE *file) {
    (void)fprintf(file,
                  "<figure class=\"table\"><figcaption>%s</figcaption><div class=\"scroll\" "
                  "role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table%s>\n",
                  caption, caption, attributes);
}

void of_page_open_table(const char *caption, FILE *file) {
    open_table(caption, "", file);
}

void of_page_open_sortable(const char *caption, FILE *file) {
    open_table(caption, " class=\"sortable\"", file);
}

void of_page_close_table(FILE *file) {
    (void)fputs("</tbody></table></div></figure>\n", file);
}

enum { SHORT_NAME = 16 /* bytes */ };

/* The heading of a set's row or column. Only long names break, where there is no room for them. */
static void write_set_name(const char *scope, const of_report_set *set, FILE *file) {
    bool breaks = strlen(set->name) > SHORT_NAME;
    (void)fprintf(file, "<th scope=\"%s\">%s", scope, breaks ? "<span class=\"long\">" : "");
    of_html_text(file, set->name);
    (void)fputs(breaks ? "</span></th>" : "</th>", file);
}

static bool names_are_sources(const of_report *report) {
    for (size_t i = 0; i < report->set_count; i++)
        if (strcmp(report->sets[i].name, report->sets[i].source) != 0)
            return false;
    return true;
}

static void write_flagged(const of_report *report, const of_report_set *set, FILE *file) {
    const of_report_flags *flags = &set->flags[report->main_score];
    (void)fprintf(file, "<td>%" PRIu64 " (%.2f %%)</td>", flags->count, 100 * flags->share);
}

/* With an in set a table of its own says what is flagged. */
static bool with_flagged(const of_report *report) {
    return report->with_flags && !report->compared;
}

static bool with_drift(const of_report *report) {
    for (size_t i = 0; i < report->set_count; i++)
        if (!isnan(report->sets[i].drift))
            return true;
    return false;
}

static void write_set_row(const of_report *report, const of_report_set *set, FILE *file) {
    (void)fputs("<tr>", file);
    write_set_name("row", set, file);
    if (!names_are_sources(report)) {
        (void)fputs("<td class=\"text\">", file);
        of_html_text(file, set->source);
        (void)fputs("</td>", file);
    }
    (void)fprintf(file, "<td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td>", set->images,
                  set->unreadable, set->non_finite);
    if (with_flagged(report))
        write_flagged(report, set, file);
    if (with_drift(report))
        write_cell(file, set->drift);
    write_cell(file, set->mean_bits);
    if (report->with_general) {
        write_cell(file, set->mean_general_bits);
        write_cell(file, set->spearman);
        write_cell(file, set->pearson);
    }
    (void)fputs("</tr>\n", file);
}

static void write_set_heading(const of_report *report, FILE *file) {
    (void)fputs("<thead><tr><th scope=\"col\">set</th>", file);
    if (!names_are_sources(report))
        (void)fputs("<th scope=\"col\" class=\"text\">source</th>", file);
    (void)fputs("<th scope=\"col\">images</th><th scope=\"col\">unreadable</th>"
                "<th scope=\"col\">non-finite</th>",
                file);
    if (with_flagged(report))
        (void)fputs("<th scope=\"col\">flagged</th>", file);
    if (with_drift(report))
        (void)fputs("<th scope=\"col\">drift</th>", file);
    (void)fputs("<th scope=\"col\">bits/dim</th>", file);
    if (report->with_general)
        (void)fputs("<th scope=\"col\">general bits/dim</th><th scope=\"col\">Spearman</th>"
                    "<th scope=\"col\">Pearson</th>",
                    file);
    (void)fputs("</tr></thead><tbody>\n", file);
}

void of_page_sets(const of_report *report, FILE *file) {
    (void)fputs("<section aria-labelledby=\"sets\"><h2 id=\"sets\">Sets</h2>\n", file);
    of_page_open_table("What was scored; bits/dim is the mean over the images, lower is likelier",
                       file);
    write_set_heading(report, file);
    for (size_t i = 0; i < report->set_count; i++)
        write_set_row(report, &report->sets[i], file);
    of_page_close_table(file);
    if (with_drift(report))
        (void)fputs("<p class=\"note\">Drift is Kolmogorov's distance between the scores of a set "
                    "and those of the calibration's images: 0, they are alike; 1, they do not "
                    "overlap.</p>\n",
                    file);
    (void)fputs("</section>\n", file);
}

/* ---- Separation --------------------------------------------------------------------------- */

typedef double metric_of(const of_metrics *metrics);

static double auroc(const of_metrics *metrics) {
    return metrics->auroc;
}

static double aupr_out(const of_metrics *metrics) {
    return metrics->aupr_out;
}

static double aupr_in(const of_metrics *metrics) {
    return metrics->aupr_in;
}

static double fpr95(const of_metrics *metrics) {
    return metrics->fpr95;
}

static bool is_best(const of_report *report, const of_report_set *set, size_t score,
                    metric_of *metric, double sign) {
    for (size_t s = 0; s < report->score_count; s++)
        if (sign * metric(&set->metrics[s]) > sign * metric(&set->metrics[score]))
            return false;
    return true;
}

static void open_score_row(const of_report *report, size_t score, FILE *file) {
    (void)fprintf(file, "<tr%s><th scope=\"row\">",
                  score == report->main_score ? " class=\"main\"" : "");
    of_page_score_name(file, report->scores[score]);
    (void)fputs("</th>", file);
}

/* A row for each score, a column for each out set; the best of a column in bold. */
static void write_metric(const of_report *report, const char *caption, metric_of *metric,
                         double sign, FILE *file) {
    of_page_open_table(caption, file);
    (void)fputs("<thead><tr><th scope=\"col\">score</th>", file);
    for (size_t i = 1; i < report->set_count; i++)
        write_set_name("col", &report->sets[i], file);
    (void)fputs("</tr></thead><tbody>\n", file);
    for (size_t s = 0; s < report->score_count; s++) {
        open_score_row(report, s, file);
        for (size_t i = 1; i < report->set_count; i++) {
            const of_report_set *set = &report->sets[i];
            bool best = is_best(report, set, s, metric, sign);
            (void)fprintf(file, "<td%s>%.4f</td>", best ? " class=\"best\"" : "",
                          metric(&set->metrics[s]));
        }
        (void)fputs("</tr>\n", file);
    }
    of_page_close_table(file);
}

void of_page_metrics(const of_report *report, FILE *file) {
    (void)fputs("<section aria-labelledby=\"separation\"><h2 id=\"separation\">How well each score "
                "tells the sets apart</h2>\n",
                file);
    write_metric(
        report,
        "AUROC: share of the pairs of an image of the out set and one of the in set in which "
        "the former has the higher score; 1 is all, 0.5 chance, 0 none. Best of a column "
        "in bold",
        auroc, 1, file);
    (void)fputs("<details><summary>Average precision and false positive rate</summary>\n", file);
    write_metric(report, "AUPR-out: average precision, outliers as positives", aupr_out, 1, file);
    write_metric(report, "AUPR-in: average precision, images of the in set as positives", aupr_in,
                 1, file);
    write_metric(
        report,
        "FPR95: share of the in set flagged where 95 % of the outliers are; lower is better", fpr95,
        -1, file);
    (void)fputs("<p class=\"note\">", file);
    of_html_text(file, report->convention);
    (void)fputs("</p></details></section>\n", file);
}

/* ---- Flags -------------------------------------------------------------------------------- */

static void write_flag_row(const of_report *report, size_t score, FILE *file) {
    const of_report_flags *in = &report->sets[0].flags[score];
    open_score_row(report, score, file);
    (void)fprintf(file, "<td>%.4f</td><td>%.4f \xe2\x80\x93 %.4f</td>", in->share, in->low,
                  in->high);
    for (size_t i = 1; i < report->set_count; i++)
        (void)fprintf(file, "<td>%.4f</td>", report->sets[i].flags[score].share);
    (void)fputs("</tr>\n", file);
}

static void write_flag_heading(const of_report *report, FILE *file) {
    (void)fputs("<section aria-labelledby=\"flagged\"><h2 id=\"flagged\">Flagged at a ", file);
    if (report->rate > 0)
        (void)fprintf(file, "false-positive rate of %g</h2>\n", report->rate);
    else
        (void)fprintf(file, "threshold of %g</h2>\n", report->threshold);
}

static void describe_flags(const of_report *report, char *caption, size_t size) {
    char rule[80];
    if (report->rate > 0)
        (void)snprintf(rule, sizeof rule, "with a p-value of at most %g", report->rate);
    else
        (void)snprintf(rule, sizeof rule, "at or above %g, or not finite", report->threshold);
    (void)snprintf(caption, size,
                   "Share of each set %s, and the exact %g %% interval of the in set's", rule,
                   100 * report->confidence);
}

/* Scores under which nothing can be flagged have no row. */
void of_page_flags(const of_report *report, FILE *file) {
    char caption[200];
    if (!report->with_flags)
        return;
    write_flag_heading(report, file);
    describe_flags(report, caption, sizeof caption);
    of_page_open_table(caption, file);
    (void)fputs("<thead><tr><th scope=\"col\">score</th>", file);
    write_set_name("col", &report->sets[0], file);
    (void)fprintf(file, "<th scope=\"col\">%g %% interval</th>", 100 * report->confidence);
    for (size_t i = 1; i < report->set_count; i++)
        write_set_name("col", &report->sets[i], file);
    (void)fputs("</tr></thead><tbody>\n", file);
    for (size_t s = 0; s < report->score_count; s++)
        if (report->sets[0].flags[s].known)
            write_flag_row(report, s, file);
    of_page_close_table(file);
    (void)fputs("</section>\n", file);
}

/* ---- Scales ------------------------------------------------------------------------------- */

void of_page_scale_table(const of_report *report, FILE *file) {
    double unit = (double)of_architecture_dimensions(&report->architecture) * log(2);
    char caption[192];
    (void)snprintf(caption, sizeof caption,
                   "Mean share of each scale in bits/dim, \xe2\x88\x92"
                   "contribution/(D ln 2); with %.6g, the bits of a value, they sum to bits/dim",
                   of_bits_per_dim(&report->architecture, 0));
    of_page_open_table(caption, file);
    (void)fputs("<thead><tr><th scope=\"col\">set</th>", file);
    for (size_t s = 0; s < report->score_count; s++)
        if (report->scores[s].kind == OF_SCORE_SCALE)
            (void)fprintf(file, "<th scope=\"col\">scale %" PRIu32 "</th>",
                          report->scores[s].scale);
    (void)fputs("</tr></thead><tbody>\n", file);
    for (size_t i = 0; i < report->set_count; i++) {
        (void)fputs("<tr>", file);
        write_set_name("row", &report->sets[i], file);
        for (size_t s = 0; s < report->score_count; s++)
            if (report->scores[s].kind == OF_SCORE_SCALE)
                write_cell(file,
                           of_chart_mean(report->sets[i].scores[s], report->sets[i].images) / unit);
        (void)fputs("</tr>\n", file);
    }
    of_page_close_table(file);
}
