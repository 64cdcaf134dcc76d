/* SPDX-License-Identifier: Apache-2.0 */
/* The result of `outflow eval` for people and for programs. */
#include "cli/eval_sets.h"

#include "cli/eval_compare.h"
#include "cli/terminal/help.h"
#include "cli/terminal/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { NAME_WIDTH = 16, HUMAN_NAME = 31 };

static bool has_general(const of_evaluation *evaluation) {
    return evaluation->engine->general != NULL;
}

static double bits(const of_evaluation *evaluation, double logp) {
    return of_bits_per_dim(&evaluation->engine->architecture, logp);
}

static of_plan_info plan_info(const of_evaluation *evaluation) {
    return of_plan_describe(evaluation->engine->plan);
}

/* ---- Tables ------------------------------------------------------------------------------- */

static void print_set(const of_evaluation *evaluation, const of_eval_set *set, FILE *file) {
    (void)fprintf(file, "%-*s %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %9.4f %12.2f", NAME_WIDTH,
                  set->name, set->tally.images, set->tally.unreadable, set->non_finite,
                  bits(evaluation, set->mean_logp), set->mean_logp);
    if (has_general(evaluation))
        (void)fprintf(file, " %11.4f %12.2f %9.4f", bits(evaluation, set->mean_general_logp),
                      set->mean_general_logp, set->rank_correlation);
    (void)fputc('\n', file);
}

static void print_sets(const of_evaluation *evaluation, FILE *file) {
    (void)fprintf(file, "%-*s %8s %10s %10s %9s %12s", NAME_WIDTH, "set", "images", "unreadable",
                  "non-finite", "bits/dim", "mean logp");
    if (has_general(evaluation))
        (void)fprintf(file, " %11s %12s %9s", "general b/d", "general logp", "rank corr");
    (void)fputc('\n', file);
    for (size_t i = 0; i < evaluation->set_count; i++)
        print_set(evaluation, &evaluation->sets[i], file);
    if (has_general(evaluation))
        (void)fprintf(file,
                      "Rank correlation of the two models' log-likelihoods over all sets: %.4f\n",
                      evaluation->rank_correlation);
}

static void print_metrics(const of_evaluation *evaluation, const of_eval_set *set, FILE *file) {
    (void)fprintf(file, "\n%-*s %8s %9s %9s %8s\n", NAME_WIDTH, set->name, "AUROC", "AUPR-out",
                  "AUPR-in", "FPR95");
    for (size_t i = 0; i < evaluation->score_count; i++) {
        const of_metrics *metrics = &set->metrics[i];
        char name[HUMAN_NAME + 1];
        of_score_name(evaluation->scores[i], name, sizeof name);
        (void)fprintf(file, "  %-*s %8.4f %9.4f %9.4f %8.4f\n", NAME_WIDTH - 2, name,
                      metrics->auroc, metrics->aupr_out, metrics->aupr_in, metrics->fpr95);
    }
}

/* A line for each score with p-values: the share of each set that is flagged. */
static void print_flags(const of_evaluation *evaluation, FILE *file) {
    if (evaluation->rate == 0)
        return;
    (void)fprintf(file, "\nflagged at a false-positive rate of %g\n%-*s %8s  %-16s",
                  evaluation->rate, NAME_WIDTH, "", "in", "99 % interval");
    for (size_t i = 1; i < evaluation->set_count; i++)
        (void)fprintf(file, " %8s", evaluation->sets[i].name);
    (void)fputc('\n', file);
    for (size_t i = 0; i < evaluation->score_count; i++) {
        char name[HUMAN_NAME + 1];
        of_interval interval;
        if (!evaluation->with_p_value[i])
            continue;
        of_score_name(evaluation->scores[i], name, sizeof name);
        double share = of_evaluation_flagged(&evaluation->sets[0], i, &interval);
        (void)fprintf(file, "  %-*s %8.4f  %.4f - %.4f ", NAME_WIDTH - 2, name, share, interval.low,
                      interval.high);
        for (size_t k = 1; k < evaluation->set_count; k++)
            (void)fprintf(file, " %8.4f",
                          of_evaluation_flagged(&evaluation->sets[k], i, &interval));
        (void)fputc('\n', file);
    }
}

