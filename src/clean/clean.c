/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of a cleaning, and what it says. */
#define _POSIX_C_SOURCE 200809L
#include "clean/cleaning.h"
#include "core/error.h"
#include "core/options_read.h"
#include "fit/similar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

of_clean_options of_clean_options_default(void) {
    return (of_clean_options){.size = sizeof(of_clean_options), .rate = 0.05};
}

const char *of_clean_issue_name(of_clean_issue issue) {
    static const char *const names[OF_CLEAN_ISSUES] = {
        "conflict", "leak",    "unreadable", "blank", "copy",
        "misfiled", "outlier", "similar",    "shape", "suspect"};
    return (unsigned)issue < OF_CLEAN_ISSUES ? names[issue] : "unknown";
}

static of_status check(const of_clean_options *options, of_error *error) {
    if (options->source == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "no source of labelled images is given");
    if (!(options->rate > 0 && options->rate < 1))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "a share of false findings of %g is not between 0 and 1", options->rate);
    if (options->suspects > OF_CLEAN_SUSPECTS)
        return of_fail(error, OF_ERROR_ARGUMENT, "more than %d suspects are asked for",
                       (int)OF_CLEAN_SUSPECTS);
    return OF_OK;
}

/* Names live on: findings point to them. */
static of_status begin(const of_clean_options *options, of_cleaning **cleaning, of_error *error) {
    of_cleaning *made = calloc(1, sizeof *made);
    *cleaning = made;
    if (made == NULL)
        return of_fail_memory(error, "a cleaning");
    made->options = *options;
    made->sources[0] = strdup(options->source);
    made->sources[1] = options->other != NULL ? strdup(options->other) : NULL;
    if (made->sources[0] == NULL || (options->other != NULL && made->sources[1] == NULL))
        return of_fail_memory(error, "the name of a source");
    return OF_OK;
}

/* Pixels stay for the report. */
static of_status examine(of_cleaning *cleaning, const of_stream_observer *observer,
                         of_error *error) {
    of_similar similar;
    of_status status = of_clean_gather(cleaning, observer, error);
    if (status != OF_OK)
        return status;
    if (cleaning->survey.count == 0)
        return of_fail(error, OF_ERROR_FORMAT, "no image of '%.300s' could be read",
                       cleaning->sources[0]);
    status = of_similar_find(&cleaning->survey, &similar, error);
    cleaning->summary.alike = status == OF_OK && similar.alike;
    if (status == OF_OK)
        status = of_discriminate(cleaning, observer, error);
    if (status == OF_OK)
        status = of_clean_test(cleaning, error);
    return status == OF_OK ? of_clean_find(cleaning, error) : status;
}

of_status of_clean(const of_clean_options *given, const of_stream_observer *observer,
                   of_cleaning **cleaning, of_error *error) {
    of_clean_options options = of_clean_options_default();
    of_stream_observer watch = of_stream_observer_default();
    double start = of_seconds();
    if (cleaning == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_clean: a required argument is NULL");
    *cleaning = NULL;
    of_status status =
        of_options_read(&options, sizeof options, OF_SIZE_UP_TO(of_clean_options, isa), given,
                        "of_clean_options", error);
    if (status == OF_OK && observer != NULL)
        status = of_options_read(&watch, sizeof watch, OF_SIZE_UP_TO(of_stream_observer, stop),
                                 observer, "of_stream_observer", error);
    if (status == OF_OK)
        status = check(&options, error);
    if (status == OF_OK)
        status = begin(&options, cleaning, error);
    if (status == OF_OK)
        status = examine(*cleaning, &watch, error);
    if (status != OF_OK) {
        of_cleaning_free(*cleaning);
        *cleaning = NULL;
        return status;
    }
    (*cleaning)->summary.images = (*cleaning)->survey.count;
    (*cleaning)->summary.classes = (*cleaning)->labels.count;
    (*cleaning)->summary.seconds = of_seconds() - start;
    return OF_OK;
}

void of_cleaning_free(of_cleaning *cleaning) {
    if (cleaning == NULL)
        return;
    for (size_t i = 0; cleaning->images != NULL && i < cleaning->survey.count; i++)
        free(cleaning->images[i].path);
    for (size_t i = 0; i < cleaning->fault_count; i++) {
        free(cleaning->faults[i].path);
        free(cleaning->faults[i].reason);
    }
    free(cleaning->images);
    free(cleaning->faults);
    free(cleaning->entries);
    free(cleaning->sources[0]);
    free(cleaning->sources[1]);
    of_labels_free(&cleaning->labels);
    of_survey_close(&cleaning->survey);
    free(cleaning);
}

of_clean_summary of_cleaning_describe(const of_cleaning *cleaning) {
    return cleaning->summary;
}

size_t of_cleaning_count(const of_cleaning *cleaning) {
    return cleaning->entry_count;
}

static const char *label_of(const of_cleaning *cleaning, int32_t label) {
    return label >= 0 ? cleaning->labels.names[label] : "";
}

static of_clean_finding tell_fault(const of_cleaning *cleaning, const of_clean_entry *entry) {
    const of_clean_fault *fault = &cleaning->faults[entry->image];
    return (of_clean_finding){.issue = entry->issue,
                              .source = cleaning->sources[fault->source],
                              .path = fault->path,
                              .label = "",
                              .p_value = (double)NAN,
                              .suggested = "",
                              .duplicate_of = "",
                              .duplicate_source = "",
                              .duplicate_label = "",
                              .notes = fault->reason};
}

of_clean_finding of_cleaning_finding(const of_cleaning *cleaning, size_t index) {
    const of_clean_entry *entry = &cleaning->entries[index];
    if (entry->issue == OF_CLEAN_UNREADABLE)
        return tell_fault(cleaning, entry);
    const of_clean_image *image = &cleaning->images[entry->image];
    const of_clean_image *copy =
        entry->duplicate != UINT32_MAX ? &cleaning->images[entry->duplicate] : NULL;
    bool suggests = entry->issue == OF_CLEAN_MISFILED || entry->issue == OF_CLEAN_SUSPECT;
    return (of_clean_finding){
        .issue = entry->issue,
        .source = cleaning->sources[image->source],
        .path = image->path,
        .label = label_of(cleaning, image->label),
        .p_value = entry->p_value,
        .suggested = suggests ? label_of(cleaning, image->suggested) : "",
        .duplicate_of = copy != NULL ? copy->path : "",
        .duplicate_source = copy != NULL ? cleaning->sources[copy->source] : "",
        .duplicate_label = copy != NULL ? label_of(cleaning, copy->label) : "",
        .notes = entry->notes};
}
