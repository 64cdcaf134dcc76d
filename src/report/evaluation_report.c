/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation -> the structures of report.h, which only refer to it. */
#include "core/error.h"
#include "core/options_read.h"
#include "evaluate/evaluation.h"
#include "report/facts.h"

#include <math.h>
#include <stdlib.h>

of_report_options of_report_options_default(void) {
    return (of_report_options){.size = sizeof(of_report_options)};
}

/* ---- Sets ---------------------------------------------------------------------------------- */

/* What a report's set points to. */
typedef struct set_view {
    const double **scores;  /* [score_count] */
    of_report_flags *flags; /* [score_count] */
    of_metrics *metrics;    /* [score_count], NULL where nothing is compared */
    of_report_image most[OF_GALLERY_FLAGGED], least[OF_GALLERY_IMAGES];
    of_report_fault *faults;
} set_view;

/* A report in the making. */
typedef struct report_view {
    of_report_set *sets; /* [set_count], those without images left out */
    set_view *views;     /* [set_count] */
    size_t count;        /* of the sets that have images */
    of_report_facts facts;
} report_view;

static size_t view_images(const of_evaluation *evaluation, size_t set, bool least,
                          of_report_image *images) {
    const of_examples *examples = of_gallery_images(evaluation->gallery, set, least);
    of_score score = evaluation->scores[evaluation->main_score];
    size_t count = of_examples_count(examples);
    for (size_t i = 0; i < count; i++) {
        of_example example = of_examples_get(examples, i);
        images[i] = (of_report_image){
            .path = example.path,
            .label = example.label,
            .value = example.value,
            .p_value = of_detector_p_value(evaluation->detector, score, example.value),
            .pixels = example.pixels,
            .height = example.height,
            .width = example.width,
            .heat = example.heat,
            .limit = example.limit};
    }
    return count;
}

static void fill_view(const of_evaluation *evaluation, size_t set, set_view *view) {
    for (size_t s = 0; s < evaluation->score_count; s++) {
        const of_metrics *metrics = of_evaluation_metrics(evaluation, set, s);
        of_evaluation_flags flags = of_evaluation_get_flags(evaluation, set, s);
        view->scores[s] = of_evaluation_values(evaluation, set, s, NULL);
        view->flags[s] = (of_report_flags){.known = flags.known,
                                           .count = flags.count,
                                           .share = flags.share,
                                           .low = flags.low,
                                           .high = flags.high};
        if (metrics != NULL && view->metrics != NULL)
            view->metrics[s] = *metrics;
    }
}

static of_status open_view(const of_evaluation *evaluation, size_t set, set_view *view,
                           of_error *error) {
    bool compared = of_evaluation_metrics(evaluation, set, 0) != NULL;
    view->scores = calloc(evaluation->score_count, sizeof *view->scores);
    view->flags = calloc(evaluation->score_count, sizeof *view->flags);
    if (compared)
        view->metrics = calloc(evaluation->score_count, sizeof *view->metrics);
    view->faults = calloc(evaluation->sets[set].fault_count + 1, sizeof *view->faults);
    if (view->scores == NULL || view->flags == NULL || view->faults == NULL ||
        (compared && view->metrics == NULL))
        return of_fail_memory(error, "a report");
    fill_view(evaluation, set, view);
    for (size_t i = 0; i < evaluation->sets[set].fault_count; i++)
        view->faults[i] = (of_report_fault){evaluation->sets[set].faults[i].path,
                                            evaluation->sets[set].faults[i].reason};
    return OF_OK;
}

/* Flagged images are the most anomalous ones, and listed where nothing is compared. */
static size_t count_listed(const of_evaluation *evaluation, size_t set, size_t kept) {
    of_evaluation_flags flags = of_evaluation_get_flags(evaluation, set, evaluation->main_score);
    if (evaluation->compared || !flags.known)
        return 0;
    return flags.count < kept ? (size_t)flags.count : kept;
}

/* Of sets that are compared, some are meant to score otherwise. */
static of_drift_summary summarise_drift(const of_evaluation *evaluation, size_t set) {
    of_drift drift = {.images = 0};
    size_t count, main = evaluation->main_score;
    const double *values = of_evaluation_values(evaluation, set, main, &count);
    for (size_t i = 0; !evaluation->compared && i < count; i++)
        of_drift_add(
            &drift, of_detector_p_value(evaluation->detector, evaluation->scores[main], values[i]));
    return of_drift_summarise(&drift, of_detector_describe(evaluation->detector).calibration,
                              evaluation->scores[main]);
}

static of_report_set view_set(const of_evaluation *evaluation, size_t number, bool with_images,
                              set_view *view) {
    of_evaluation_set set = of_evaluation_get_set(evaluation, number);
    size_t kept = with_images ? view_images(evaluation, number, false, view->most) : 0;
    of_drift_summary drift = summarise_drift(evaluation, number);
    size_t wall = with_images ? of_gallery_wall(evaluation->gallery, number) : 0;
    return (of_report_set){
        .name = set.name,
        .source = set.source,
        .images = set.stream.images,
        .unreadable = set.stream.unreadable,
        .non_finite = set.non_finite,
        .scores = view->scores,
        .logp = of_evaluation_logp(evaluation, number, NULL),
        .general_logp = of_evaluation_general_logp(evaluation, number, NULL),
        .mean_bits = set.bits_per_dim,
        .mean_general_bits = set.general_bits_per_dim,
        .spearman = set.rank_correlation,
        .pearson = set.correlation,
        .metrics = view->metrics,
        .flags = view->flags,
        .drift = drift.distance,
        .drifted = drift.drifted,
        .most_count = kept < wall ? kept : wall,
        .flagged_count = count_listed(evaluation, number, kept),
        .least_count = with_images ? view_images(evaluation, number, true, view->least) : 0,
        .most = view->most,
        .least = view->least,
        .faults = view->faults,
        .fault_count = evaluation->sets[number].fault_count,
    };
}

