/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a detector of a model: calibration, a measurement on images that were held out, the
 * file that is handed on, and the report. */
#include "core/error.h"
#include "fit/fitting.h"
#include "fit/outliers.h"
#include "fit/tiled.h"
#include "model/safetensors.h"

#include <outflow/output.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SET_IMAGES = 300, /* of each kind of outliers */
    MOST_HELD_OUT = 2000,
    SOURCE_SIZE = 1100,
    SETS = OF_FIT_MOST_SETS + 1
};

/* What is measured: sets[0] is the held-out one. */
typedef struct measurement {
    of_fitting *fitting;
    of_detector *detector;
    of_evaluation_set_options sets[SETS];
    size_t count;
    char *general[OF_TRAIN_MOST_SOURCES]; /* freed with free() */
    char *held_out;                       /* source of pictures in tiles; likewise */
} measurement;

/* ---- Sets --------------------------------------------------------------------------------- */

static void add_set(measurement *m, const char *name, const char *source) {
    if (m->count < SETS)
        m->sets[m->count++] = (of_evaluation_set_options){name, source};
}

static of_status write_set(const of_fitting *fitting, const of_pictures *pool, of_outliers kind,
                           const char *path, of_error *error) {
    uint8_t *pixels = malloc(pool->image_bytes);
    of_npy_file file;
    if (pixels == NULL)
        return of_fail_memory(error, "an image");
    of_status status =
        of_npy_begin(path, pool->channels, pool->height, pool->width, SET_IMAGES, &file, error);
    if (status == OF_OK) {
        for (uint64_t i = 0; status == OF_OK && i < SET_IMAGES; i++) {
            of_outliers_make(pool, kind, ~fitting->options.seed, i, pixels);
            status = of_npy_add(&file, pixels, error);
        }
        status = of_npy_end(&file, status, error);
    }
    free(pixels);
    return status;
}

static const char *held_out(const of_fitting *fitting) {
    return fitting->plan.check > 0 ? fitting->work.check : fitting->work.calibrate;
}

static of_status make_sets(measurement *m, of_error *error) {
    const of_fitting *fitting = m->fitting;
    const of_architecture *shape = &fitting->plan.architecture;
    of_pictures pool = {0};
    add_set(m, "held out", held_out(fitting));
    of_status status = of_pictures_load(held_out(fitting), shape->channels, shape->height,
                                        shape->width, MOST_HELD_OUT, &pool, error);
    for (of_outliers kind = 0; status == OF_OK && kind < OF_OUTLIERS_KINDS; kind++) {
        status = write_set(fitting, &pool, kind, fitting->work.sets[kind], error);
        add_set(m, of_outliers_name(kind), fitting->work.sets[kind]);
    }
    of_pictures_free(&pool);
    add_set(m, "drawn shapes", "synthetic:shapes:300");
    return status;
}

/* Pictures in tiles: the same kinds, each in a region of a picture. */
static of_status make_defective_sets(measurement *m, of_error *error) {
    const of_fitting *fitting = m->fitting;
    const char *list = fitting->work.lists[fitting->plan.check > 0 ? 2 : 1];
    of_defects defects;
    m->held_out = of_fitting_listed(fitting, list, "");
    if (m->held_out == NULL)
        return of_fail_memory(error, "the name of a source");
    add_set(m, "held out", m->held_out);
    of_status status = of_defects_open(fitting, list, &defects, error);
    for (of_outliers kind = 0; status == OF_OK && kind < OF_OUTLIERS_KINDS; kind++) {
        status = of_defects_write(&defects, kind, ~fitting->options.seed, fitting->work.sets[kind],
                                  error);
        add_set(m, of_outliers_name(kind), fitting->work.sets[kind]);
    }
    of_defects_close(&defects);
    return status;
}

static of_status add_general(measurement *m, of_error *error) {
    static const char *const names[] = {"general images", "general images 2", "general images 3"};
    enum { MOST = sizeof names / sizeof *names };
    const of_fit_options *options = &m->fitting->options;
    for (size_t i = 0; m->fitting->plan.against_general && i < options->general_count && i < MOST;
         i++) {
        size_t size = strlen(options->general_data[i]) + sizeof "part:0-0.1:";
        m->general[i] = malloc(size);
        if (m->general[i] == NULL)
            return of_fail_memory(error, "names of parts");
        (void)snprintf(m->general[i], size, "part:0-0.1:%s", options->general_data[i]);
        add_set(m, names[i], m->general[i]);
    }
    return OF_OK;
}

