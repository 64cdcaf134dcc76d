/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/models.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct of_model_set {
    atomic_uint holders;
    size_t count;
    of_served_model models[OF_SERVED_MOST];
};

/* ---- "NAME=FILE,general=FILE,ensemble=FILE" ------------------------------------------------- */

/* What such a text names; pointers into `copy`. */
typedef struct model_spec {
    char *copy;
    const char *name, *file, *general;
    const char *ensemble[OF_ENSEMBLE_MOST];
    size_t ensemble_count;
} model_spec;

/* "cifar10" of "models/cifar10.safetensors", in place. */
static const char *name_of_file(char *path) {
    char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char *dot = strrchr(name, '.');
    if (dot != NULL && dot != name)
        *dot = '\0';
    return name;
}

static of_status parse_further(model_spec *spec, const char *field, of_error *error) {
    if (strncmp(field, "general=", 8) == 0 && spec->general == NULL) {
        spec->general = field + 8;
        return OF_OK;
    }
    if (strncmp(field, "ensemble=", 9) == 0 && spec->ensemble_count < OF_ENSEMBLE_MOST) {
        spec->ensemble[spec->ensemble_count++] = field + 9;
        return OF_OK;
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "'%s' is neither general=FILE nor ensemble=FILE",
                   field);
}

static bool is_name(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < OF_SERVED_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

/* `copy` holds the text twice: the name of a file without a name of its own is made in the second.
 */
static of_status parse_spec(const char *text, model_spec *spec, of_error *error) {
    size_t size = strlen(text) + 1;
    *spec = (model_spec){.copy = malloc(2 * size)};
    if (spec->copy == NULL)
        return of_fail_memory(error, "a model's name");
    memcpy(spec->copy, text, size);
    char *next = NULL, *field = strtok_r(spec->copy, ",", &next);
    if (field == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "a model's name is empty");
    char *equals = strchr(field, '=');
    spec->file = equals != NULL ? equals + 1 : field;
    if (equals != NULL)
        *equals = '\0';
    spec->name =
        equals != NULL ? field : name_of_file(memcpy(spec->copy + size, field, strlen(field) + 1));
    if (!is_name(spec->name))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "'%s' is no name for a model: letters, digits, '.', '_' and '-', up to %d; "
                       "give one as NAME=FILE",
                       spec->name, OF_SERVED_NAME - 1);
    of_status status = OF_OK;
    while (status == OF_OK && (field = strtok_r(NULL, ",", &next)) != NULL)
        status = parse_further(spec, field, error);
    return status;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void describe_scores(of_served_model *model) {
    const of_score judged = of_detector_default_score(model->detector);
    size_t count = of_detector_scores(model->detector, model->scores, OF_SERVED_SCORES);
    model->score_count = count < OF_SERVED_SCORES ? count : OF_SERVED_SCORES;
    for (size_t i = 0; i < model->score_count; i++) {
        if (model->scores[i].kind == judged.kind && model->scores[i].scale == judged.scale)
            model->judged = i;
        if ((of_score_needs(model->scores[i]) & OF_NEEDS_WEBP) == 0)
            model->usual |= (uint64_t)1 << i;
    }
    model->calibrated = of_detector_check_p_value(model->detector, judged, NULL) == OF_OK;
    model->image_bytes = of_architecture_dimensions(of_detector_architecture(model->detector));
}

static unsigned threads_of_worker(const of_server_options *options) {
    unsigned share = of_cpu_count() / options->workers;
    return options->threads > 0 ? options->threads : share > 0 ? share : 1;
}

/* Images are decoded to the model's size here: judging a reduced picture by a calibration of
 * pictures in tiles would be wrong without a word. */
static of_status check_whole(of_served_model *model, of_error *error) {
    if (of_detector_tiling(model->detector).size == 0)
        return OF_OK;
    of_detector_free(model->detector);
    model->detector = NULL;
    return of_fail(error, OF_ERROR_UNSUPPORTED,
                   "the model '%s' cuts pictures into tiles, which is not served", model->name);
}

static of_status open_spec(const model_spec *spec, const of_server_options *options,
                           of_served_model *model, of_error *error) {
    of_detector_options wanted = of_detector_options_default();
    wanted.model = spec->file;
    wanted.general_model = spec->general;
    wanted.ensemble = spec->ensemble;
    wanted.ensemble_count = spec->ensemble_count;
    wanted.threads = threads_of_worker(options);
    wanted.isa = options->isa;
    wanted.precision = options->precision;
    wanted.webp = of_has_webp();
    wanted.lossy_scores = options->lossy_scores;
    (void)snprintf(model->name, sizeof model->name, "%s", spec->name);
    of_status status = of_detector_open(&wanted, &model->detector, error);
    if (status == OF_OK) /* what is judged by must be there; others are left out */
        status = of_detector_check_score(model->detector,
                                         of_detector_default_score(model->detector), error);
    if (status == OF_OK)
        status = check_whole(model, error);
    if (status == OF_OK)
        describe_scores(model);
    return status;
}

static of_status add_model(of_model_set *set, const char *text, const of_server_options *options,
                           of_error *error) {
    model_spec spec;
    of_status status = parse_spec(text, &spec, error);
    if (status == OF_OK && set->count > 0 && of_model_set_find(set, spec.name) != NULL)
        status = of_fail(error, OF_ERROR_ARGUMENT, "two models have the name '%s'", spec.name);
    of_served_model *model = &set->models[set->count];
    model->index = set->count;
    if (status == OF_OK)
        status = open_spec(&spec, options, model, error);
    set->count += status == OF_OK;
    free(spec.copy);
    return status;
}

of_status of_model_set_open(const of_server_options *options, of_model_set **set, of_error *error) {
    if (options->model_count == 0 || options->model_count > OF_SERVED_MOST)
        return of_fail(error, OF_ERROR_ARGUMENT, "from 1 to %d models are served", OF_SERVED_MOST);
    of_model_set *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "models");
    atomic_store(&made->holders, 1);
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < options->model_count; i++)
        status = add_model(made, options->models[i], options, error);
    if (status == OF_OK)
        *set = made;
    else
        of_model_set_release(made);
    return status;
}

of_model_set *of_model_set_hold(of_model_set *set) {
    (void)atomic_fetch_add(&set->holders, 1);
    return set;
}

void of_model_set_release(of_model_set *set) {
    if (set == NULL || atomic_fetch_sub(&set->holders, 1) > 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        of_detector_free(set->models[i].detector);
    free(set);
}

/* ---- Finding -------------------------------------------------------------------------------- */

size_t of_model_set_count(const of_model_set *set) {
    return set->count;
}

const of_served_model *of_model_set_at(const of_model_set *set, size_t index) {
    return &set->models[index];
}

const of_served_model *of_model_set_find(const of_model_set *set, const char *name) {
    if (name[0] == '\0')
        return &set->models[0];
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->models[i].name, name) == 0)
            return &set->models[i];
    return NULL;
}

of_status of_served_score(const of_served_model *model, const char *name, size_t *place,
                          of_error *error) {
    of_score score;
    of_status status = of_detector_find_score(model->detector, name, &score, error);
    for (size_t i = 0; status == OF_OK && i < model->score_count; i++)
        if (model->scores[i].kind == score.kind && model->scores[i].scale == score.scale) {
            *place = i;
            return OF_OK;
        }
    return status != OF_OK ? status
                           : of_fail(error, OF_ERROR_ARGUMENT, "score '%s' is not served", name);
}
