/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation from its options to the comparison of its sets. */
#include "evaluate/evaluation.h"

#include "core/error.h"
#include "core/options_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

of_evaluation_options of_evaluation_options_default(void) {
    return (of_evaluation_options){.size = sizeof(of_evaluation_options)};
}

/* ---- What is asked for --------------------------------------------------------------------- */

static of_status check_set(const of_evaluation_options *options, size_t number, of_error *error) {
    const of_evaluation_set_options *set = &options->sets[number];
    if (set->name == NULL || set->source == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "sets", "set %zu has no %s", number + 1,
                               set->name == NULL ? "name" : "source");
    for (size_t i = 0; i < number; i++)
        if (strcmp(options->sets[i].name, set->name) == 0)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, "sets", "two sets are named '%s'",
                                   set->name);
    return OF_OK;
}

static of_status check_sets(const of_evaluation_options *options, of_error *error) {
    of_status status = OF_OK;
    if (options->set_count == 0 || options->sets == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "sets", "there is no set to evaluate");
    for (size_t i = 0; status == OF_OK && i < options->set_count; i++)
        status = check_set(options, i, error);
    return status;
}

static of_status check_flags(const of_detector *detector, const of_evaluation_options *options,
                             of_error *error) {
    if (!(options->rate >= 0 && options->rate < 1))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "rate",
                               "a false-positive rate lies between 0 and 1");
    if (options->threshold != NULL && options->asked == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "asked",
                               "a threshold needs the score that it is of");
    if (options->threshold != NULL && isnan(*options->threshold))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "threshold",
                               "the threshold is not a number");
    const of_score decided =
        options->asked != NULL ? *options->asked : of_detector_default_score(detector);
    return of_detector_check_score(detector, decided, error);
}

/* Number of a score, score_count if it is not among them. */
static size_t find_score(const of_evaluation *evaluation, of_score score) {
    size_t s = 0;
    while (s < evaluation->score_count &&
           (evaluation->scores[s].kind != score.kind || evaluation->scores[s].scale != score.scale))
        s++;
    return s;
}

/* All that the detector allows, in the order of reports; the asked one last if it is no usual one.
 */
static of_status choose_scores(of_evaluation *evaluation, const of_score *asked, of_error *error) {
    const of_detector *detector = evaluation->detector;
    size_t count = of_detector_scores(detector, NULL, 0);
    evaluation->scores = calloc(count + 1, sizeof *evaluation->scores);
    evaluation->judged = calloc(count + 1, sizeof *evaluation->judged);
    if (evaluation->scores == NULL || evaluation->judged == NULL)
        return of_fail_memory(error, "the scores of an evaluation");
    evaluation->score_count = of_detector_scores(detector, evaluation->scores, count);
    if (asked != NULL && find_score(evaluation, *asked) == count)
        evaluation->scores[evaluation->score_count++] = *asked;
    evaluation->main_score =
        find_score(evaluation, asked != NULL ? *asked : of_detector_default_score(detector));
    return OF_OK;
}

/* Scores without p-values, or without enough calibration images for this rate, are left out. */
static void choose_judged(of_evaluation *evaluation) {
    if (evaluation->with_threshold)
        evaluation->judged[evaluation->main_score] = true;
    for (size_t i = 0; evaluation->rate > 0 && i < evaluation->score_count; i++) {
        const of_flag_rule rule = {.score = evaluation->scores[i], .rate = evaluation->rate};
        evaluation->judged[i] = of_detector_check_rule(evaluation->detector, &rule, NULL) == OF_OK;
    }
}

static of_status open_sets(of_evaluation *evaluation, const of_evaluation_options *options,
                           of_error *error) {
    of_status status = OF_OK;
    evaluation->sets = calloc(options->set_count, sizeof *evaluation->sets);
    if (evaluation->sets == NULL)
        return of_fail_memory(error, "sets");
    evaluation->set_count = options->set_count;
    for (size_t i = 0; status == OF_OK && i < options->set_count; i++)
        status = of_image_set_open(&options->sets[i], evaluation->score_count, &evaluation->sets[i],
                                   error);
    return status;
}