/* ---- Calibration -------------------------------------------------------------------------- */

static of_status open_detector(measurement *m, of_error *error) {
    const of_fitting *fitting = m->fitting;
    of_detector_options options = of_detector_options_default();
    bool trained = fitting->plan.way == OF_FIT_TRAIN;
    options.model = fitting->work.model;
    options.general_model = trained ? of_fitting_general(fitting) : NULL;
    options.threads = fitting->options.threads;
    options.isa = fitting->options.isa;
    options.tiles = fitting->plan.tiles;
    options.latency = false; /* batches have images for all threads */
    return of_detector_open(&options, &m->detector, error);
}

/* By what the file says to judge: a score and a rate, for whoever opens it. */
static of_status store_judging(const of_fitting *fitting, of_score score, of_error *error) {
    char name[32], rate[OF_NUMBER_SIZE], text[128];
    const char *from = fitting->plan.way == OF_FIT_TRAIN ? fitting->work.model : NULL;
    char path[OF_MODEL_PATH_SIZE];
    of_status status = OF_OK;
    of_score_name(score, name, sizeof name);
    (void)snprintf(text, sizeof text, "{\"score\":\"%s\",\"rate\":%s}", name,
                   of_number_text(fitting->options.rate, rate));
    if (from == NULL) { /* the general model is the model */
        status = of_model_locate(of_fitting_general(fitting), path, sizeof path, error);
        from = path;
    }
    return status == OF_OK
               ? of_safetensors_replace_metadata(from, fitting->work.model, "judging", text, error)
               : status;
}

static void tell_images(void *user, uint64_t images) {
    const measurement *m = user;
    if (m->fitting->observer->progressed != NULL)
        m->fitting->observer->progressed(m->fitting->observer->user, images, (double)NAN);
}

/* By the largest score of each picture's tiles. */
static of_status calibrate_pictures(measurement *m, of_error *error) {
    const of_fitting *fitting = m->fitting;
    of_stream_observer observer = of_stream_observer_default();
    of_stream_options stream = of_stream_options_default();
    char *source = of_fitting_listed(fitting, fitting->work.lists[1], "");
    char record[SOURCE_SIZE];
    if (source == NULL)
        return of_fail_memory(error, "the name of a source");
    (void)snprintf(record, sizeof record, "%.1000s (held out)", fitting->options.source);
    stream.recorded_as = record;
    observer.user = m;
    observer.progressed = tell_images;
    stream.observer = &observer;
    of_fitting_begin(fitting, OF_FIT_CALIBRATE, 0, 0);
    of_status status = of_detector_calibrate(m->detector, source, &stream, NULL, error);
    free(source);
    return status;
}

static of_status calibrate(measurement *m, of_error *error) {
    const of_fitting *fitting = m->fitting;
    const of_architecture *shape = &fitting->plan.architecture;
    of_pictures pictures = {0};
    char source[SOURCE_SIZE];
    of_fitting_begin(fitting, OF_FIT_CALIBRATE, fitting->plan.calibrate, 0);
    of_status status = of_pictures_load(fitting->work.calibrate, shape->channels, shape->height,
                                        shape->width, SIZE_MAX / 2, &pictures, error);
    const of_batch batch = {OF_PIXEL_U8, pictures.pixels, pictures.count};
    (void)snprintf(source, sizeof source, "%.1000s (held out)", fitting->options.source);
    if (status == OF_OK)
        status = of_detector_calibrate_pixels(m->detector, &batch, source, error);
    of_pictures_free(&pictures);
    return status;
}

/* ---- Measuring ---------------------------------------------------------------------------- */

