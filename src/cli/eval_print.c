/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_print.h"

#include "cli/terminal/help.h"

#include <inttypes.h>
#include <math.h>

enum { NAME_WIDTH = 16, SCORE_NAME = 32 };

static const char *score_name(const of_evaluation *evaluation, size_t score,
                              char name[SCORE_NAME]) {
    of_score_name(of_evaluation_scores(evaluation, NULL)[score], name, SCORE_NAME);
    return name;
}

static size_t count_scores(const of_evaluation *evaluation) {
    size_t count;
    (void)of_evaluation_scores(evaluation, &count);
    return count;
}

static const char *set_name(const of_evaluation *evaluation, size_t set) {
    return of_evaluation_get_set(evaluation, set).name;
}

/* ---- Sets -------------------------------------------------------------------------------------
 */

static void print_set(const of_evaluation_set *set, bool with_general, FILE *file) {
    (void)fprintf(file, "%-*s %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %9.4f %12.2f", NAME_WIDTH,
                  set->name, set->stream.images, set->stream.unreadable, set->non_finite,
                  set->bits_per_dim, set->mean_logp);
    if (with_general)
        (void)fprintf(file, " %11.4f %12.2f %9.4f", set->general_bits_per_dim,
                      set->mean_general_logp, set->rank_correlation);
    (void)fputc('\n', file);
}

static void print_sets(const of_evaluation *evaluation, FILE *file) {
    of_evaluation_summary summary = of_evaluation_summarise(evaluation);
    (void)fprintf(file, "%-*s %8s %10s %10s %9s %12s", NAME_WIDTH, "set", "images", "unreadable",
                  "non-finite", "bits/dim", "mean logp");
    if (summary.with_general)
        (void)fprintf(file, " %11s %12s %9s", "general b/d", "general logp", "rank corr");
    (void)fputc('\n', file);
    for (size_t i = 0; i < of_evaluation_set_count(evaluation); i++) {
        of_evaluation_set set = of_evaluation_get_set(evaluation, i);
        print_set(&set, summary.with_general, file);
    }
    if (summary.with_general)
        (void)fprintf(file,
                      "Rank correlation of the two models' log-likelihoods over all sets: %.4f\n",
                      summary.rank_correlation);
}

static void print_metrics(const of_evaluation *evaluation, size_t set, FILE *file) {
    (void)fprintf(file, "\n%-*s %8s %9s %9s %8s\n", NAME_WIDTH, set_name(evaluation, set), "AUROC",
                  "AUPR-out", "AUPR-in", "FPR95");
    for (size_t i = 0; i < count_scores(evaluation); i++) {
        const of_metrics *metrics = of_evaluation_metrics(evaluation, set, i);
        char name[SCORE_NAME];
        (void)fprintf(file, "  %-*s %8.4f %9.4f %9.4f %8.4f\n", NAME_WIDTH - 2,
                      score_name(evaluation, i, name), metrics->auroc, metrics->aupr_out,
                      metrics->aupr_in, metrics->fpr95);
    }
}

/* ---- Flags ------------------------------------------------------------------------------------
 */

static void print_flag_row(const of_evaluation *evaluation, size_t score, FILE *file) {
    of_evaluation_flags in = of_evaluation_get_flags(evaluation, 0, score);
    char name[SCORE_NAME];
    if (!in.known)
        return;
    (void)fprintf(file, "  %-*s %8.4f  %.4f - %.4f ", NAME_WIDTH - 2,
                  score_name(evaluation, score, name), in.share, in.low, in.high);
    for (size_t k = 1; k < of_evaluation_set_count(evaluation); k++)
        (void)fprintf(file, " %8.4f", of_evaluation_get_flags(evaluation, k, score).share);
    (void)fputc('\n', file);
}

/* A line for each score with p-values: the share of each set that is flagged. */
static void print_flags(const of_evaluation *evaluation, FILE *file) {
    double rate = of_evaluation_summarise(evaluation).rate;
    if (rate == 0)
        return;
    (void)fprintf(file, "\nflagged at a false-positive rate of %g\n%-*s %8s  %-16s", rate,
                  NAME_WIDTH, "", "in", "99 % interval");
    for (size_t i = 1; i < of_evaluation_set_count(evaluation); i++)
        (void)fprintf(file, " %8s", set_name(evaluation, i));
    (void)fputc('\n', file);
    for (size_t i = 0; i < count_scores(evaluation); i++)
        print_flag_row(evaluation, i, file);
}

/* ---- Pixels ------------------------------------------------------------------------------------
 */

