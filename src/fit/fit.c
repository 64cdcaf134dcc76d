/* SPDX-License-Identifier: Apache-2.0 */
/* From normal images to a detector: look, plan, divide, learn, finish. */
#define _POSIX_C_SOURCE 200809L
#include "core/clock.h"
#include "core/error.h"
#include "core/options_read.h"
#include "fit/fitting.h"

#include <outflow/output.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Options ------------------------------------------------------------------------------ */

of_fit_options of_fit_options_default(void) {
    return (of_fit_options){.size = sizeof(of_fit_options), .minutes = 10, .rate = 0.05};
}

of_fit_observer of_fit_observer_default(void) {
    return (of_fit_observer){.size = sizeof(of_fit_observer)};
}

const char *of_fit_stage_name(of_fit_stage stage) {
    static const char *const names[] = {"look",      "train-general", "train",
                                        "calibrate", "measure",       "report"};
    return (size_t)stage < sizeof names / sizeof *names ? names[stage] : "";
}

static of_status refuse(of_error *error, const char *setting, const char *reason) {
    return of_fail_setting(error, OF_ERROR_ARGUMENT, setting, "%s: %s", setting, reason);
}

static of_status check_sizes(const of_fit_options *o, of_error *error) {
    if ((o->height == 0) != (o->width == 0))
        return refuse(error, "height", "height and width are given together");
    if (o->height % 2 != 0 || o->width % 2 != 0 || o->height > 1024 || o->width > 1024)
        return refuse(error, "height", "height and width are even and up to 1024");
    if (o->channels == 2 || o->channels > 3)
        return refuse(error, "channels", "1 (grey) or 3 (colour)");
    return OF_OK;
}

static of_status check_sources(const of_fit_options *o, of_error *error) {
    if (o->source == NULL || o->source[0] == '\0')
        return refuse(error, "source", "normal images are needed");
    if (o->out == NULL || o->out[0] == '\0')
        return refuse(error, "out", "a weight file to write is needed");
    if (strcmp(o->source, "-") == 0)
        return refuse(error, "source", "standard input cannot be read again when the run goes on");
    if (o->general_count > OF_TRAIN_MOST_SOURCES)
        return refuse(error, "general_data", "too many sources");
    for (size_t i = 0; i < o->general_count; i++)
        if (o->general_data == NULL || o->general_data[i] == NULL ||
            strcmp(o->general_data[i], "-") == 0)
            return refuse(error, "general_data", "a source that is named is needed");
    return OF_OK;
}

static of_status read_options(const of_fit_options *given, of_fit_options *o, of_error *error) {
    *o = of_fit_options_default();
    of_status status = of_options_read(o, sizeof *o, offsetof(of_fit_options, tiles), given,
                                       "options of a fit", error);
    if (status == OF_OK)
        status = check_sources(o, error);
    if (status == OF_OK)
        status = check_sizes(o, error);
    if (status != OF_OK)
        return status;
    if (!(o->minutes >= 1e-3 && o->minutes <= 1e6))
        return refuse(error, "minutes", "a number from 0.001 to 1000000");
    if (!(o->rate > 0 && o->rate < 1))
        return refuse(error, "rate", "a share between 0 and 1");
    if (o->threads > 4096)
        return refuse(error, "threads", "at most 4096");
    if (o->seed > (uint64_t)1 << 53)
        return refuse(error, "seed", "at most 2^53");
    if (o->resume && o->overwrite)
        return of_fail(error, OF_ERROR_ARGUMENT, "resume and overwrite exclude each other");
    if (o->tiles.size == 0 && o->tiles.stride == 0)
        return OF_OK;
    if (o->whole)
        return refuse(error, "tiles", "whole pictures are asked for as well");
    return of_tiling_check(&o->tiles, error);
}

of_status of_fit_options_check(const of_fit_options *options, of_error *error) {
    of_fit_options own;
    return read_options(options, &own, error);
}

/* ---- Outputs ------------------------------------------------------------------------------ */

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

static of_status check_outputs(const of_fitting *fitting, of_error *error) {
    const of_fit_options *o = &fitting->options;
    const of_work *work = &fitting->work;
    if (o->overwrite || o->plan_only)
        return OF_OK;
    if (exists(work->folder) && !o->resume)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "resume",
                               "%s holds an unfinished run: go on with it, or overwrite it",
                               work->folder);
    if (exists(o->out) && !exists(work->folder))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "overwrite",
                               "%s is there already, and no unfinished run of it", o->out);
    return OF_OK;
}