static of_status evaluate(measurement *m, of_score score, of_evaluation **evaluation,
                          of_error *error) {
    of_stream_observer observer = of_stream_observer_default();
    of_stream_options stream = of_stream_options_default();
    of_evaluation_options options = of_evaluation_options_default();
    observer.user = m;
    observer.progressed = tell_images;
    stream.observer = &observer;
    stream.limit = MOST_HELD_OUT;
    stream.seed = ~m->fitting->options.seed >> 1;
    options.sets = m->sets;
    options.set_count = m->count;
    options.compared = true;
    options.asked = &score;
    options.rate = m->fitting->options.rate;
    options.keep_images = m->fitting->options.report != NULL;
    options.stream = &stream;
    of_fitting_begin(m->fitting, OF_FIT_MEASURE, 0, 0);
    return of_evaluate(m->detector, &options, evaluation, error);
}

static void take_figures(const measurement *m, const of_evaluation *evaluation, of_score score) {
    of_fit_result *result = &m->fitting->result;
    size_t main = of_evaluation_main_score(evaluation);
    of_evaluation_flags flags = of_evaluation_get_flags(evaluation, 0, main);
    bool checked = m->fitting->plan.check > 0;
    result->score = score;
    result->rate = m->fitting->options.rate;
    result->calibrated = m->fitting->plan.calibrate;
    result->checked = m->fitting->plan.check;
    result->flagged = checked && flags.known ? flags.share : (double)NAN;
    for (size_t i = 1; i < m->count; i++) {
        of_fit_set *set = &result->sets[result->set_count++];
        flags = of_evaluation_get_flags(evaluation, i, main);
        (void)snprintf(set->name, sizeof set->name, "%s", m->sets[i].name);
        set->images = of_evaluation_get_set(evaluation, i).stream.images;
        set->auroc = of_evaluation_metrics(evaluation, i, main)->auroc;
        set->flagged = flags.known ? flags.share : (double)NAN;
    }
}

/* ---- Writing ------------------------------------------------------------------------------ */

static of_status write_report(const of_fitting *fitting, of_evaluation *evaluation,
                              of_error *error) {
    of_report_options options = of_report_options_default();
    of_output *output = NULL;
    if (fitting->options.report == NULL)
        return OF_OK;
    options.command = fitting->options.record;
    of_fitting_begin(fitting, OF_FIT_REPORT, 0, 0);
    of_status status = of_output_open(fitting->options.report, &output, error);
    if (status != OF_OK)
        return status;
    status = of_evaluation_write_report(evaluation, &options, of_output_file(output), error);
    if (status == OF_OK)
        return of_output_commit(output, error);
    of_output_discard(output);
    return status;
}

static of_status save(const measurement *m, of_error *error) {
    of_save_options options = of_save_options_default();
    options.bundle = of_detector_describe(m->detector).general_model != NULL;
    return of_detector_save(m->detector, m->fitting->options.out, &options, error);
}

static of_status judge_and_write(measurement *m, of_error *error) {
    const of_score score = of_fitting_score(m->fitting);
    of_evaluation *evaluation = NULL;
    of_status status = evaluate(m, score, &evaluation, error);
    if (status == OF_OK) {
        take_figures(m, evaluation, score);
        status = save(m, error);
    }
    if (status == OF_OK)
        status = write_report(m->fitting, evaluation, error);
    of_evaluation_free(evaluation);
    return status;
}

of_status of_fitting_finish(of_fitting *fitting, of_error *error) {
    measurement m = {.fitting = fitting};
    of_status status = store_judging(fitting, of_fitting_score(fitting), error);
    if (status == OF_OK && fitting->plan.way == OF_FIT_TRAIN)
        status = of_fitting_name_origin(fitting, error);
    if (status == OF_OK)
        status = open_detector(&m, error);
    bool tiled = fitting->plan.tiles.size > 0;
    if (status == OF_OK)
        status = tiled ? calibrate_pictures(&m, error) : calibrate(&m, error);
    if (status == OF_OK)
        status = tiled ? make_defective_sets(&m, error) : make_sets(&m, error);
    if (status == OF_OK && !tiled) /* general images are no pictures of this size */
        status = add_general(&m, error);
    if (status == OF_OK)
        status = judge_and_write(&m, error);
    of_detector_free(m.detector);
    for (size_t i = 0; i < OF_TRAIN_MOST_SOURCES; i++)
        free(m.general[i]);
    free(m.held_out);
    return status;
}
