/* SPDX-License-Identifier: Apache-2.0 */
/* The general model: an installed one of the images' shape, or what is trained in its place. And
 * how fast a model of its architecture trains here. */
#define _POSIX_C_SOURCE 200809L
#include "core/clock.h"
#include "core/error.h"
#include "fit/fitting.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256, BATCH = 64, TIMED_STEPS = 3, MOST_SCALES = 3, MOST_SIDE = 1024 };

/* ---- By name ------------------------------------------------------------------------------ */

typedef struct search {
    const of_architecture *wanted;
    char name[NAME_SIZE];
    of_architecture architecture;
    size_t parameters; /* of the largest that fits */
} search;

static bool has_shape(const of_architecture *a, const of_architecture *b) {
    return a->channels == b->channels && a->height == b->height && a->width == b->width;
}

/* Of several, the one with the most parameters has been trained on the most. */
static void consider(void *user, const char *name) {
    static const char ending[] = "-general";
    search *best = user;
    size_t length = strlen(name);
    of_model *model;
    if (length < sizeof ending || length >= NAME_SIZE ||
        strcmp(name + length - (sizeof ending - 1), ending) != 0 ||
        of_model_open(name, &model, NULL) != OF_OK)
        return;
    if (has_shape(of_model_architecture(model), best->wanted) &&
        of_model_architecture(model)->classes == 0 &&
        of_model_parameter_count(model) > best->parameters) {
        best->parameters = of_model_parameter_count(model);
        best->architecture = *of_model_architecture(model);
        memcpy(best->name, name, length + 1);
    }
    of_model_free(model);
}

static of_status take_name(of_fitting *fitting, const char *name, const of_architecture *found,
                           of_error *error) {
    fitting->general_name = strdup(name);
    if (fitting->general_name == NULL)
        return of_fail_memory(error, "a model's name");
    fitting->plan.general_model = fitting->general_name;
    fitting->plan.architecture = *found;
    return OF_OK;
}

of_status of_fitting_take_general(of_fitting *fitting, const char *name, of_error *error) {
    const of_architecture *wanted = &fitting->plan.architecture;
    of_model *model = NULL;
    of_status status = of_model_open(name, &model, error);
    if (status != OF_OK)
        return status;
    const of_architecture *found = of_model_architecture(model);
    bool sized = fitting->options.height > 0;
    if (found->classes > 0)
        status = of_fail_setting(error, OF_ERROR_MISMATCH, "general_model",
                                 "%s: a model with classes cannot be started from", name);
    else if (!has_shape(found, wanted))
        status = of_fail_setting(error, OF_ERROR_MISMATCH, sized ? "height" : "general_model",
                                 "%s takes %u x %u pixels of %u channels, the images are looked at "
                                 "as %u x %u of %u",
                                 name, (unsigned)found->width, (unsigned)found->height,
                                 (unsigned)found->channels, (unsigned)wanted->width,
                                 (unsigned)wanted->height, (unsigned)wanted->channels);
    else
        status = take_name(fitting, name, found, error);
    of_model_free(model);
    return status;
}

/* As many scales as the size can be halved, up to three. */
of_status of_fitting_shape_own(of_fitting *fitting, of_error *error) {
    of_architecture *architecture = &fitting->plan.architecture;
    architecture->scales = MOST_SCALES;
    while (architecture->scales > 1 && (architecture->height % (1u << architecture->scales) != 0 ||
                                        architecture->width % (1u << architecture->scales) != 0))
        architecture->scales--;
    if (architecture->height > MOST_SIDE || architecture->width > MOST_SIDE)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "height",
                               "%u x %u pixels are more than a model is trained for here: at most "
                               "%d",
                               (unsigned)architecture->width, (unsigned)architecture->height,
                               (int)MOST_SIDE);
    return of_architecture_check(architecture, error);
}

of_status of_fitting_find_general(of_fitting *fitting, of_error *error) {
    search best = {.wanted = &fitting->plan.architecture};
    if (fitting->options.general_model != NULL)
        return of_fitting_take_general(fitting, fitting->options.general_model, error);
    (void)of_model_list(consider, &best);
    return best.parameters > 0 ? take_name(fitting, best.name, &best.architecture, error)
                               : of_fitting_shape_own(fitting, error);
}

/* ---- Speed -------------------------------------------------------------------------------- */

static of_status open_any(const of_fitting *fitting, of_model **model) {
    const of_fit_plan *plan = &fitting->plan;
    return plan->general_model != NULL ? of_model_open(plan->general_model, model, NULL)
                                       : of_model_create(&plan->architecture, 0, model, NULL);
}

static void fill_batch(const of_survey *survey, uint32_t channels, float *values) {
    size_t pixels = (size_t)survey->height * survey->width;
    for (size_t i = 0; i < BATCH; i++) {
        const uint8_t *from = of_survey_pixels(survey, i % survey->count);
        for (size_t p = 0; p < pixels; p++)
            for (uint32_t c = 0; c < channels; c++)
                values[(i * pixels + p) * channels + c] =
                    ((float)from[p * OF_SURVEY_CHANNELS + c] + 0.5f) / 255.0f;
    }
}

static double time_steps(of_train_loop *loop, const float *values) {
    const of_batch batch = {OF_PIXEL_F32, values, BATCH};
    of_status status = of_train_loop_step(loop, &batch, NULL, NULL); /* the first one is slower */
    double start = of_seconds();
    for (int i = 0; status == OF_OK && i < TIMED_STEPS; i++)
        status = of_train_loop_step(loop, &batch, NULL, NULL);
    return status == OF_OK ? BATCH * TIMED_STEPS / (of_seconds() - start) : 0;
}

/* General images go through the model as well, and once through the general one. */
static const double outlier_cost = 2.2;

double of_fitting_measure_speed(const of_fitting *fitting, const of_survey *survey) {
    uint32_t channels = fitting->plan.architecture.channels;
    of_train_loop_options options = of_train_loop_options_default();
    of_model *model = NULL;
    of_train_loop *loop = NULL;
    double speed = 0;
    float *values =
        calloc(BATCH, (size_t)survey->height * survey->width * channels * sizeof(float));
    options.threads = fitting->options.threads;
    options.isa = fitting->options.isa;
    options.batch = BATCH;
    if (values != NULL && open_any(fitting, &model) == OF_OK &&
        of_train_loop_create(model, &options, &loop, NULL) == OF_OK) {
        fill_batch(survey, channels, values);
        speed = time_steps(loop, values) / (fitting->plan.against_general ? outlier_cost : 1);
    }
    of_train_loop_free(loop);
    of_model_free(model);
    free(values);
    return speed;
}
