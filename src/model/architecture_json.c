/* SPDX-License-Identifier: Apache-2.0 */
/* The "architecture" text of a weight file. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "model/json_reader.h"
#include "model/model.h"

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

/* Reads one entry; returns what it should have been, or NULL when all is well. */
static const char *read_entry(const cJSON *item, of_architecture *architecture) {
    const char *key = item->string;
    const char *expected = NULL;
    if (strcmp(key, "family") == 0) {
        expected = of_family_parse(text_of(item), &architecture->family, NULL) == OF_OK
                       ? NULL
                       : "glow or patch-glow";
    } else if (strcmp(key, "image") == 0) {
        expected = read_image(item, architecture) ? NULL : "[channels, height, width]";
    } else if (strcmp(key, "scales") == 0) {
        expected = read_number(item, &architecture->scales) ? NULL : "a whole number";
    } else if (strcmp(key, "steps") == 0) {
        expected = read_number(item, &architecture->steps) ? NULL : "a whole number";
    } else if (strcmp(key, "hidden") == 0) {
        expected = read_number(item, &architecture->hidden) ? NULL : "a whole number";
    } else if (strcmp(key, "coupling") == 0) {
        expected = of_coupling_parse(text_of(item), &architecture->coupling, NULL) == OF_OK
                       ? NULL
                       : "affine or additive";
    } else if (strcmp(key, "permutation") == 0) {
        expected = of_permutation_parse(text_of(item), &architecture->permutation, NULL) == OF_OK
                       ? NULL
                       : "invconv, invconvfixed or shuffle";
    } else if (strcmp(key, "lu") == 0) {
        expected = read_flag(item, &architecture->lu) ? NULL : "true or false";
    } else if (strcmp(key, "block") == 0) {
        expected = of_block_parse(text_of(item), &architecture->block, NULL) == OF_OK
                       ? NULL
                       : "conv or dense";
    } else if (strcmp(key, "classes") == 0) {
        expected = read_number(item, &architecture->classes) ? NULL : "a whole number";
    } else {
        expected = "absent: unknown key";
    }
    return expected;
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

char *of_architecture_print(const of_architecture *architecture) {
    const of_architecture *a = architecture;
    bool lu = a->lu && a->permutation == OF_PERMUTATION_INVCONV;
    cJSON *object = cJSON_CreateObject();
    bool complete =
        object != NULL && cJSON_AddStringToObject(object, "family", of_family_name(a->family)) &&
        add_image(object, a) && add_number(object, "scales", a->scales) &&
        add_number(object, "steps", a->steps) && add_number(object, "hidden", a->hidden) &&
        cJSON_AddStringToObject(object, "coupling", of_coupling_name(a->coupling)) &&
        cJSON_AddStringToObject(object, "permutation", of_permutation_name(a->permutation)) &&
        cJSON_AddBoolToObject(object, "lu", lu) &&
        cJSON_AddStringToObject(object, "block", of_block_name(a->block)) &&
        add_number(object, "classes", a->classes);
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}
