/* SPDX-License-Identifier: Apache-2.0 */
/* The images of sets: their scores in columns, and what is computed from whole columns. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "core/memory.h"
#include "evaluate/evaluation.h"
#include "score/correlation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Columns ------------------------------------------------------------------------------- */

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

/* ---- A set --------------------------------------------------------------------------------- */

of_status of_image_set_open(const of_evaluation_set_options *options, size_t score_count,
                            of_image_set *set, of_error *error) {
    *set = (of_image_set){.name = strdup(options->name),
                          .source = strdup(options->source),
                          .columns = calloc(score_count, sizeof *set->columns),
                          .mean_logp = NAN,
                          .mean_general_logp = NAN,
                          .rank_correlation = NAN,
                          .correlation = NAN};
    return set->name != NULL && set->source != NULL && set->columns != NULL
               ? OF_OK
               : of_fail_memory(error, "a set");
}

void of_image_set_close(of_image_set *set, size_t score_count) {
    for (size_t i = 0; set->columns != NULL && i < score_count; i++)
        free(set->columns[i].values.items);
    free(set->columns);
    free(set->logp.items);
    free(set->general_logp.items);
    free(set->name);
    free(set->source);
    of_faults_close(set);
    *set = (of_image_set){.name = NULL};
}

static bool is_flagged(const of_evaluation *evaluation, size_t score, double value) {
    const of_flag_rule rule = {.score = evaluation->scores[score],
                               .rate = evaluation->rate,
                               .threshold = evaluation->threshold};
    return evaluation->judged[score] && of_detector_flags(evaluation->detector, &rule, value);
}

bool of_image_set_add(const of_evaluation *evaluation, of_image_set *set,
                      const of_image_likelihood *likelihood) {
    bool finite = true, stored = append(&set->logp, likelihood->logp);
    if (evaluation->with_general)
        stored = stored && append(&set->general_logp, likelihood->general_logp);
    for (size_t i = 0; stored && i < evaluation->score_count; i++) {
        of_score_column *column = &set->columns[i];
        double value = of_detector_value(evaluation->detector, evaluation->scores[i], likelihood);
        finite = finite && isfinite(value);
        column->flagged += is_flagged(evaluation, i, value);
        stored = append(&column->values, value);
    }
    set->non_finite += !finite;
    return stored;
}

void of_image_set_end(of_image_set *set, const of_stream_result *result) {
    set->ended = true;
    set->stream = result != NULL ? *result : (of_stream_result){0};
    set->stream.images = set->logp.count;
    set->mean_logp = finite_mean(&set->logp);
    set->mean_general_logp = finite_mean(&set->general_logp);
}

/* ---- Sets together ------------------------------------------------------------------------- */

of_status of_image_set_compare(const of_evaluation *evaluation, of_image_set *set,
                               of_error *error) {
    const of_image_set *in = &evaluation->sets[0];
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < evaluation->score_count; i++) {
        const of_values *inside = &in->columns[i].values, *outside = &set->columns[i].values;
        status = of_metrics_compute(inside->items, inside->count, outside->items, outside->count,
                                    &set->columns[i].metrics, error);
    }
    return status;
}

static of_status correlate(const of_values *logp, const of_values *general_logp,
                           double *rank_correlation, double *correlation, of_error *error) {
    *correlation = of_value_correlation(logp->items, general_logp->items, logp->count);
    return of_rank_correlation(logp->items, general_logp->items, logp->count, rank_correlation,
                               error);
}

static of_status correlate_all(of_evaluation *evaluation, of_error *error) {
    of_values logp = {0}, general = {0};
    bool stored = true;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        const of_image_set *set = &evaluation->sets[i];
        for (size_t j = 0; stored && j < set->logp.count; j++)
            stored =
                append(&logp, set->logp.items[j]) && append(&general, set->general_logp.items[j]);
    }
    of_status status = stored ? correlate(&logp, &general, &evaluation->rank_correlation,
                                          &evaluation->correlation, error)
                              : of_fail_memory(error, "the likelihoods of all sets");
    free(logp.items);
    free(general.items);
    return status;
}

of_status of_image_sets_correlate(of_evaluation *evaluation, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++) {
        of_image_set *set = &evaluation->sets[i];
        status = correlate(&set->logp, &set->general_logp, &set->rank_correlation,
                           &set->correlation, error);
    }
    return status == OF_OK ? correlate_all(evaluation, error) : status;
}
