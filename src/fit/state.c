/* SPDX-License-Identifier: Apache-2.0 */
/* The file OUT.work/state.json: which run the folder belongs to, and what was decided. It is
 * written when the parts are complete. */
#include "core/error.h"
#include "fit/fitting.h"
#include "model/json_reader.h"

#include <outflow/output.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 10000, MOST_BYTES = 1 << 20 };

/* ---- Fields, for writing and for reading alike -------------------------------------------- */

typedef struct count_field {
    const char *name;
    uint64_t *value;
} count_field;

typedef struct real_field {
    const char *name;
    double *value;
} real_field;

enum { COUNTS = 9, REALS = 8 };

static void list_counts(of_fit_plan *plan, count_field fields[COUNTS]) {
    const count_field all[COUNTS] = {
        {"looked_at", &plan->looked_at}, {"unreadable", &plan->unreadable},
        {"copies", &plan->copies},       {"similar", &plan->similar},
        {"train", &plan->train},         {"calibrate", &plan->calibrate},
        {"check", &plan->check},         {"train_images", &plan->train_images},
        {"windows", &plan->windows}};
    memcpy(fields, all, sizeof all);
}

static void list_reals(of_fit_plan *plan, real_field fields[REALS]) {
    const real_field all[REALS] = {{"coloured", &plan->coloured},
                                   {"reduced", &plan->reduced},
                                   {"minutes", &plan->minutes},
                                   {"general_minutes", &plan->general_minutes},
                                   {"train_minutes", &plan->train_minutes},
                                   {"images_per_second", &plan->images_per_second},
                                   {"detail_lost", &plan->detail_lost},
                                   {"parts_alike", &plan->parts_alike}};
    memcpy(fields, all, sizeof all);
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void write_run(const of_fit_options *options, of_json *json) {
    of_json_text(json, "source", options->source);
    of_json_array(json, "general_data");
    for (size_t i = 0; i < options->general_count; i++)
        of_json_text(json, NULL, options->general_data[i]);
    of_json_end(json);
    of_json_count(json, "seed", options->seed);
    of_json_real(json, "wished_minutes", options->minutes);
    of_json_count(json, "wished_images", options->images);
}

static void write_plan(of_fit_plan *plan, of_json *json) {
    count_field counts[COUNTS];
    real_field reals[REALS];
    list_counts(plan, counts);
    list_reals(plan, reals);
    of_json_count(json, "way", (uint64_t)plan->way);
    of_json_count(json, "channels", plan->architecture.channels);
    of_json_count(json, "height", plan->architecture.height);
    of_json_count(json, "width", plan->architecture.width);
    of_json_count(json, "median_height", plan->median_height);
    of_json_count(json, "median_width", plan->median_width);
    of_json_count(json, "cut", (uint64_t)plan->cut);
    of_json_count(json, "tile_size", plan->tiles.size);
    of_json_count(json, "tile_stride", plan->tiles.stride);
    of_json_text(json, "general_model", plan->general_model);
    for (size_t i = 0; i < COUNTS; i++)
        of_json_count(json, counts[i].name, *counts[i].value);
    for (size_t i = 0; i < REALS; i++)
        of_json_real(json, reals[i].name, *reals[i].value);
}

of_status of_fitting_save_state(const of_fitting *fitting, of_error *error) {
    of_fit_plan plan = fitting->plan;
    of_output *output = NULL;
    of_json *json = NULL;
    of_status status = of_output_open(fitting->work.state, &output, error);
    if (status != OF_OK)
        return status;
    status = of_json_create(of_output_file(output), true, &json, error);
    if (status != OF_OK) {
        of_output_discard(output);
        return status;
    }
    of_json_object(json, NULL);
    write_run(&fitting->options, json);
    write_plan(&plan, json);
    of_json_end(json);
    of_json_free(json);
    return of_output_commit(output, error);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static of_status read_text(const char *path, char **text, size_t *length, of_error *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return of_fail_io(error, errno, "%s: %s", path, strerror(errno));
    *text = malloc(MOST_BYTES);
    *length = *text != NULL ? fread(*text, 1, MOST_BYTES, file) : 0;
    (void)fclose(file);
    return *text != NULL ? OF_OK : of_fail_memory(error, "the state of a run");
}

static const cJSON *member(const cJSON *object, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static uint64_t count_of(const cJSON *object, const char *name) {
    uint64_t value = 0;
    (void)of_json_whole_number(member(object, name), (uint64_t)1 << 53, &value);
    return value;
}

static double real_of(const cJSON *object, const char *name) {
    const cJSON *item = member(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* Names may hold any bytes. */
static void read_back(cJSON *item) {
    cJSON *child;
    if (item == NULL)
        return;
    if (cJSON_IsString(item))
        of_text_unescape(item->valuestring);
    cJSON_ArrayForEach(child, item) read_back(child);
}

static bool is_text(const cJSON *item, const char *text) {
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

/* The first thing that differs, or NULL. */
static const char *find_difference(const cJSON *state, const of_fit_options *options) {
    const cJSON *general = member(state, "general_data");
    if (!is_text(member(state, "source"), options->source))
        return "other normal images";
    if ((size_t)cJSON_GetArraySize(general) != options->general_count)
        return "other general images";
    for (size_t i = 0; i < options->general_count; i++)
        if (!is_text(cJSON_GetArrayItem(general, (int)i), options->general_data[i]))
            return "other general images";
    if (count_of(state, "wished_images") != options->images)
        return "another number of images of training";
    if (count_of(state, "seed") != options->seed)
        return "another seed";
    if (options->height > 0 && (count_of(state, "height") != options->height ||
                                count_of(state, "width") != options->width))
        return "another size";
    if (options->channels > 0 && count_of(state, "channels") != options->channels)
        return "other channels";
    uint64_t tile = count_of(state, "tile_size"), stride = count_of(state, "tile_stride");
    const of_tiling *asked = &options->tiles;
    if (asked->size > 0 && (tile != asked->size || stride != asked->stride))
        return "other tiles";
    return options->whole && tile > 0 ? "tiles" : NULL;
}

static of_status read_general(of_fitting *fitting, const cJSON *state, of_error *error) {
    const cJSON *name = member(state, "general_model");
    if (!cJSON_IsString(name))
        return of_fitting_shape_own(fitting, error);
    const char *given = fitting->options.general_model;
    if (given != NULL && strcmp(given, name->valuestring) != 0)
        return of_fail_setting(error, OF_ERROR_MISMATCH, "resume",
                               "%s belongs to a run with another general model, %s",
                               fitting->work.folder, name->valuestring);
    return of_fitting_take_general(fitting, name->valuestring, error);
}

/* With more minutes than were wished for before, training goes on; with fewer it may be over. */
static void change_length(of_fitting *fitting, const cJSON *state) {
    double wished = real_of(state, "wished_minutes");
    of_fit_plan *plan = &fitting->plan;
    if (wished > 0 && wished != fitting->options.minutes) {
        plan->train_minutes *= fitting->options.minutes / wished;
        plan->general_minutes *= fitting->options.minutes / wished;
        plan->minutes *= fitting->options.minutes / wished;
    }
}

static of_status read_plan(of_fitting *fitting, const cJSON *state, of_error *error) {
    of_fit_plan *plan = &fitting->plan;
    count_field counts[COUNTS];
    real_field reals[REALS];
    list_counts(plan, counts);
    list_reals(plan, reals);
    for (size_t i = 0; i < COUNTS; i++)
        *counts[i].value = count_of(state, counts[i].name);
    for (size_t i = 0; i < REALS; i++)
        *reals[i].value = real_of(state, reals[i].name);
    plan->way = (of_fit_way)count_of(state, "way");
    plan->architecture = of_architecture_default();
    plan->architecture.channels = (uint32_t)count_of(state, "channels");
    plan->architecture.height = (uint32_t)count_of(state, "height");
    plan->architecture.width = (uint32_t)count_of(state, "width");
    plan->median_height = (uint32_t)count_of(state, "median_height");
    plan->median_width = (uint32_t)count_of(state, "median_width");
    plan->cut = (of_fit_cut)count_of(state, "cut");
    plan->tiles = (of_tiling){(uint32_t)count_of(state, "tile_size"),
                              (uint32_t)count_of(state, "tile_stride")};
    plan->against_general = fitting->options.general_count > 0 && plan->way == OF_FIT_TRAIN;
    if (plan->way > OF_FIT_COPIES || plan->calibrate == 0 ||
        (plan->tiles.size > 0 && of_tiling_check(&plan->tiles, NULL) != OF_OK))
        return of_fail(error, OF_ERROR_FORMAT, "%s: damaged: start anew", fitting->work.state);
    change_length(fitting, state);
    return read_general(fitting, state, error);
}

of_status of_fitting_load_state(of_fitting *fitting, of_error *error) {
    char *text = NULL;
    size_t length = 0;
    cJSON *state = NULL;
    of_status status = read_text(fitting->work.state, &text, &length, error);
    if (status == OF_OK)
        status =
            of_json_parse_object(text, length, MOST_VALUES, fitting->work.state, &state, error);
    read_back(state);
    const char *difference = status == OF_OK ? find_difference(state, &fitting->options) : NULL;
    if (difference != NULL)
        status = of_fail_setting(error, OF_ERROR_MISMATCH, "resume",
                                 "%s belongs to a run with %s: the same settings go on with it",
                                 fitting->work.folder, difference);
    if (status == OF_OK)
        status = read_plan(fitting, state, error);
    cJSON_Delete(state);
    free(text);
    return status;
}