/* A set without images has nothing to draw. */
static of_status open_report(const of_evaluation *evaluation, bool with_images, report_view *view,
                             of_error *error) {
    of_status status = OF_OK;
    *view = (report_view){.sets = calloc(evaluation->set_count, sizeof *view->sets),
                          .views = calloc(evaluation->set_count, sizeof *view->views)};
    if (view->sets == NULL || view->views == NULL)
        return of_fail_memory(error, "a report");
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++) {
        if (evaluation->sets[i].logp.count == 0)
            continue;
        set_view *own = &view->views[view->count];
        status = open_view(evaluation, i, own, error);
        if (status == OF_OK)
            view->sets[view->count] = view_set(evaluation, i, with_images, own);
        view->count++;
    }
    return status;
}

static void close_report(report_view *view) {
    for (size_t i = 0; i < view->count; i++) {
        free(view->views[i].scores);
        free(view->views[i].flags);
        free(view->views[i].metrics);
        free(view->views[i].faults);
    }
    free(view->sets);
    free(view->views);
}

/* ---- All ----------------------------------------------------------------------------------- */

static size_t count_faults(const report_view *view) {
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++)
        count += view->sets[i].fault_count;
    return count;
}

static of_report make_report(const of_evaluation *evaluation, const report_view *view,
                             const char *command) {
    const of_detector *detector = evaluation->detector;
    of_evaluation_summary summary = of_evaluation_summarise(evaluation);
    of_score main = evaluation->scores[evaluation->main_score];
    const of_heat_reference *reference =
        evaluation->gallery != NULL ? of_gallery_reference(evaluation->gallery) : NULL;
    return (of_report){
        .title =
            summary.compared ? "What belongs, and what does not" : "How anomalous the images are",
        .command = command,
        .convention = summary.convention,
        .architecture = *of_detector_architecture(detector),
        .scores = evaluation->scores,
        .score_count = evaluation->score_count,
        .main_score = evaluation->main_score,
        .sets = view->sets,
        .set_count = view->count,
        .compared = summary.compared,
        .with_general = summary.with_general,
        .spearman = summary.rank_correlation,
        .pearson = summary.correlation,
        .with_flags = summary.rate > 0 || evaluation->with_threshold,
        .rate = summary.rate,
        .threshold = of_evaluation_threshold(evaluation, evaluation->main_score),
        .confidence = OF_FLAG_CONFIDENCE,
        .heat = of_detector_heat_score(detector, main),
        .heat_reference = of_heat_reference_text(detector, main, reference),
        .faults = count_faults(view),
        .facts = view->facts.list,
        .fact_count = view->facts.count,
    };
}

static of_status check_report(const of_evaluation *evaluation, const FILE *file, of_error *error) {
    if (file == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "a report needs a file");
    return of_evaluation_check_finished(evaluation, error);
}

static of_status write_page(const of_evaluation *evaluation, const char *command, FILE *file,
                            of_error *error) {
    report_view view;
    of_status status = open_report(evaluation, true, &view, error);
    if (status == OF_OK) {
        const of_detector_info detector = of_detector_describe(evaluation->detector);
        of_report_facts_collect(evaluation, &detector, &view.facts);
        const of_report report = make_report(evaluation, &view, command);
        status = of_report_write(&report, file, error);
    }
    close_report(&view);
    return status;
}

/* Of the wall, and of all images that are listed. */
static of_status heat_images(const of_evaluation *evaluation, const of_stream_observer *observer,
                             of_error *error) {
    uint64_t *listed = calloc(evaluation->set_count, sizeof *listed);
    if (listed == NULL)
        return of_fail_memory(error, "a report");
    for (size_t i = 0; i < evaluation->set_count; i++)
        listed[i] = count_listed(evaluation, i, OF_GALLERY_FLAGGED);
    of_status status = of_gallery_heat(
        evaluation->gallery, evaluation->scores[evaluation->main_score], listed, observer, error);
    free(listed);
    return status;
}

of_status of_evaluation_write_report(of_evaluation *evaluation, const of_report_options *options,
                                     FILE *file, of_error *error) {
    of_report_options own = of_report_options_default();
    of_status status = check_report(evaluation, file, error);
    if (status == OF_OK)
        status = of_options_read(&own, sizeof own, sizeof own, options, "of_report_options", error);
    if (status == OF_OK && evaluation->gallery == NULL)
        status = of_fail_setting(error, OF_ERROR_ARGUMENT, "keep_images",
                                 "a report shows images, and the evaluation kept none");
    if (status == OF_OK)
        status = heat_images(evaluation, own.observer, error);
    return status == OF_OK ? write_page(evaluation, own.command, file, error) : status;
}

of_status of_evaluation_write_figure(const of_evaluation *evaluation, FILE *file, of_error *error) {
    report_view view;
    of_status status = check_report(evaluation, file, error);
    if (status != OF_OK)
        return status;
    status = open_report(evaluation, false, &view, error);
    if (status == OF_OK) {
        const of_report report = make_report(evaluation, &view, NULL);
        status = of_report_write_figure(&report, file, error);
    }
    close_report(&view);
    return status;
}
