/* SPDX-License-Identifier: Apache-2.0 */
/* All numbers of an evaluation, for programs. */
#include "evaluate/comparison.h"

#include "core/error.h"

static void write_set_facts(of_json *json, const char *key, const of_image_set *set) {
    of_json_object(json, key);
    of_json_text(json, "source", set->source);
    of_json_count(json, "images", set->stream.images);
    of_json_count(json, "unreadable", set->stream.unreadable);
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

/* {"KEY": {NAME: facts of each set from number `first` on}} */
static void write_sets(of_json *json, const char *key, const of_evaluation *evaluation,
                       size_t first) {
    of_json_object(json, key);
    for (size_t i = first; i < evaluation->set_count; i++)
        write_set_facts(json, evaluation->sets[i].name, &evaluation->sets[i]);
    of_json_end(json);
}

static void write_comparison(of_json *json, const of_evaluation *evaluation) {
    write_set_facts(json, "in", &evaluation->sets[0]);
    of_json_object(json, "out");
    for (size_t i = 1; i < evaluation->set_count; i++) {
        const of_image_set *set = &evaluation->sets[i];
        of_json_object(json, set->name);
        for (size_t j = 0; j < evaluation->score_count; j++) {
            char name[32];
            of_score_name(evaluation->scores[j], name, sizeof name);
            write_metrics(json, name, &set->columns[j].metrics);
        }
        of_json_end(json);
    }
    of_json_end(json);
    write_sets(json, "out_sets", evaluation, 1);
}

/* ---- Flags --------------------------------------------------------------------------------- */

static void write_flags_of_sets(of_json *json, const of_evaluation *evaluation, size_t score) {
    for (size_t i = 0; i < evaluation->set_count; i++) {
        of_evaluation_flags flags = of_evaluation_get_flags(evaluation, i, score);
        of_json_object(json, evaluation->sets[i].name);
        of_json_count(json, "flagged", flags.count);
        of_json_real(json, "share", flags.share);
        of_json_real(json, "low", flags.low);
        of_json_real(json, "high", flags.high);
        of_json_end(json);
    }
}

/* {"rate" or "threshold", "confidence", "scores": {SCORE: {SET: {"flagged", "share", "low",
 * "high"}}}} */
static void write_flags(of_json *json, const of_evaluation *evaluation) {
    of_json_object(json, "flagged");
    if (evaluation->with_threshold)
        of_json_real(json, "threshold", evaluation->threshold);
    else
        of_json_real(json, "rate", evaluation->rate);
    of_json_real(json, "confidence", OF_FLAG_CONFIDENCE);
    of_json_object(json, "scores");
    for (size_t i = 0; i < evaluation->score_count; i++) {
        char name[32];
        if (!evaluation->judged[i])
            continue;
        of_score_name(evaluation->scores[i], name, sizeof name);
        of_json_object(json, name);
        write_flags_of_sets(json, evaluation, i);
        of_json_end(json);
    }
    of_json_end(json);
    of_json_end(json);
}

/* ---- A value of each set ------------------------------------------------------------------- */

typedef double set_value(const of_evaluation_set *set);

static double bits(const of_evaluation_set *set) {
    return set->bits_per_dim;
}

static double logp(const of_evaluation_set *set) {
    return set->mean_logp;
}

static double general_bits(const of_evaluation_set *set) {
    return set->general_bits_per_dim;
}

static double general_logp(const of_evaluation_set *set) {
    return set->mean_general_logp;
}

static double rank_correlation(const of_evaluation_set *set) {
    return set->rank_correlation;
}

/* {"KEY": {NAME: value of each set}} */
static void write_per_set(of_json *json, const char *key, const of_evaluation *evaluation,
                          set_value *value) {
    of_json_object(json, key);
    for (size_t i = 0; i < evaluation->set_count; i++) {
        of_evaluation_set set = of_evaluation_get_set(evaluation, i);
        of_json_real(json, set.name, value(&set));
    }
    of_json_end(json);
}

static void write_general(of_json *json, const of_evaluation *evaluation) {
    write_per_set(json, "bits_per_dim_general", evaluation, general_bits);
    write_per_set(json, "mean_logp_general", evaluation, general_logp);
    write_per_set(json, "rank_correlation", evaluation, rank_correlation);
    of_json_real(json, "rank_correlation_all", evaluation->rank_correlation);
}

/* ---- All ----------------------------------------------------------------------------------- */

static void write_run(of_json *json, const of_evaluation *evaluation) {
    of_evaluation_summary summary = of_evaluation_summarise(evaluation);
    of_detector_info info = of_detector_describe(evaluation->detector);
    of_json_real(json, "images_per_second", summary.images_per_second);
    of_json_text(json, "convention", summary.convention);
    of_json_text(json, "model", info.model->file);
    of_json_text(json, "general_model",
                 info.general_model != NULL ? info.general_model->file : NULL);
    of_json_text(json, "version", of_version());
    of_json_text(json, "isa", of_isa_name(info.plan.isa));
    of_json_text(json, "precision", of_precision_name(info.plan.precision));
    of_json_count(json, "threads", info.plan.threads);
}

/* {"pixels": {NAME or "all": {...}}} */
static void write_pixels(of_json *json, const of_evaluation *evaluation) {
    of_json_object(json, "pixels");
    for (size_t i = 0; i < evaluation->set_count; i++) {
        of_evaluation_pixels found = of_evaluation_get_pixels(evaluation, i);
        if (!found.known)
            continue;
        of_json_object(json, i > 0 ? evaluation->sets[i].name : "all");
        of_json_real(json, "auroc", found.metrics.auroc);
        of_json_real(json, "aupro", found.metrics.aupro);
        of_json_count(json, "pictures", found.pictures);
        of_json_count(json, "regions", found.metrics.regions);
        of_json_count(json, "without_mask", found.without_mask);
        of_json_end(json);
    }
    of_json_end(json);
}

static void write_all(of_json *json, const of_evaluation *evaluation,
                      const of_evaluation *reduced) {
    of_json_object(json, NULL);
    if (evaluation->compared)
        write_comparison(json, evaluation);
    else
        write_sets(json, "sets", evaluation, 0);
    write_per_set(json, "bits_per_dim", evaluation, bits);
    write_per_set(json, "mean_logp", evaluation, logp);
    if (evaluation->with_general)
        write_general(json, evaluation);
    if (evaluation->rate > 0 || evaluation->with_threshold)
        write_flags(json, evaluation);
    if (evaluation->pixels != NULL)
        write_pixels(json, evaluation);
    if (reduced != NULL)
        of_comparison_write_json(evaluation, reduced, json);
    write_run(json, evaluation);
    of_json_end(json);
}

of_status of_evaluation_write_json(const of_evaluation *evaluation, const of_evaluation *reduced,
                                   FILE *file, of_error *error) {
    of_json *json = NULL;
    if (file == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "JSON of an evaluation needs a file");
    of_status status = reduced != NULL ? of_evaluation_check_pair(evaluation, reduced, error)
                                       : of_evaluation_check_finished(evaluation, error);
    if (status == OF_OK)
        status = of_json_create(file, true, &json, error);
    if (status == OF_OK)
        write_all(json, evaluation, reduced);
    of_json_free(json);
    return status;
}
