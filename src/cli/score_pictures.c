/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/score_pictures.h"

#include "cli/heatmaps.h"
#include "cli/terminal/words.h"
#include "core/error.h"
#include "score/heat.h"

#include <stdlib.h>
#include <string.h>

/* A set for each SRC, named by it without the folders that all have in common. */
static of_status open_report(of_score_pictures *pictures, of_error *error) {
    of_evaluation *evaluation = &pictures->evaluation;
    const char *const *sources = pictures->sources->items;
    size_t count = pictures->sources->count, folder = of_shared_folder(sources, count);
    evaluation->engine = pictures->engine;
    evaluation->asked = &pictures->score;
    evaluation->rate = pictures->rate;
    evaluation->with_threshold = pictures->with_threshold;
    evaluation->threshold = pictures->threshold;
    of_evaluation_begin(evaluation);
    evaluation->sets = calloc(count, sizeof *evaluation->sets);
    if (evaluation->sets == NULL)
        return of_fail_memory(error, "sets");
    for (; evaluation->set_count < count; evaluation->set_count++) {
        of_eval_set *set = &evaluation->sets[evaluation->set_count];
        set->source = sources[evaluation->set_count];
        set->name = strdup(set->source + folder);
        if (set->name == NULL)
            return of_fail_memory(error, "a set's name");
    }
    evaluation->gallery = &pictures->gallery;
    return of_gallery_open(&pictures->gallery, pictures->engine, count,
                           of_report_main_score(evaluation), false, error);
}

of_status of_score_pictures_open(of_score_pictures *pictures, of_engine *engine, of_error *error) {
    of_status status = OF_OK;
    pictures->engine = engine;
    if (pictures->heatmaps != NULL) {
        uint64_t count = pictures->heatmap_count;
        pictures->heated.most = count > 0 ? (size_t)count : SIZE_MAX;
        status = of_heatmaps_prepare(pictures->heatmaps, error);
    }
    if (status == OF_OK && pictures->report != NULL)
        status = of_output_open(pictures->report, &pictures->page, error);
    if (status == OF_OK && pictures->report != NULL)
        status = open_report(pictures, error);
    return status;
}

unsigned of_score_pictures_needs(const of_score_pictures *pictures) {
    unsigned needs = pictures->heatmaps != NULL ? of_score_needs(pictures->score) : 0;
    for (size_t i = 0; i < pictures->evaluation.score_count; i++)
        needs |= of_score_needs(pictures->evaluation.scores[i]);
    return needs;
}

static of_status keep_heated(of_score_pictures *pictures, const char *source,
                             const of_scored_batch *batch, of_error *error) {
    size_t bytes = of_architecture_dimensions(&pictures->engine->architecture);
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < batch->count; i++) {
        of_image_likelihood likelihood = of_scored_image(batch, i);
        double value = of_scoring_value(pictures->engine, pictures->score, &likelihood);
        status = of_examples_offer(&pictures->heated, source, batch, i, bytes, value, error);
    }
    return status;
}

of_status of_score_pictures_collect(of_score_pictures *pictures, size_t source,
                                    const of_scored_batch *batch, of_error *error) {
    of_status status = OF_OK;
    if (pictures->heatmaps != NULL)
        status = keep_heated(pictures, pictures->sources->items[source], batch, error);
    if (status == OF_OK && pictures->report != NULL)
        status = of_evaluation_collect(&pictures->evaluation, &pictures->evaluation.sets[source],
                                       batch, error);
    return status;
}

void of_score_pictures_finish_source(of_score_pictures *pictures, size_t source,
                                     const of_tally *tally) {
    if (pictures->report == NULL)
        return;
    pictures->evaluation.sets[source].tally = *tally;
    of_evaluation_finish_set(&pictures->evaluation.sets[source]);
}

static of_status make_heatmaps(of_score_pictures *pictures, of_error *error) {
    const of_heat_reference none = {0};
    of_engine *engine = pictures->engine;
    of_score heat = of_heat_score(pictures->score, engine->general != NULL);
    of_examples_sort(&pictures->heated);
    of_status status = of_examples_heat(engine, heat, &none, &pictures->heated, error);
    return status == OF_OK ? of_heatmaps_write(pictures->heatmaps, &engine->architecture,
                                               pictures->score, &pictures->heated, error)
                           : status;
}

static of_status make_report(of_score_pictures *pictures, of_error *error) {
    const of_report_wish wish = {
        .argc = pictures->argc, .argv = pictures->argv, .page = of_output_file(pictures->page)};
    of_status status = of_evaluation_correlate(&pictures->evaluation, error);
    if (status == OF_OK)
        status = of_report_make(&pictures->evaluation, &wish, error);
    return status == OF_OK ? of_console_commit(&pictures->page, error) : status;
}

of_status of_score_pictures_make(of_score_pictures *pictures, of_error *error) {
    of_status status = OF_OK;
    if (pictures->heatmaps != NULL)
        status = make_heatmaps(pictures, error);
    if (status == OF_OK && pictures->report != NULL)
        status = make_report(pictures, error);
    return status;
}

void of_score_pictures_close(of_score_pictures *pictures) {
    of_output_discard(pictures->page);
    pictures->page = NULL;
    of_examples_free(&pictures->heated);
    pictures->evaluation.gallery = NULL;
    of_gallery_close(&pictures->gallery);
    of_evaluation_free(&pictures->evaluation);
}
