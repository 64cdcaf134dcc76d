/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation -> the structures of report/report.h, which only refer to it. */
#include "cli/report_write.h"

#include "cli/report_facts.h"
#include "cli/terminal/command_line.h"
#include "core/error.h"

#include <math.h>
#include <stdlib.h>

size_t of_report_main_score(const of_evaluation *evaluation) {
    static const of_score usual[] = {{OF_SCORE_COMBINED, 0}, {OF_SCORE_RATIO, 0}};
    size_t found = evaluation->asked != NULL ? of_evaluation_find(evaluation, *evaluation->asked)
                                             : evaluation->score_count;
    for (size_t i = 0; found == evaluation->score_count && i < 2; i++)
        found = of_evaluation_find(evaluation, usual[i]);
    return found < evaluation->score_count
               ? found
               : of_evaluation_find(evaluation, (of_score){OF_SCORE_NLL, 0});
}

/* What the report's sets point to. */
typedef struct set_view {
    const double *scores[OF_EVAL_SCORES];
    of_report_flags flags[OF_EVAL_SCORES];
    of_report_image most[OF_GALLERY_IMAGES], least[OF_GALLERY_IMAGES];
} set_view;

/* NaN where the calibration has none for this score. */
static double p_value(const of_evaluation *evaluation, double value) {
    const of_engine *engine = evaluation->engine;
    of_score score = evaluation->scores[evaluation->gallery->main_score];
    return of_scoring_check_p_value(engine, score, NULL) == OF_OK
               ? of_calibration_p_value(engine->calibration, score, value)
               : (double)NAN;
}

static size_t view_images(const of_evaluation *evaluation, const of_examples *examples,
                          of_report_image *images) {
    for (size_t i = 0; i < examples->count; i++) {
        const of_example *example = &examples->items[i];
        images[i] = (of_report_image){.path = example->path,
                                      .label = example->label,
                                      .value = example->value,
                                      .p_value = p_value(evaluation, example->value),
                                      .pixels = example->pixels,
                                      .heat = example->heat,
                                      .limit = example->limit};
    }
    return examples->count;
}

static void view_flags(const of_evaluation *evaluation, const of_eval_set *set, set_view *view) {
    for (size_t s = 0; s < evaluation->score_count; s++) {
        of_interval interval;
        double share = of_evaluation_flagged(set, s, &interval);
        view->flags[s] = (of_report_flags){.known = of_evaluation_flags(evaluation, s),
                                           .count = set->flagged[s],
                                           .share = share,
                                           .low = interval.low,
                                           .high = interval.high};
    }
}

static of_report_set view_set(const of_evaluation *evaluation, const of_report_wish *wish,
                              size_t number, set_view *view) {
    const of_eval_set *set = &evaluation->sets[number];
    const of_architecture *a = &evaluation->engine->architecture;
    for (size_t s = 0; s < evaluation->score_count; s++)
        view->scores[s] = set->scores[s].items;
    view_flags(evaluation, set, view);
    return (of_report_set){
        .name = set->name,
        .source = set->source,
        .images = set->tally.images,
        .unreadable = set->tally.unreadable,
        .non_finite = set->non_finite,
        .scores = view->scores,
        .logp = set->logp.items,
        .general_logp = set->general_logp.items,
        .mean_bits = of_bits_per_dim(a, set->mean_logp),
        .mean_general_bits = of_bits_per_dim(a, set->mean_general_logp),
        .spearman = set->rank_correlation,
        .pearson = set->correlation,
        .metrics = wish->compared && number > 0 ? set->metrics : NULL,
        .flags = view->flags,
        .most_count = view_images(evaluation, &evaluation->gallery->most[number], view->most),
        .least_count = view_images(evaluation, &evaluation->gallery->least[number], view->least),
        .most = view->most,
        .least = view->least,
    };
}

/* A set without images (all of a SRC unreadable) has nothing to draw. */
static size_t view_sets(const of_evaluation *evaluation, const of_report_wish *wish,
                        of_report_set *sets, set_view *views) {
    size_t count = 0;
    for (size_t i = 0; i < evaluation->set_count; i++)
        if (evaluation->sets[i].tally.images > 0) {
            sets[count] = view_set(evaluation, wish, i, &views[i]);
            count++;
        }
    return count;
}

/* What is flagged, and where on the main score that begins. */
static void view_judgement(const of_evaluation *evaluation, of_report *report) {
    size_t main_score = report->main_score;
    report->with_flags = evaluation->rate > 0 || evaluation->with_threshold;
    report->rate = evaluation->rate;
    report->confidence = OF_EVAL_CONFIDENCE;
    report->threshold = NAN;
    if (evaluation->with_threshold)
        report->threshold = evaluation->threshold;
    else if (evaluation->with_p_value[main_score])
        report->threshold = of_calibration_threshold(
            evaluation->engine->calibration, evaluation->scores[main_score], evaluation->rate);
}

static of_status write_forms(const of_report *report, const of_report_wish *wish, of_error *error) {
    of_status status = OF_OK;
    if (wish->page != NULL)
        status = of_report_write(report, wish->page, error);
    if (status == OF_OK && wish->figure != NULL)
        status = of_report_write_figure(report, wish->figure, error);
    return status;
}

static of_status write_report(const of_evaluation *evaluation, const of_report_wish *wish,
                              of_report_set *sets, set_view *views, const char *command,
                              of_error *error) {
    const of_gallery *gallery = evaluation->gallery;
    of_report_facts facts;
    of_status status = of_report_facts_collect(evaluation, &facts, error);
    if (status != OF_OK)
        return status;
    of_report report = {
        .title =
            wish->compared ? "What belongs, and what does not" : "How anomalous the images are",
        .command = command,
        .convention = of_eval_convention,
        .architecture = evaluation->engine->architecture,
        .scores = evaluation->scores,
        .score_count = evaluation->score_count,
        .main_score = gallery->main_score,
        .sets = sets,
        .set_count = view_sets(evaluation, wish, sets, views),
        .compared = wish->compared,
        .with_general = evaluation->engine->general != NULL,
        .spearman = evaluation->rank_correlation,
        .pearson = evaluation->correlation,
        .heat = gallery->heat,
        .heat_reference = of_heat_reference_text(gallery->heat, &gallery->reference),
        .facts = facts.list,
        .fact_count = facts.count,
    };
    view_judgement(evaluation, &report);
    return write_forms(&report, wish, error);
}

of_status of_report_make(const of_evaluation *evaluation, const of_report_wish *wish,
                         of_error *error) {
    of_gallery *gallery = evaluation->gallery;
    of_status status = of_gallery_heat(gallery, evaluation->engine,
                                       evaluation->scores[gallery->main_score], error);
    if (status != OF_OK)
        return status;
    of_report_set *sets = calloc(evaluation->set_count, sizeof *sets);
    set_view *views = calloc(evaluation->set_count, sizeof *views);
    char *command = of_command_line(wish->argc, wish->argv);
    if (sets == NULL || views == NULL || command == NULL)
        status = of_fail_memory(error, "a report");
    else
        status = write_report(evaluation, wish, sets, views, command, error);
    free(sets);
    free(views);
    free(command);
    return status;
}
