/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_sets.h"

#include "core/error.h"
#include "core/memory.h"
#include "score/correlation.h"

#include <math.h>
#include <stdlib.h>

const char of_eval_convention[] =
    "outliers are the positive class and higher scores are more anomalous; auroc = P(outlier's "
    "score > inlier's) + P(equal)/2; aupr_out and aupr_in = average precision with the outliers "
    "and with the inliers as positives; fpr95 = smallest share of inliers at or above a threshold "
    "that at least 95 % of the outliers reach; scores that are not finite rank as most anomalous";

/* ---- Columns ------------------------------------------------------------------------------ */

static bool append(of_values *values, double value) {
    if (values->count == values->capacity) {
        size_t capacity = values->capacity > 0 ? 2 * values->capacity : 1024, bytes;
        if (!of_multiply(capacity, sizeof *values->items, &bytes))
            return false;
        double *items = realloc(values->items, bytes);
        if (items == NULL)
            return false;
        values->items = items;
        values->capacity = capacity;
    }
    values->items[values->count++] = value;
    return true;
}

static double finite_mean(const of_values *values) {
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < values->count; i++) {
        if (!isfinite(values->items[i]))
            continue;
        sum += values->items[i];
        count++;
    }
    return count > 0 ? sum / (double)count : (double)NAN;
}

/* ---- Running the sets --------------------------------------------------------------------- */

size_t of_evaluation_find(const of_evaluation *evaluation, of_score score) {
    size_t s = 0;
    while (s < evaluation->score_count &&
           (evaluation->scores[s].kind != score.kind || evaluation->scores[s].scale != score.scale))
        s++;
    return s;
}

bool of_evaluation_flags(const of_evaluation *evaluation, size_t index) {
    return evaluation->with_p_value[index] ||
           (evaluation->with_threshold &&
            index == of_evaluation_find(evaluation, *evaluation->asked));
}

/* All scores that the models allow; those without p-values at this rate are left out of rates. */
void of_evaluation_begin(of_evaluation *evaluation) {
    of_engine *engine = evaluation->engine;
    const of_score *asked = evaluation->asked;
    engine->with_png = true;
    engine->with_webp = engine->settings->webp;
    evaluation->score_count = of_scoring_list(engine, evaluation->scores);
    if (asked != NULL && of_evaluation_find(evaluation, *asked) == evaluation->score_count)
        evaluation->scores[evaluation->score_count++] = *asked;
    for (size_t i = 0; evaluation->rate > 0 && i < evaluation->score_count; i++)
        evaluation->with_p_value[i] =
            of_scoring_check_p_value(engine, evaluation->scores[i], NULL) == OF_OK &&
            of_calibration_check_rate(engine->calibration, evaluation->scores[i], evaluation->rate,
                                      NULL) == OF_OK;
}

typedef struct set_collector {
    const of_evaluation *evaluation;
    of_eval_set *set;
} set_collector;

static bool is_flagged(const of_evaluation *evaluation, size_t index, double value) {
    if (!of_evaluation_flags(evaluation, index))
        return false;
    return evaluation->with_threshold
               ? of_scoring_reaches(value, evaluation->threshold)
               : of_calibration_p_value(evaluation->engine->calibration, evaluation->scores[index],
                                        value) <= evaluation->rate;
}

static bool collect_image(const of_evaluation *evaluation, of_eval_set *set,
                          const of_image_likelihood *likelihood) {
    bool finite = true, stored = append(&set->logp, likelihood->logp);
    if (evaluation->engine->general != NULL)
        stored = stored && append(&set->general_logp, likelihood->general_logp);
    for (size_t i = 0; stored && i < evaluation->score_count; i++) {
        double value = of_scoring_value(evaluation->engine, evaluation->scores[i], likelihood);
        finite = finite && isfinite(value);
        set->flagged[i] += is_flagged(evaluation, i, value);
        stored = append(&set->scores[i], value);
    }
    set->non_finite += !finite;
    return stored;
}

of_status of_evaluation_collect(const of_evaluation *evaluation, of_eval_set *set,
                                const of_scored_batch *batch, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < batch->count; i++) {
        of_image_likelihood likelihood = of_scored_image(batch, i);
        if (!collect_image(evaluation, set, &likelihood))
            return of_fail_memory(error, "the scores of a set");
        if (evaluation->gallery != NULL) {
            const of_values *main = &set->scores[evaluation->gallery->main_score];
            status = of_gallery_offer(evaluation->gallery, (size_t)(set - evaluation->sets),
                                      set->source, batch, i, main->items[main->count - 1], error);
        }
    }
    return status;
}

