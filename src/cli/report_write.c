/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation -> the structures of report/report.h, which only refer to it. */
#include "cli/report_write.h"

#include "cli/report_facts.h"
#include "core/error.h"

#include <stdlib.h>

static size_t find_score(const of_evaluation *evaluation, of_score wanted) {
    size_t s = 0;
    while (s < evaluation->score_count && (evaluation->scores[s].kind != wanted.kind ||
                                           evaluation->scores[s].scale != wanted.scale))
        s++;
    return s;
}

size_t of_report_main_score(const of_evaluation *evaluation, const of_score *asked) {
    static const of_score usual[] = {{OF_SCORE_COMBINED, 0}, {OF_SCORE_RATIO, 0}};
    size_t found = asked != NULL ? find_score(evaluation, *asked) : evaluation->score_count;
    for (size_t i = 0; found == evaluation->score_count && i < 2; i++)
        found = find_score(evaluation, usual[i]);
    return found < evaluation->score_count ? found
                                           : find_score(evaluation, (of_score){OF_SCORE_NLL, 0});
}

/* What the report's sets point to. */
typedef struct set_view {
    const double *scores[OF_EVAL_SCORES];
    of_report_image most[OF_GALLERY_IMAGES], least[OF_GALLERY_IMAGES];
} set_view;

static size_t view_images(const of_examples *examples, of_report_image *images) {
    for (size_t i = 0; i < examples->count; i++) {
        const of_example *example = &examples->items[i];
        images[i] = (of_report_image){example->path,   example->label, example->value,
                                      example->pixels, example->heat,  example->limit};
    }
    return examples->count;
}

static of_report_set view_set(const of_evaluation *evaluation, const of_report_wish *wish,
                              size_t number, set_view *view) {
    const of_eval_set *set = &evaluation->sets[number];
    const of_architecture *a = &evaluation->engine->architecture;
    for (size_t s = 0; s < evaluation->score_count; s++)
        view->scores[s] = set->scores[s].items;
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
        .most_count = view_images(&evaluation->gallery->most[number], view->most),
        .least_count = view_images(&evaluation->gallery->least[number], view->least),
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
    char *command = of_report_command(wish->argc, wish->argv);
    if (sets == NULL || views == NULL || command == NULL)
        status = of_fail_memory(error, "a report");
    else
        status = write_report(evaluation, wish, sets, views, command, error);
    free(sets);
    free(views);
    free(command);
    return status;
}
