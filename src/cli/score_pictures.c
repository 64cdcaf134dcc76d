/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/score_pictures.h"

#include "cli/heatmaps.h"
#include "cli/terminal/words.h"
#include "cli/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names of sets -------------------------------------------------------------------------- */

static size_t count_earlier(const of_text_list *sources, size_t number) {
    size_t times = 0;
    for (size_t i = 0; i < number; i++)
        times += strcmp(sources->items[i], sources->items[number]) == 0;
    return times;
}

/* Its SRC without the folders that all have in common; of one that is given again, with a number.
 */
static char *name_set(const of_text_list *sources, size_t number, size_t folder) {
    const char *name = sources->items[number] + folder;
    size_t size = strlen(name) + 32, earlier = count_earlier(sources, number);
    char *text = malloc(size);
    if (text != NULL && earlier > 0)
        (void)snprintf(text, size, "%s (%zu)", name, earlier + 1);
    else if (text != NULL)
        (void)snprintf(text, size, "%s", name);
    return text;
}

static of_status name_sets(const of_text_list *sources, of_evaluation_set_options *sets,
                           of_error *error) {
    size_t folder = of_shared_folder(sources->items, sources->count);
    for (size_t i = 0; i < sources->count; i++) {
        sets[i].source = sources->items[i];
        sets[i].name = name_set(sources, i, folder);
        if (sets[i].name == NULL)
            return of_fail_memory(error, "a set's name");
    }
    return OF_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------
 */

static of_status create_evaluation(of_score_pictures *pictures,
                                   const of_evaluation_set_options *sets, of_error *error) {
    of_evaluation_options options = of_evaluation_options_default();
    options.sets = sets;
    options.set_count = pictures->sources->count;
    options.asked = &pictures->score;
    options.rate = pictures->rate;
    options.threshold = pictures->with_threshold ? &pictures->threshold : NULL;
    options.keep_images = true;
    return of_evaluation_create(pictures->detector, &options, &pictures->evaluation, error);
}

static of_status open_report(of_score_pictures *pictures, of_error *error) {
    size_t count = pictures->sources->count;
    of_status status = of_output_open(pictures->report, &pictures->page, error);
    if (status != OF_OK)
        return status;
    of_evaluation_set_options *sets = calloc(count, sizeof *sets);
    if (sets == NULL)
        return of_fail_memory(error, "sets");
    status = name_sets(pictures->sources, sets, error);
    if (status == OF_OK)
        status = create_evaluation(pictures, sets, error);
    for (size_t i = 0; i < count; i++)
        free((void *)sets[i].name);
    free(sets);
    return status;
}

static of_status open_heatmaps(of_score_pictures *pictures, of_error *error) {
    uint64_t count = pictures->heatmap_count;
    of_status status = of_heatmaps_prepare(pictures->heatmaps, error);
    return status == OF_OK
               ? of_examples_create(pictures->detector, count > 0 ? (size_t)count : SIZE_MAX, false,
                                    &pictures->heated, error)
               : status;
}

of_status of_score_pictures_open(of_score_pictures *pictures, const of_detector *detector,
                                 of_error *error) {
    of_status status = OF_OK;
    pictures->detector = detector;
    if (pictures->heatmaps != NULL)
        status = open_heatmaps(pictures, error);
    if (status == OF_OK && pictures->report != NULL)
        status = open_report(pictures, error);
    return status;
}

unsigned of_score_pictures_needs(const of_score_pictures *pictures) {
    unsigned needs = pictures->heated != NULL ? of_score_needs(pictures->score) : 0;
    if (pictures->evaluation != NULL)
        needs |= of_evaluation_needs(pictures->evaluation);
    return needs;
}

/* ---- Images -----------------------------------------------------------------------------------
 */

static of_status keep_heated(of_score_pictures *pictures, const char *source,
                             const of_scored_batch *batch, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(batch); i++) {
        of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        double value = of_detector_value(pictures->detector, pictures->score, &likelihood);
        status = of_examples_offer(pictures->heated, source, batch, i, value, error);
    }
    return status;
}

of_status of_score_pictures_collect(of_score_pictures *pictures, size_t source,
                                    const of_scored_batch *batch, of_error *error) {
    of_status status = OF_OK;
    if (pictures->heated != NULL)
        status = keep_heated(pictures, pictures->sources->items[source], batch, error);
    if (status == OF_OK && pictures->evaluation != NULL)
        status = of_evaluation_add(pictures->evaluation, source, batch, error);
    return status;
}

/* Without memory for it, the report's list is shorter. */
void of_score_pictures_note_unreadable(const of_score_pictures *pictures, size_t source,
                                       const char *path, const char *reason) {
    if (pictures->evaluation != NULL)
        (void)of_evaluation_add_unreadable(pictures->evaluation, source, path, reason, NULL);
}

void of_score_pictures_finish_source(of_score_pictures *pictures, size_t source,
                                     const of_stream_result *result) {
    if (pictures->evaluation != NULL)
        of_evaluation_end_set(pictures->evaluation, source, result);
}

/* ---- Pictures ---------------------------------------------------------------------------------
 */

static of_status make_heatmaps(of_score_pictures *pictures, const of_stream_observer *observer,
                               of_error *error) {
    of_examples_sort(pictures->heated);
    of_status status = of_examples_heat(pictures->heated, pictures->score, NULL, observer, error);
    return status == OF_OK
               ? of_heatmaps_write(pictures->heatmaps, of_detector_architecture(pictures->detector),
                                   pictures->score, pictures->heated, error)
               : status;
}

static of_status make_report(of_score_pictures *pictures, const of_stream_observer *observer,
                             of_error *error) {
    of_report_options options = of_report_options_default();
    options.command = pictures->command;
    options.observer = observer;
    of_status status = of_evaluation_finish(pictures->evaluation, error);
    if (status == OF_OK)
        status = of_evaluation_write_report(pictures->evaluation, &options,
                                            of_output_file(pictures->page), error);
    return status == OF_OK ? of_console_commit(&pictures->page, error) : status;
}

of_status of_score_pictures_make(of_score_pictures *pictures, of_console *console,
                                 of_error *error) {
    of_watcher watcher = of_watcher_make(console, "heat", false);
    const of_stream_observer observer = of_watcher_observer(&watcher);
    of_status status = OF_OK;
    if (pictures->heated != NULL)
        status = make_heatmaps(pictures, &observer, error);
    of_watcher_finish(&watcher);
    if (status == OF_OK && pictures->evaluation != NULL)
        status = make_report(pictures, &observer, error);
    of_watcher_finish(&watcher);
    return status;
}

void of_score_pictures_close(of_score_pictures *pictures) {
    of_output_discard(pictures->page);
    of_examples_free(pictures->heated);
    of_evaluation_free(pictures->evaluation);
    pictures->page = NULL;
    pictures->heated = NULL;
    pictures->evaluation = NULL;
}
