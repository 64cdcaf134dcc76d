/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation has found, for callers. */
#include "evaluate/evaluation.h"

#include "score/binomial.h"

#include <math.h>

static const char convention[] =
    "outliers are the positive class and higher scores are more anomalous; auroc = P(outlier's "
    "score > inlier's) + P(equal)/2; aupr_out and aupr_in = average precision with the outliers "
    "and with the inliers as positives; fpr95 = smallest share of inliers at or above a threshold "
    "that at least 95 % of the outliers reach; scores that are not finite rank as most anomalous";

/* ---- Scores -------------------------------------------------------------------------------- */

const of_score *of_evaluation_scores(const of_evaluation *evaluation, size_t *count) {
    if (count != NULL)
        *count = evaluation->score_count;
    return evaluation->scores;
}

size_t of_evaluation_main_score(const of_evaluation *evaluation) {
    return evaluation->main_score;
}

double of_evaluation_threshold(const of_evaluation *evaluation, size_t score) {
    if (!evaluation->judged[score])
        return NAN;
    return evaluation->with_threshold
               ? evaluation->threshold
               : of_detector_threshold(evaluation->detector, evaluation->scores[score],
                                       evaluation->rate);
}

/* ---- Sets ---------------------------------------------------------------------------------- */

size_t of_evaluation_set_count(const of_evaluation *evaluation) {
    return evaluation->set_count;
}

of_evaluation_set of_evaluation_get_set(const of_evaluation *evaluation, size_t set) {
    const of_architecture *architecture = of_detector_architecture(evaluation->detector);
    if (set >= evaluation->set_count)
        return (of_evaluation_set){.name = NULL};
    const of_image_set *own = &evaluation->sets[set];
    const of_detector_model *other = of_detector_describe(evaluation->detector).general_model;
    const of_architecture *general = other != NULL ? &other->architecture : architecture;
    return (of_evaluation_set){
        .name = own->name,
        .source = own->source,
        .stream = own->stream,
        .non_finite = own->non_finite,
        .mean_logp = own->mean_logp,
        .mean_general_logp = own->mean_general_logp,
        .bits_per_dim = of_bits_per_dim(architecture, own->mean_logp),
        .general_bits_per_dim = of_bits_per_dim(general, own->mean_general_logp),
        .rank_correlation = own->rank_correlation,
        .correlation = own->correlation,
    };
}

static const double *read_values(const of_values *values, size_t *count) {
    if (count != NULL)
        *count = values != NULL ? values->count : 0;
    return values != NULL ? values->items : NULL;
}

const double *of_evaluation_values(const of_evaluation *evaluation, size_t set, size_t score,
                                   size_t *count) {
    bool there = set < evaluation->set_count && score < evaluation->score_count;
    return read_values(there ? &evaluation->sets[set].columns[score].values : NULL, count);
}

const double *of_evaluation_logp(const of_evaluation *evaluation, size_t set, size_t *count) {
    bool there = set < evaluation->set_count;
    return read_values(there ? &evaluation->sets[set].logp : NULL, count);
}

const double *of_evaluation_general_logp(const of_evaluation *evaluation, size_t set,
                                         size_t *count) {
    bool there = set < evaluation->set_count && evaluation->with_general;
    return read_values(there ? &evaluation->sets[set].general_logp : NULL, count);
}

const of_metrics *of_evaluation_metrics(const of_evaluation *evaluation, size_t set, size_t score) {
    bool there = evaluation->finished && evaluation->compared && set > 0 &&
                 set < evaluation->set_count && score < evaluation->score_count;
    return there ? &evaluation->sets[set].columns[score].metrics : NULL;
}

of_evaluation_flags of_evaluation_get_flags(const of_evaluation *evaluation, size_t set,
                                            size_t score) {
    of_evaluation_flags flags = {
        .share = NAN, .low = NAN, .high = NAN, .confidence = OF_FLAG_CONFIDENCE};
    if (set >= evaluation->set_count || score >= evaluation->score_count)
        return flags;
    const of_score_column *column = &evaluation->sets[set].columns[score];
    uint64_t images = column->values.count;
    flags.known = evaluation->judged[score];
    flags.count = column->flagged;
    if (images > 0) {
        of_interval interval = of_binomial_interval(flags.count, images, OF_FLAG_CONFIDENCE);
        flags.share = (double)flags.count / (double)images;
        flags.low = interval.low;
        flags.high = interval.high;
    }
    return flags;
}

/* ---- All together -------------------------------------------------------------------------- */

static double images_per_second(const of_evaluation *evaluation) {
    double images = 0, seconds = 0;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        images += (double)evaluation->sets[i].stream.images;
        seconds += evaluation->sets[i].stream.seconds;
    }
    return seconds > 0 ? images / seconds : 0;
}

of_evaluation_summary of_evaluation_summarise(const of_evaluation *evaluation) {
    return (of_evaluation_summary){
        .compared = evaluation->compared,
        .with_general = evaluation->with_general,
        .rate = evaluation->rate,
        .rank_correlation = evaluation->rank_correlation,
        .correlation = evaluation->correlation,
        .images_per_second = images_per_second(evaluation),
        .convention = convention,
    };
}