static of_status open_pixels(of_evaluation *evaluation, const char *masks, of_error *error) {
    if (!evaluation->compared)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "masks",
                               "masks are for sets that are compared with a normal one");
    evaluation->found = calloc(evaluation->set_count, sizeof *evaluation->found);
    if (evaluation->found == NULL)
        return of_fail_memory(error, "pixels");
    return of_pixel_sets_open(evaluation->detector, masks,
                              evaluation->scores[evaluation->main_score], evaluation->set_count,
                              &evaluation->pixels, error);
}

static of_status open_evaluation(of_evaluation *evaluation, const of_evaluation_options *options,
                                 of_error *error) {
    evaluation->compared = options->compared;
    evaluation->with_general = of_detector_describe(evaluation->detector).general_model != NULL;
    evaluation->with_threshold = options->threshold != NULL;
    evaluation->threshold = options->threshold != NULL ? *options->threshold : 0;
    evaluation->rate = options->threshold != NULL ? 0 : options->rate;
    evaluation->rank_correlation = evaluation->correlation = NAN;
    of_status status = choose_scores(evaluation, options->asked, error);
    if (status == OF_OK)
        status = open_sets(evaluation, options, error);
    if (status != OF_OK)
        return status;
    choose_judged(evaluation);
    if (options->masks != NULL)
        status = open_pixels(evaluation, options->masks, error);
    if (status != OF_OK)
        return status;
    if (!options->keep_images)
        return OF_OK;
    bool lists = !options->compared && evaluation->judged[evaluation->main_score];
    return of_gallery_create(evaluation->detector, options->set_count, options->compared,
                             lists ? OF_GALLERY_FLAGGED : OF_GALLERY_IMAGES, &evaluation->gallery,
                             error);
}

static of_status read_options(const of_evaluation_options *given, of_evaluation_options *own,
                              of_error *error) {
    *own = of_evaluation_options_default();
    return of_options_read(own, sizeof *own, offsetof(of_evaluation_options, masks), given,
                           "of_evaluation_options", error);
}

of_status of_evaluation_create(const of_detector *detector, const of_evaluation_options *options,
                               of_evaluation **evaluation, of_error *error) {
    of_evaluation_options own;
    if (detector == NULL || evaluation == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "an evaluation needs a detector and a place for its handle");
    of_status status = read_options(options, &own, error);
    if (status == OF_OK)
        status = check_sets(&own, error);
    if (status == OF_OK)
        status = check_flags(detector, &own, error);
    if (status != OF_OK)
        return status;
    of_evaluation *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "an evaluation");
    made->detector = detector;
    status = open_evaluation(made, &own, error);
    if (status == OF_OK)
        *evaluation = made;
    else
        of_evaluation_free(made);
    return status;
}

void of_evaluation_free(of_evaluation *evaluation) {
    if (evaluation == NULL)
        return;
    for (size_t i = 0; i < evaluation->set_count; i++)
        of_image_set_close(&evaluation->sets[i], evaluation->score_count);
    free(evaluation->sets);
    free(evaluation->scores);
    free(evaluation->judged);
    of_gallery_free(evaluation->gallery);
    of_pixel_sets_free(evaluation->pixels);
    free(evaluation->found);
    free(evaluation);
}

/* ---- Images -------------------------------------------------------------------------------- */

unsigned of_evaluation_needs(const of_evaluation *evaluation) {
    unsigned needs = 0;
    for (size_t i = 0; i < evaluation->score_count; i++)
        needs |= of_score_needs(evaluation->scores[i]);
    return needs & (OF_NEEDS_PNG | OF_NEEDS_WEBP);
}

static of_status add_image(of_evaluation *evaluation, size_t number, const of_scored_batch *batch,
                           size_t index, of_error *error) {
    of_image_set *set = &evaluation->sets[number];
    of_image_likelihood likelihood = of_scored_likelihood(batch, index);
    if (!of_image_set_add(evaluation, set, &likelihood))
        return of_fail_memory(error, "the scores of a set");
    const of_values *main = &set->columns[evaluation->main_score].values;
    of_status status =
        evaluation->pixels != NULL
            ? of_pixel_sets_add(evaluation->pixels, number, set->name, batch, index, error)
            : OF_OK;
    if (status != OF_OK)
        return status;
    return evaluation->gallery != NULL
               ? of_gallery_offer(evaluation->gallery, number, set->source, batch, index,
                                  main->items[main->count - 1], error)
               : OF_OK;
}

