/* SPDX-License-Identifier: Apache-2.0 */
/* The "architecture" text of a weight file. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "model/json_reader.h"
#include "model/model.h"

#include <outflow/output.h>

#include <string.h>

enum { MAX_TEXT = 4096, MAX_VALUES = 64 };

/* NULL, which is no name, for what is no text. */
static const char *text_of(const cJSON *item) {
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool read_number(const cJSON *item, uint32_t *number) {
    uint64_t value;
    if (!of_json_whole_number(item, UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool read_flag(const cJSON *item, bool *flag) {
    *flag = cJSON_IsTrue(item);
    return cJSON_IsBool(item);
}

static bool read_image(const cJSON *item, of_architecture *architecture) {
    return cJSON_IsArray(item) && cJSON_GetArraySize(item) == 3 &&
           read_number(cJSON_GetArrayItem(item, 0), &architecture->channels) &&
           read_number(cJSON_GetArrayItem(item, 1), &architecture->height) &&
           read_number(cJSON_GetArrayItem(item, 2), &architecture->width);
}

static bool read_real(const cJSON *item, double *value) {
    *value = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return cJSON_IsNumber(item);
}

/* One reader a key; each tells whether the value is of the kind that it must be. */

static bool read_family(const cJSON *item, of_architecture *a) {
    return of_family_parse(text_of(item), &a->family, NULL) == OF_OK;
}

static bool read_scales(const cJSON *item, of_architecture *a) {
    return read_number(item, &a->scales);
}

static bool read_steps(const cJSON *item, of_architecture *a) {
    return read_number(item, &a->steps);
}

static bool read_hidden(const cJSON *item, of_architecture *a) {
    return read_number(item, &a->hidden);
}

static bool read_coupling(const cJSON *item, of_architecture *a) {
    return of_coupling_parse(text_of(item), &a->coupling, NULL) == OF_OK;
}

static bool read_permutation(const cJSON *item, of_architecture *a) {
    return of_permutation_parse(text_of(item), &a->permutation, NULL) == OF_OK;
}

static bool read_lu(const cJSON *item, of_architecture *a) {
    return read_flag(item, &a->lu);
}

static bool read_block(const cJSON *item, of_architecture *a) {
    return of_block_parse(text_of(item), &a->block, NULL) == OF_OK;
}

static bool read_classes(const cJSON *item, of_architecture *a) {
    return read_number(item, &a->classes);
}

static bool read_input_member(const cJSON *member, of_input_map *input) {
    const struct {
        const char *key;
        double *value;
    } reals[] = {{"scale", &input->scale},
                 {"shift", &input->shift},
                 {"bin", &input->bin},
                 {"logit", &input->logit}};
    if (strcmp(member->string, "bits") == 0)
        return read_number(member, &input->bits);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (strcmp(member->string, reals[i].key) == 0)
            return read_real(member, reals[i].value);
    return false;
}

/* Members that are absent keep what they are. */
static bool read_input(const cJSON *item, of_architecture *a) {
    bool good = cJSON_IsObject(item) && of_json_repeated_key(item) == NULL;
    for (const cJSON *member = good ? item->child : NULL; member != NULL; member = member->next)
        good = good && read_input_member(member, &a->input);
    return good;
}

static bool read_latents(const cJSON *item, of_architecture *a) {
    return of_latents_parse(text_of(item), &a->latents, NULL) == OF_OK;
}

static bool read_split_prior(const cJSON *item, of_architecture *a) {
    return of_split_prior_parse(text_of(item), &a->split_prior, NULL) == OF_OK;
}

static bool read_edges(const cJSON *item, of_architecture *a) {
    uint32_t edges = 0;
    bool good = cJSON_IsArray(item);
    const cJSON *name;
    cJSON_ArrayForEach(name, item) {
        of_edges edge = 0;
        good = good && of_edges_parse(text_of(name), &edge, NULL) == OF_OK;
        good = good && (edges & (uint32_t)edge) == 0;
        edges |= (uint32_t)edge;
    }
    a->edges = edges;
    return good;
}

static bool read_scale_map(const cJSON *item, of_architecture *a) {
    return of_scale_map_parse(text_of(item), &a->scale_map, NULL) == OF_OK;
}

static bool read_shift(const cJSON *item, of_architecture *a) {
    return of_shift_parse(text_of(item), &a->shift, NULL) == OF_OK;
}

static bool read_net_input(const cJSON *item, of_architecture *a) {
    return of_net_input_parse(text_of(item), &a->net_input, NULL) == OF_OK;
}

static bool read_leak(const cJSON *item, of_architecture *a) {
    return read_real(item, &a->leak);
}

static bool read_closing(const cJSON *item, of_architecture *a) {
    return read_flag(item, &a->closing);
}

static const struct entry {
    const char *key, *expected; /* in "'key' must be ..." */
    bool (*read)(const cJSON *item, of_architecture *architecture);
} entries[] = {
    {"family", "glow or patch-glow", read_family},
    {"image", "[channels, height, width]", read_image},
    {"scales", "a whole number", read_scales},
    {"steps", "a whole number", read_steps},
    {"hidden", "a whole number", read_hidden},
    {"coupling", "affine or additive", read_coupling},
    {"permutation", "invconv, invconvfixed or shuffle", read_permutation},
    {"lu", "true or false", read_lu},
    {"block", "conv or dense", read_block},
    {"classes", "a whole number", read_classes},
    {"input", "an object of bits, a whole number, scale, shift, bin and logit, each once at most",
     read_input},
    {"latents", "first or second", read_latents},
    {"split_prior", "none or conv", read_split_prior},
    {"edges", "an array of conv1, conv3 and split, each once at most", read_edges},
    {"scale_map", "sigmoid, exp, sigmoid_inverse or tanh", read_scale_map},
    {"shift", "before or after", read_shift},
    {"net_input", "none or affine-relu", read_net_input},
    {"leak", "a number", read_leak},
    {"closing", "true or false", read_closing},
};

/* Reads one entry; returns what it should have been, or NULL when all is well. */
static const char *read_entry(const cJSON *item, of_architecture *architecture) {
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(item->string, entries[i].key) == 0)
            return entries[i].read(item, architecture) ? NULL : entries[i].expected;
    return "absent: unknown key";
}

static of_status read_object(const cJSON *object, const char *place, of_architecture *architecture,
                             of_error *error) {
    const char *repeated = of_json_repeated_key(object);
    if (repeated != NULL)
        return of_fail(error, OF_ERROR_FORMAT, "%s: architecture: key '%.64s' appears twice", place,
                       repeated);
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        const char *expected = read_entry(item, architecture);
        if (expected != NULL)
            return of_fail(error, OF_ERROR_FORMAT, "%s: architecture: '%.64s' must be %s", place,
                           item->string, expected);
    }
    return OF_OK;
}

of_status of_architecture_parse(const char *json, const char *place, of_architecture *architecture,
                                of_error *error) {
    size_t length = strnlen(json, MAX_TEXT + 1);
    if (length > MAX_TEXT)
        return of_fail(error, OF_ERROR_FORMAT, "%s: architecture: text is longer than %d bytes",
                       place, MAX_TEXT);
    of_error inner;
    cJSON *object = NULL;
    of_status status =
        of_json_parse_object(json, length, MAX_VALUES, "architecture", &object, &inner);
    if (status != OF_OK)
        return of_fail(error, status, "%s: %.900s", place, inner.message);
    of_architecture read = of_architecture_default();
    status = read_object(object, place, &read, error);
    cJSON_Delete(object);
    if (status != OF_OK)
        return status;
    if (of_architecture_check(&read, &inner) != OF_OK)
        return of_fail(error, OF_ERROR_FORMAT, "%s: architecture: %.900s", place, inner.message);
    *architecture = read;
    return OF_OK;
}

static bool add_number(cJSON *object, const char *key, uint32_t value) {
    return cJSON_AddNumberToObject(object, key, value) != NULL;
}

static bool add_image(cJSON *object, const of_architecture *architecture) {
    const int sides[3] = {(int)architecture->channels, (int)architecture->height,
                          (int)architecture->width};
    cJSON *image = cJSON_CreateIntArray(sides, 3);
    if (image != NULL && cJSON_AddItemToObject(object, "image", image))
        return true;
    cJSON_Delete(image);
    return false;
}

/* As it reads back. */
static bool add_real(cJSON *object, const char *key, double value) {
    char text[OF_NUMBER_SIZE];
    return cJSON_AddRawToObject(object, key, of_number_text(value, text)) != NULL;
}

static bool add_text(cJSON *object, const char *key, const char *text) {
    return cJSON_AddStringToObject(object, key, text) != NULL;
}

static bool is_standard(const of_input_map *input) {
    const of_input_map standard = of_input_map_default();
    return input->bits == standard.bits && input->scale == standard.scale &&
           input->shift == standard.shift && input->bin == standard.bin &&
           input->logit == standard.logit;
}

static bool add_input(cJSON *object, const of_input_map *input) {
    cJSON *members = cJSON_AddObjectToObject(object, "input");
    return members != NULL && add_number(members, "bits", input->bits) &&
           add_real(members, "scale", input->scale) && add_real(members, "shift", input->shift) &&
           add_real(members, "bin", input->bin) && add_real(members, "logit", input->logit);
}

static bool add_edges(cJSON *object, uint32_t edges) {
    cJSON *names = cJSON_AddArrayToObject(object, "edges");
    bool complete = names != NULL;
    for (uint32_t edge = OF_EDGES_CONV1; complete && edge <= OF_EDGES_SPLIT; edge *= 2)
        if ((edges & edge) != 0)
            complete =
                cJSON_AddItemToArray(names, cJSON_CreateString(of_edges_name((of_edges)edge)));
    return complete;
}

/* What older files do not have stands there only where it is not the default. */
static bool add_extension(cJSON *object, const of_architecture *a) {
    bool complete = is_standard(&a->input) || add_input(object, &a->input);
    if (complete && a->latents != OF_LATENTS_FIRST)
        complete = add_text(object, "latents", of_latents_name(a->latents));
    if (complete && a->split_prior != OF_SPLIT_PRIOR_NONE)
        complete = add_text(object, "split_prior", of_split_prior_name(a->split_prior));
    if (complete && a->edges != 0)
        complete = add_edges(object, a->edges);
    if (complete && a->scale_map != OF_SCALE_MAP_SIGMOID)
        complete = add_text(object, "scale_map", of_scale_map_name(a->scale_map));
    if (complete && a->shift != OF_SHIFT_BEFORE)
        complete = add_text(object, "shift", of_shift_name(a->shift));
    if (complete && a->net_input != OF_NET_INPUT_NONE)
        complete = add_text(object, "net_input", of_net_input_name(a->net_input));
    if (complete && a->leak != 0)
        complete = add_real(object, "leak", a->leak);
    if (complete && a->closing)
        complete = cJSON_AddTrueToObject(object, "closing") != NULL;
    return complete;
}

char *of_architecture_print(const of_architecture *architecture) {
    of_architecture own;
    const of_architecture *a = &own;
    if (of_architecture_read(architecture, &own, NULL) != OF_OK)
        return NULL;
    bool lu = a->lu && a->permutation == OF_PERMUTATION_INVCONV;
    cJSON *object = cJSON_CreateObject();
    bool complete = object != NULL && add_text(object, "family", of_family_name(a->family)) &&
                    add_image(object, a) && add_number(object, "scales", a->scales) &&
                    add_number(object, "steps", a->steps) &&
                    add_number(object, "hidden", a->hidden) &&
                    add_text(object, "coupling", of_coupling_name(a->coupling)) &&
                    add_text(object, "permutation", of_permutation_name(a->permutation)) &&
                    cJSON_AddBoolToObject(object, "lu", lu) &&
                    add_text(object, "block", of_block_name(a->block)) &&
                    add_number(object, "classes", a->classes) && add_extension(object, a);
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}