static of_status collect_batch(void *user, const of_scored_batch *batch, of_error *error) {
    const set_collector *collector = user;
    return of_evaluation_collect(collector->evaluation, collector->set, batch, error);
}

void of_evaluation_finish_set(of_eval_set *set) {
    set->mean_logp = finite_mean(&set->logp);
    set->mean_general_logp = finite_mean(&set->general_logp);
}

static of_status run_set(of_evaluation *evaluation, of_eval_set *set, of_error *error) {
    set_collector collector = {evaluation, set};
    of_run run = {.source = set->source,
                  .label = set->name,
                  .several = true,
                  .visit = collect_batch,
                  .user = &collector};
    of_status status = of_engine_run(evaluation->engine, &run, &set->tally, error);
    if (status == OF_OK && set->tally.images == 0)
        return of_engine_fail_empty(set->source, set->tally.unreadable, error);
    of_evaluation_finish_set(set);
    return status;
}

/* ---- Comparing them ----------------------------------------------------------------------- */

static of_status compare_with_in(const of_evaluation *evaluation, of_eval_set *set,
                                 of_error *error) {
    const of_eval_set *in = &evaluation->sets[0];
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < evaluation->score_count; i++)
        status = of_metrics_compute(in->scores[i].items, in->scores[i].count, set->scores[i].items,
                                    set->scores[i].count, &set->metrics[i], error);
    return status;
}

static of_status correlate_all(of_evaluation *evaluation, of_error *error) {
    of_values logp = {0}, general = {0};
    bool stored = true;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        const of_eval_set *set = &evaluation->sets[i];
        for (size_t j = 0; stored && j < set->logp.count; j++)
            stored =
                append(&logp, set->logp.items[j]) && append(&general, set->general_logp.items[j]);
    }
    of_status status = stored ? of_rank_correlation(logp.items, general.items, logp.count,
                                                    &evaluation->rank_correlation, error)
                              : of_fail_memory(error, "the likelihoods of all sets");
    evaluation->correlation = of_value_correlation(logp.items, general.items, logp.count);
    free(logp.items);
    free(general.items);
    return status;
}

of_status of_evaluation_correlate(of_evaluation *evaluation, of_error *error) {
    of_status status = OF_OK;
    if (evaluation->engine->general == NULL)
        return OF_OK;
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++) {
        of_eval_set *set = &evaluation->sets[i];
        status = of_rank_correlation(set->logp.items, set->general_logp.items, set->logp.count,
                                     &set->rank_correlation, error);
        set->correlation =
            of_value_correlation(set->logp.items, set->general_logp.items, set->logp.count);
    }
    return status == OF_OK ? correlate_all(evaluation, error) : status;
}

of_status of_evaluation_run(of_evaluation *evaluation, of_error *error) {
    of_status status = OF_OK;
    of_evaluation_begin(evaluation);
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++)
        status = run_set(evaluation, &evaluation->sets[i], error);
    for (size_t i = 1; status == OF_OK && i < evaluation->set_count; i++)
        status = compare_with_in(evaluation, &evaluation->sets[i], error);
    if (status == OF_OK)
        status = of_evaluation_correlate(evaluation, error);
    return status;
}

double of_evaluation_flagged(const of_eval_set *set, size_t index, of_interval *interval) {
    uint64_t images = set->tally.images;
    *interval = of_binomial_interval(set->flagged[index], images, OF_EVAL_CONFIDENCE);
    return (double)set->flagged[index] / (double)images;
}

double of_evaluation_rate(const of_evaluation *evaluation) {
    double images = 0, seconds = 0;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        images += (double)evaluation->sets[i].tally.images;
        seconds += evaluation->sets[i].tally.seconds;
    }
    return seconds > 0 ? images / seconds : 0;
}

void of_evaluation_free(of_evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->set_count; i++) {
        of_eval_set *set = &evaluation->sets[i];
        for (size_t j = 0; j < OF_EVAL_SCORES; j++)
            free(set->scores[j].items);
        free(set->logp.items);
        free(set->general_logp.items);
        free(set->name);
    }
    free(evaluation->sets);
    evaluation->sets = NULL;
    evaluation->set_count = 0;
}