/* That the report can be written is seen now and not after the work. */
static of_status try_report(const of_fitting *fitting, of_error *error) {
    of_output *output = NULL;
    if (fitting->options.report == NULL)
        return OF_OK;
    of_status status = of_output_open(fitting->options.report, &output, error);
    of_output_discard(output);
    return status;
}

static of_status make_folder(const of_fitting *fitting, of_error *error) {
    const char *folder = fitting->work.folder;
    if (!fitting->options.resume)
        of_work_remove(&fitting->work);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        int reason = errno;
        return of_fail_io(error, reason, "cannot make the folder %s: %s", folder, strerror(reason));
    }
    return OF_OK;
}

/* ---- Stages ------------------------------------------------------------------------------- */

static void tell_plan(const of_fitting *fitting) {
    if (fitting->observer->planned != NULL)
        fitting->observer->planned(fitting->observer->user, &fitting->plan);
}

static of_status divide(of_fitting *fitting, const of_survey *survey, of_error *error) {
    of_status status = make_folder(fitting, error);
    if (status == OF_OK)
        status = of_fitting_divide(fitting, survey, error);
    return status == OF_OK ? of_fitting_save_state(fitting, error) : status;
}

static of_status look_and_plan(of_fitting *fitting, of_error *error) {
    of_survey survey = {0};
    of_similar similar;
    of_status status = of_survey_run(&fitting->options, fitting->observer, &survey, error);
    if (status == OF_OK)
        status = of_similar_find(&survey, &similar, error);
    if (status == OF_OK)
        status = of_fitting_plan(fitting, &survey, &similar, error);
    if (status == OF_OK)
        tell_plan(fitting);
    if (status == OF_OK && of_fitting_stopped(fitting))
        status = of_fail(error, OF_ERROR_IO, "interrupted before training began");
    if (status == OF_OK && !fitting->options.plan_only)
        status = divide(fitting, &survey, error);
    of_survey_close(&survey);
    return status;
}

static of_status resume(of_fitting *fitting, of_error *error) {
    of_status status = of_fitting_load_state(fitting, error);
    if (status == OF_OK)
        tell_plan(fitting);
    return status;
}

static void end(of_fitting *fitting) {
    of_fit_result *result = &fitting->result;
    result->unreadable += fitting->plan.unreadable;
    result->tiles = fitting->plan.tiles;
    result->seconds = of_seconds() - fitting->started;
    if (result->interrupted)
        (void)snprintf(result->work, sizeof result->work, "%s", fitting->work.folder);
    else
        of_work_remove(&fitting->work);
}

static of_status run_stages(of_fitting *fitting, of_error *error) {
    bool goes_on = fitting->options.resume && exists(fitting->work.state);
    of_status status = goes_on ? resume(fitting, error) : look_and_plan(fitting, error);
    fitting->result.planned_only = fitting->options.plan_only;
    if (status != OF_OK || fitting->options.plan_only)
        return status;
    status = of_fitting_learn(fitting, error);
    if (status == OF_OK)
        status = of_fitting_finish(fitting, error);
    if (status == OF_OK)
        end(fitting);
    return status;
}

static of_status run(of_fitting *fitting, of_error *error) {
    of_status status = of_work_name(fitting->options.out, &fitting->work, error);
    if (status == OF_OK)
        status = check_outputs(fitting, error);
    if (status == OF_OK && !fitting->options.plan_only)
        status = of_file_lock_take(fitting->options.out, &fitting->lock, error);
    if (status == OF_OK && !fitting->options.plan_only)
        status = try_report(fitting, error);
    if (status == OF_OK)
        status = run_stages(fitting, error);
    of_file_lock_release(&fitting->lock);
    of_work_free(&fitting->work);
    free(fitting->general_name);
    return status;
}

of_status of_fit(const of_fit_options *options, const of_fit_observer *observer,
                 of_fit_result *result, of_error *error) {
    of_fit_observer watching = of_fit_observer_default();
    of_fitting fitting = {.observer = &watching, .started = of_seconds()};
    of_status status = of_options_read(&watching, sizeof watching, sizeof watching, observer,
                                       "observer of a fit", error);
    if (status == OF_OK && result == NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "a result has nowhere to go");
    if (status == OF_OK)
        status = read_options(options, &fitting.options, error);
    if (status == OF_OK)
        status = run(&fitting, error);
    if (result != NULL) {
        memset(result, 0, sizeof *result);
        if (status == OF_OK)
            *result = fitting.result;
    }
    return status;
}