void of_evaluation_print(const of_evaluation *evaluation, FILE *file) {
    of_plan_info info = plan_info(evaluation);
    print_sets(evaluation, file);
    for (size_t i = 1; i < evaluation->set_count; i++)
        print_metrics(evaluation, &evaluation->sets[i], file);
    print_flags(evaluation, file);
    (void)fprintf(file, "\n%.1f images/s with %u thread%s, %s, %s\n",
                  of_evaluation_rate(evaluation), info.threads, info.threads == 1 ? "" : "s",
                  of_isa_name(info.isa), of_precision_name(info.precision));
    if (evaluation->bf16 != NULL)
        of_comparison_print(evaluation, evaluation->bf16, file);
    (void)fputs("Convention:", file);
    of_help_wrap(file, of_eval_convention, 11, 0);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void write_set_facts(of_json *json, const char *key, const of_eval_set *set) {
    of_json_object(json, key);
    of_json_text(json, "source", set->source);
    of_json_count(json, "images", set->tally.images);
    of_json_count(json, "unreadable", set->tally.unreadable);
    of_json_count(json, "non_finite", set->non_finite);
    of_json_end(json);
}

static void write_metrics(of_json *json, const char *key, const of_metrics *metrics) {
    of_json_object(json, key);
    of_json_real(json, "auroc", metrics->auroc);
    of_json_real(json, "aupr_in", metrics->aupr_in);
    of_json_real(json, "aupr_out", metrics->aupr_out);
    of_json_real(json, "fpr95", metrics->fpr95);
    of_json_count(json, "non_finite_in", metrics->non_finite_in);
    of_json_count(json, "non_finite_out", metrics->non_finite_out);
    of_json_end(json);
}

static void write_out_sets(of_json *json, const of_evaluation *evaluation) {
    of_json_object(json, "out");
    for (size_t i = 1; i < evaluation->set_count; i++) {
        const of_eval_set *set = &evaluation->sets[i];
        of_json_object(json, set->name);
        for (size_t j = 0; j < evaluation->score_count; j++) {
            char name[HUMAN_NAME + 1];
            of_score_name(evaluation->scores[j], name, sizeof name);
            write_metrics(json, name, &set->metrics[j]);
        }
        of_json_end(json);
    }
    of_json_end(json);
    of_json_object(json, "out_sets");
    for (size_t i = 1; i < evaluation->set_count; i++)
        write_set_facts(json, evaluation->sets[i].name, &evaluation->sets[i]);
    of_json_end(json);
}

static void write_flagged(of_json *json, const of_evaluation *evaluation, size_t score) {
    of_interval interval;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        const of_eval_set *set = &evaluation->sets[i];
        of_json_object(json, set->name);
        of_json_count(json, "flagged", set->flagged[score]);
        of_json_real(json, "share", of_evaluation_flagged(set, score, &interval));
        of_json_real(json, "low", interval.low);
        of_json_real(json, "high", interval.high);
        of_json_end(json);
    }
}

/* {"rate", "confidence", "scores": {SCORE: {SET: {"flagged", "share", "low", "high"}}}} */
static void write_rates(of_json *json, const of_evaluation *evaluation) {
    of_json_object(json, "flagged");
    of_json_real(json, "rate", evaluation->rate);
    of_json_real(json, "confidence", OF_EVAL_CONFIDENCE);
    of_json_object(json, "scores");
    for (size_t i = 0; i < evaluation->score_count; i++) {
        char name[HUMAN_NAME + 1];
        if (!evaluation->with_p_value[i])
            continue;
        of_score_name(evaluation->scores[i], name, sizeof name);
        of_json_object(json, name);
        write_flagged(json, evaluation, i);
        of_json_end(json);
    }
    of_json_end(json);
    of_json_end(json);
}

typedef double set_value(const of_evaluation *evaluation, const of_eval_set *set);

static double set_bits(const of_evaluation *evaluation, const of_eval_set *set) {
    return bits(evaluation, set->mean_logp);
}

static double set_logp(const of_evaluation *evaluation, const of_eval_set *set) {
    (void)evaluation;
    return set->mean_logp;
}

static double set_general_bits(const of_evaluation *evaluation, const of_eval_set *set) {
    return bits(evaluation, set->mean_general_logp);
}

static double set_general_logp(const of_evaluation *evaluation, const of_eval_set *set) {
    (void)evaluation;
    return set->mean_general_logp;
}

static double set_correlation(const of_evaluation *evaluation, const of_eval_set *set) {
    (void)evaluation;
    return set->rank_correlation;
}

/* {"KEY": {NAME: value of each set}} */
static void write_per_set(of_json *json, const char *key, const of_evaluation *evaluation,
                          set_value *value) {
    of_json_object(json, key);
    for (size_t i = 0; i < evaluation->set_count; i++)
        of_json_real(json, evaluation->sets[i].name, value(evaluation, &evaluation->sets[i]));
    of_json_end(json);
}

static void write_general(of_json *json, const of_evaluation *evaluation) {
    write_per_set(json, "bits_per_dim_general", evaluation, set_general_bits);
    write_per_set(json, "mean_logp_general", evaluation, set_general_logp);
    write_per_set(json, "rank_correlation", evaluation, set_correlation);
    of_json_real(json, "rank_correlation_all", evaluation->rank_correlation);
}

static void write_run(of_json *json, const of_evaluation *evaluation) {
    of_plan_info info = plan_info(evaluation);
    of_json_real(json, "images_per_second", of_evaluation_rate(evaluation));
    of_json_text(json, "convention", of_eval_convention);
    of_json_text(json, "model", evaluation->engine->settings->model);
    of_json_text(json, "general_model", evaluation->engine->settings->general);
    of_json_text(json, "version", of_version());
    of_json_text(json, "isa", of_isa_name(info.isa));
    of_json_text(json, "precision", of_precision_name(info.precision));
    of_json_count(json, "threads", info.threads);
}

of_status of_evaluation_write_json(const of_evaluation *evaluation, FILE *file, of_error *error) {
    of_json *json = NULL;
    of_status status = of_json_create(file, true, &json, error);
    if (status != OF_OK)
        return status;
    of_json_object(json, NULL);
    write_set_facts(json, "in", &evaluation->sets[0]);
    write_out_sets(json, evaluation);
    write_per_set(json, "bits_per_dim", evaluation, set_bits);
    write_per_set(json, "mean_logp", evaluation, set_logp);
    if (has_general(evaluation))
        write_general(json, evaluation);
    if (evaluation->rate > 0)
        write_rates(json, evaluation);
    if (evaluation->bf16 != NULL)
        of_comparison_write_json(evaluation, evaluation->bf16, json);
    write_run(json, evaluation);
    of_json_end(json);
    of_json_free(json);
    return OF_OK;
}