/* A line for each set with masks, then for all of them together. */
static void print_pixels(const of_evaluation *evaluation, FILE *file) {
    char name[SCORE_NAME];
    size_t sets = of_evaluation_set_count(evaluation);
    if (!of_evaluation_get_pixels(evaluation, 0).known)
        return;
    (void)fprintf(file, "\nheat of %s in masks\n%-*s %8s %8s %9s %8s\n",
                  score_name(evaluation, of_evaluation_main_score(evaluation), name), NAME_WIDTH,
                  "", "AUROC", "AUPRO", "pictures", "no mask");
    for (size_t i = 1; i <= sets; i++) {
        of_evaluation_pixels found = of_evaluation_get_pixels(evaluation, i % sets);
        if (found.known)
            (void)fprintf(file, "  %-*s %8.4f %8.4f %9" PRIu64 " %8" PRIu64 "\n", NAME_WIDTH - 2,
                          i < sets ? set_name(evaluation, i) : "all", found.metrics.auroc,
                          found.metrics.aupro, found.pictures, found.without_mask);
    }
}

/* ---- What another precision changes ------------------------------------------------------------
 */

/* Two evaluations of the same sets, and what the second one is called. */
typedef struct comparison {
    const of_evaluation *f32, *reduced;
    const char *name;
} comparison;

static void print_changes(const comparison *c, FILE *file) {
    char title[NAME_WIDTH + 1], column[16];
    (void)snprintf(title, sizeof title, "%s against f32", c->name);
    (void)snprintf(column, sizeof column, "%s b/d", c->name);
    (void)fprintf(file, "\n%-*s %8s %9s %9s %10s %11s %11s %11s\n", NAME_WIDTH, title, "images",
                  "f32 b/d", column, "change", "mean nats", "mean |nats|", "max |nats|");
    for (size_t i = 0; i < of_evaluation_set_count(c->f32); i++) {
        of_set_change change = of_evaluation_change(c->f32, c->reduced, i);
        (void)fprintf(file, "%-*s %8" PRIu64 " %9.4f %9.4f %+10.6f %+11.4f %11.4f %11.4f\n",
                      NAME_WIDTH, set_name(c->f32, i), change.images, change.before_bits_per_dim,
                      change.after_bits_per_dim,
                      change.after_bits_per_dim - change.before_bits_per_dim, change.mean_nats,
                      change.mean_abs_nats, change.max_abs_nats);
    }
}

static void print_aurocs(const comparison *c, size_t set, FILE *file) {
    (void)fprintf(file, "\n%-*s %9s %9s %10s\n", NAME_WIDTH, set_name(c->f32, set), "f32 AUROC",
                  c->name, "change");
    for (size_t i = 0; i < count_scores(c->f32); i++) {
        double before = of_evaluation_metrics(c->f32, set, i)->auroc;
        double after = of_evaluation_metrics(c->reduced, set, i)->auroc;
        char name[SCORE_NAME];
        (void)fprintf(file, "  %-*s %9.4f %9.4f %+10.6f\n", NAME_WIDTH - 2,
                      score_name(c->f32, i, name), before, after, after - before);
    }
}

static void print_comparison(const comparison *c, FILE *file) {
    print_changes(c, file);
    for (size_t i = 1; i < of_evaluation_set_count(c->f32); i++)
        print_aurocs(c, i, file);
    (void)fprintf(file, "\n%.1f images/s in f32, %.1f in %s\n",
                  of_evaluation_summarise(c->f32).images_per_second,
                  of_evaluation_summarise(c->reduced).images_per_second, c->name);
}

/* ---- All --------------------------------------------------------------------------------------
 */

void of_eval_print(const of_evaluation *evaluation, const of_evaluation *reduced,
                   of_precision precision, const of_plan_info *plan, FILE *file) {
    of_evaluation_summary summary = of_evaluation_summarise(evaluation);
    print_sets(evaluation, file);
    for (size_t i = 1; i < of_evaluation_set_count(evaluation); i++)
        print_metrics(evaluation, i, file);
    print_flags(evaluation, file);
    print_pixels(evaluation, file);
    (void)fprintf(file, "\n%.1f images/s with %u thread%s, %s, %s\n", summary.images_per_second,
                  plan->threads, plan->threads == 1 ? "" : "s", of_isa_name(plan->isa),
                  of_precision_name(plan->precision));
    if (reduced != NULL)
        print_comparison(&(comparison){evaluation, reduced, of_precision_name(precision)}, file);
    (void)fputs("Convention:", file);
    of_help_wrap(file, summary.convention, 11, 0);
}