of_status of_evaluation_add(of_evaluation *evaluation, size_t set, const of_scored_batch *batch,
                            of_error *error) {
    of_status status = OF_OK;
    if (evaluation == NULL || batch == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_evaluation_add: a required argument is NULL");
    if (evaluation->finished || set >= evaluation->set_count)
        return of_fail(error, OF_ERROR_ARGUMENT, "no images can be added to set %zu%s", set,
                       evaluation->finished ? ": the evaluation is finished" : ": there is none");
    if (evaluation->sets[set].ended)
        return of_fail(error, OF_ERROR_ARGUMENT, "no images can be added to set %zu: it has ended",
                       set);
    for (size_t i = 0; status == OF_OK && i < of_scored_count(batch); i++)
        status = add_image(evaluation, set, batch, i, error);
    return status;
}

void of_evaluation_end_set(of_evaluation *evaluation, size_t set, const of_stream_result *result) {
    if (!evaluation->finished && set < evaluation->set_count)
        of_image_set_end(&evaluation->sets[set], result);
}

static of_status check_images(const of_evaluation *evaluation, of_error *error) {
    size_t filled = 0;
    for (size_t i = 0; i < evaluation->set_count; i++) {
        const of_image_set *set = &evaluation->sets[i];
        filled += set->logp.count > 0;
        if (evaluation->compared && set->logp.count == 0)
            return of_stream_fail_empty(set->source, &set->stream, error);
    }
    return filled > 0 ? OF_OK
                      : of_stream_fail_empty(evaluation->sets[0].source,
                                             &evaluation->sets[0].stream, error);
}

/* Of a set that nobody ended, nothing is known but its images. */
static void end_sets(of_evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->set_count; i++)
        if (!evaluation->sets[i].ended)
            of_image_set_end(&evaluation->sets[i], NULL);
}

/* Of set 0 that is what all sets have. */
static of_status compare_pixels(of_evaluation *evaluation, of_error *error) {
    of_evaluation_pixels *all = &evaluation->found[0];
    of_status status = OF_OK;
    for (size_t i = 1; i < evaluation->set_count; i++) {
        const of_pixel_set *set = &evaluation->pixels->sets[i];
        evaluation->found[i] = (of_evaluation_pixels){.known = set->region_count > 0,
                                                      .pictures = set->pictures,
                                                      .without_mask = set->without_mask};
        all->known = all->known || set->region_count > 0;
        all->pictures += set->pictures;
        all->without_mask += set->without_mask;
    }
    if (!all->known)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "masks",
                               "%.400s: there is no mask of any picture in it, or nothing in them",
                               evaluation->pixels->folder);
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++)
        if (evaluation->found[i].known)
            status =
                of_pixel_sets_compare(evaluation->pixels, i, &evaluation->found[i].metrics, error);
    return status;
}

of_evaluation_pixels of_evaluation_get_pixels(const of_evaluation *evaluation, size_t set) {
    return evaluation->found != NULL && evaluation->finished && set < evaluation->set_count
               ? evaluation->found[set]
               : (of_evaluation_pixels){.known = false};
}

