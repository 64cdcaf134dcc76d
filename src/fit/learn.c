/* SPDX-License-Identifier: Apache-2.0 */
/* Training: a general model where there is none, then the model. */
#include "core/error.h"
#include "fit/fitting.h"
#include "fit/outliers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH = 64,
    WARMUP = 20,      /* steps */
    MOST_POOL = 5000, /* images that outliers are made of */
    MOST_OUTLIERS = 6000,
    GENERAL_IMAGES = 10000 /* synthetic ones, for a general model */
};

static const double rate = 5e-4;
static const double least_minutes = 1e-5; /* ends a run at once */

/* ---- Images made from the normal ones, for a general model
 * -------------------------------------------------------------------- */

static of_status write_outliers(const of_fitting *fitting, const of_pictures *pool, size_t count,
                                of_error *error) {
    static const of_outliers kinds[] = {OF_OUTLIERS_DEGRADED, OF_OUTLIERS_CUTOUTS,
                                        OF_OUTLIERS_MIXTURES};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    uint8_t *pixels = malloc(pool->image_bytes);
    of_npy_file file;
    if (pixels == NULL)
        return of_fail_memory(error, "an image");
    of_status status = of_npy_begin(fitting->work.outliers, pool->channels, pool->height,
                                    pool->width, count, &file, error);
    if (status == OF_OK) {
        for (size_t i = 0; status == OF_OK && i < count; i++) {
            of_outliers_make(pool, kinds[i % KINDS], fitting->options.seed, i, pixels);
            status = of_npy_add(&file, pixels, error);
        }
        status = of_npy_end(&file, status, error);
    }
    free(pixels);
    return status;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static of_status make_outliers(const of_fitting *fitting, of_error *error) {
    const of_architecture *shape = &fitting->plan.architecture;
    const char *normal = fitting->plan.train > 0 ? fitting->work.train : fitting->work.calibrate;
    of_pictures pool = {0};
    if (exists(fitting->work.outliers))
        return OF_OK;
    of_status status = of_pictures_load(normal, shape->channels, shape->height, shape->width,
                                        MOST_POOL, &pool, error);
    size_t count = 3 * pool.count < MOST_OUTLIERS ? 3 * pool.count : MOST_OUTLIERS;
    if (status == OF_OK)
        status = write_outliers(fitting, &pool, count, error);
    of_pictures_free(&pool);
    return status;
}

/* ---- A training --------------------------------------------------------------------------- */

/* One of the two, with what of_train is told about it. */
typedef struct training {
    of_fitting *fitting;
    of_train_options options;
    of_train_result result;
    uint64_t resumed;
} training;

static void tell_start(void *user, const of_train_start *start) {
    training *t = user;
    t->resumed = start->resumed_images;
}

static void tell_progress(void *user, uint64_t images, double bits_per_dim, double unused) {
    const training *t = user;
    const of_fit_observer *observer = t->fitting->observer;
    (void)unused;
    if (observer->progressed != NULL)
        observer->progressed(observer->user, images - t->resumed, bits_per_dim);
}

static void tell_warning(void *user, const char *text) {
    const training *t = user;
    of_fitting_warn(t->fitting, "%s", text);
}

static void tell_unreadable(void *user, const char *source, const char *path, const char *reason) {
    const training *t = user;
    const of_fit_observer *observer = t->fitting->observer;
    if (observer->unreadable != NULL)
        observer->unreadable(observer->user, source, path, reason);
}

static bool is_stopped(void *user) {
    const training *t = user;
    return of_fitting_stopped(t->fitting);
}

static bool has_checkpoint(const char *out) {
    size_t size = strlen(out) + sizeof ".checkpoint";
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s.checkpoint", out);
    bool found = path != NULL && exists(path);
    free(path);
    return found;
}

static training prepare(of_fitting *fitting, const char *out) {
    training t = {.fitting = fitting, .options = of_train_options_default()};
    of_train_options *o = &t.options;
    o->out = out;
    o->resume = has_checkpoint(out);
    o->overwrite = !o->resume; /* the folder is this run's */
    o->architecture = &fitting->plan.architecture;
    o->batch = BATCH;
    o->optimizer = OF_OPTIMIZER_ADAM;
    o->rate = rate;
    o->schedule = OF_SCHEDULE_COSINE;
    o->warmup = WARMUP;
    o->seed = fitting->options.seed;
    o->threads = fitting->options.threads;
    o->isa = fitting->options.isa;
    o->checkpoint_every = 60;
    o->record = fitting->options.record;
    return t;
}

static of_status run(training *t, bool deaf, of_error *error) {
    of_train_observer observer = of_train_observer_default();
    observer.user = t;
    observer.started = tell_start;
    observer.progressed = tell_progress;
    observer.warn = tell_warning;
    observer.unreadable = tell_unreadable;
    observer.stop = deaf ? NULL : is_stopped;
    return of_train(&t->options, &observer, &t->result, error);
}

/* The weights of an interrupted run lie in its checkpoint: one that is out of time writes them. */
static of_status take_what_is_there(training *t, of_error *error) {
    t->options.minutes = least_minutes;
    t->options.resume = true;
    t->options.overwrite = false;
    return run(t, true, error);
}

/* ---- The general model -------------------------------------------------------------------- */

static of_status learn_general(of_fitting *fitting, of_error *error) {
    char synthetic[64];
    const char *const data[] = {synthetic, fitting->work.outliers,
                                fitting->plan.train > 0 ? fitting->work.train
                                                        : fitting->work.calibrate};
    const of_fit_plan *plan = &fitting->plan;
    if (plan->general_model != NULL || exists(fitting->work.general))
        return OF_OK;
    (void)snprintf(synthetic, sizeof synthetic, "synthetic:general:%d", (int)GENERAL_IMAGES);
    training t = prepare(fitting, fitting->work.general);
    t.options.data = data;
    t.options.data_count = sizeof data / sizeof *data;
    t.options.minutes = plan->general_minutes;
    t.options.images = plan->general_minutes > 0 ? 0 : fitting->options.images;
    of_fitting_begin(fitting, OF_FIT_TRAIN_GENERAL, t.options.images, 60 * t.options.minutes);
    of_status status = run(&t, false, error);
    if (status == OF_OK && t.result.end == OF_TRAIN_INTERRUPTED)
        status = of_fail(error, OF_ERROR_IO,
                         "interrupted while the general model was trained; what is done is kept");
    return status;
}

/* ---- The model ---------------------------------------------------------------------------- */

/* A tenth of the general images is measured with. */
static of_status take_general_images(const of_fitting *fitting, training *t, char **names,
                                     of_error *error) {
    const of_fit_options *options = &fitting->options;
    for (size_t i = 0; i < options->general_count; i++) {
        size_t size = strlen(options->general_data[i]) + sizeof "part:0.1-1:";
        names[i] = malloc(size);
        if (names[i] == NULL)
            return of_fail_memory(error, "names of parts");
        (void)snprintf(names[i], size, "part:0.1-1:%s", options->general_data[i]);
    }
    t->options.general_model = of_fitting_general(fitting);
    t->options.outlier_loss = OF_OUTLIER_RATIO;
    t->options.general_data = (const char *const *)names;
    t->options.general_count = options->general_count;
    return OF_OK;
}

static of_status run_model(of_fitting *fitting, training *t, of_error *error) {
    const of_fit_plan *plan = &fitting->plan;
    of_fitting_begin(fitting, OF_FIT_TRAIN_MODEL, plan->train_images, 60 * plan->train_minutes);
    of_status status = run(t, false, error);
    fitting->result.interrupted = status == OF_OK && t->result.end == OF_TRAIN_INTERRUPTED;
    if (fitting->result.interrupted && t->result.step == 0)
        return of_fail(error, OF_ERROR_IO,
                       "interrupted before the first step; what is done is kept");
    if (fitting->result.interrupted)
        status = take_what_is_there(t, error);
    fitting->result.trained = t->result.images;
    fitting->result.unreadable += t->result.unreadable;
    return status;
}

static of_status learn_model(of_fitting *fitting, of_error *error) {
    const of_fit_plan *plan = &fitting->plan;
    const char *const normal[] = {fitting->work.train};
    char *general[OF_TRAIN_MOST_SOURCES] = {NULL};
    training t = prepare(fitting, fitting->work.model);
    of_status status = OF_OK;
    t.options.data = normal;
    t.options.data_count = 1;
    t.options.init_file = of_fitting_general(fitting);
    t.options.images = plan->train_images;
    t.options.minutes = plan->train_minutes;
    if (plan->against_general)
        status = take_general_images(fitting, &t, general, error);
    if (status == OF_OK)
        status = run_model(fitting, &t, error);
    for (size_t i = 0; i < OF_TRAIN_MOST_SOURCES; i++)
        free(general[i]);
    return status;
}

of_status of_fitting_learn(of_fitting *fitting, of_error *error) {
    of_status status = OF_OK;
    if (fitting->plan.general_model == NULL)
        status = make_outliers(fitting, error);
    if (status == OF_OK)
        status = learn_general(fitting, error);
    return status == OF_OK && fitting->plan.way == OF_FIT_TRAIN ? learn_model(fitting, error)
                                                                : status;
}