of_status of_evaluation_finish(of_evaluation *evaluation, of_error *error) {
    if (evaluation == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_evaluation_finish: an evaluation is needed");
    of_status status = check_images(evaluation, error);
    if (status == OF_OK)
        end_sets(evaluation);
    for (size_t i = 1; status == OF_OK && evaluation->compared && i < evaluation->set_count; i++)
        status = of_image_set_compare(evaluation, &evaluation->sets[i], error);
    if (status == OF_OK && evaluation->with_general)
        status = of_image_sets_correlate(evaluation, error);
    if (status == OF_OK && evaluation->pixels != NULL)
        status = compare_pixels(evaluation, error);
    evaluation->finished = status == OF_OK;
    return status;
}

of_status of_evaluation_check_finished(const of_evaluation *evaluation, of_error *error) {
    return evaluation != NULL && evaluation->finished
               ? OF_OK
               : of_fail(error, OF_ERROR_ARGUMENT, "the evaluation is not finished");
}

/* ---- All in one ---------------------------------------------------------------------------- */

/* What the visitor of a set's batches needs. */
typedef struct set_run {
    of_evaluation *evaluation;
    size_t number;
} set_run;

static of_status add_batch(void *user, const of_scored_batch *batch, of_error *error) {
    const set_run *run = user;
    return of_evaluation_add(run->evaluation, run->number, batch, error);
}

/* The caller's observer, which also hears of files that could not be read. */
typedef struct fault_watch {
    of_stream_observer observer;
    of_evaluation *evaluation;
    size_t number;
} fault_watch;

/* Without memory for it, the report's list is shorter. */
static void note_unreadable(void *user, const char *source, const char *path, const char *reason) {
    const fault_watch *watch = user;
    (void)of_evaluation_add_unreadable(watch->evaluation, watch->number, path, reason, NULL);
    if (watch->observer.unreadable != NULL)
        watch->observer.unreadable(watch->observer.user, source, path, reason);
}

static void note_started(void *user, const char *source, uint64_t expected) {
    const fault_watch *watch = user;
    if (watch->observer.started != NULL)
        watch->observer.started(watch->observer.user, source, expected);
}

static void note_progress(void *user, uint64_t images) {
    const fault_watch *watch = user;
    if (watch->observer.progressed != NULL)
        watch->observer.progressed(watch->observer.user, images);
}

static void note_warning(void *user, const char *text) {
    const fault_watch *watch = user;
    if (watch->observer.warn != NULL)
        watch->observer.warn(watch->observer.user, text);
}

static bool ask_stop(void *user) {
    const fault_watch *watch = user;
    return watch->observer.stop != NULL && watch->observer.stop(watch->observer.user);
}

static of_stream_observer observe_faults(fault_watch *watch) {
    of_stream_observer observer = of_stream_observer_default();
    observer.user = watch;
    observer.started = note_started;
    observer.progressed = note_progress;
    observer.unreadable = note_unreadable;
    observer.warn = note_warning;
    observer.stop = ask_stop;
    return observer;
}

static of_status run_set(of_evaluation *evaluation, size_t number, const of_stream_options *options,
                         of_error *error) {
    set_run run = {evaluation, number};
    fault_watch watch = {of_stream_observer_default(), evaluation, number};
    of_stream_result result = {0};
    const char *source = evaluation->sets[number].source;
    of_stream_options own = *options;
    of_status status =
        of_options_read(&watch.observer, sizeof watch.observer, sizeof watch.observer,
                        options->observer, "of_stream_observer", error);
    if (status != OF_OK)
        return status;
    const of_stream_observer observer = observe_faults(&watch);
    own.observer = &observer;
    status =
        of_detector_stream(evaluation->detector, source, &own, add_batch, &run, &result, error);
    if (status == OF_OK && result.images == 0)
        return of_stream_fail_empty(source, &result, error);
    of_evaluation_end_set(evaluation, number, &result);
    return status;
}

static of_status run_sets(of_evaluation *evaluation, const of_stream_options *given,
                          of_error *error) {
    of_stream_options options = of_stream_options_default();
    of_status status =
        of_options_read(&options, sizeof options, offsetof(of_stream_options, max_pixels), given,
                        "of_stream_options", error);
    options.needs |= of_evaluation_needs(evaluation);
    if (evaluation->pixels != NULL)
        options.tile_heat_side = OF_PIXELS_SIDE;
    if (evaluation->gallery != NULL || evaluation->pixels != NULL)
        options.tile_heat = &evaluation->scores[evaluation->main_score];
    for (size_t i = 0; status == OF_OK && i < evaluation->set_count; i++)
        status = run_set(evaluation, i, &options, error);
    return status;
}

static of_status check_input(const of_evaluation *evaluation, of_error *error) {
    size_t times = 0;
    for (size_t i = 0; i < evaluation->set_count; i++)
        times += strcmp(evaluation->sets[i].source, "-") == 0;
    return times < 2 ? OF_OK
                     : of_fail_setting(error, OF_ERROR_ARGUMENT, "sets",
                                       "standard input ('-') can be read for one set only");
}

of_status of_evaluate(const of_detector *detector, const of_evaluation_options *options,
                      of_evaluation **evaluation, of_error *error) {
    of_evaluation_options own;
    of_evaluation *made = NULL;
    of_status status = of_evaluation_create(detector, options, &made, error);
    if (status == OF_OK && evaluation == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "of_evaluate: no place for the evaluation");
    if (status == OF_OK)
        status = check_input(made, error);
    if (status == OF_OK)
        status = read_options(options, &own, error);
    if (status == OF_OK)
        status = run_sets(made, own.stream, error);
    if (status == OF_OK)
        status = of_evaluation_finish(made, error);
    if (status == OF_OK)
        *evaluation = made;
    else
        of_evaluation_free(made);
    return status;
}
