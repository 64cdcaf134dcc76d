/* SPDX-License-Identifier: Apache-2.0 */
/* A model as callers see it: its tensors and its metadata. */
#define _POSIX_C_SOURCE 200809L
#include "model/model.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "model/json_reader.h"

#include <stdlib.h>
#include <string.h>

void of_model_free(of_model *model) {
    if (model == NULL)
        return;
    for (size_t i = 0; i < OF_MAX_SCALES; i++)
        of_free(model->scales[i].steps);
    for (size_t i = 0; i < model->metadata_count; i++) {
        free(model->metadata[i].key);
        free(model->metadata[i].value);
    }
    free(model->metadata);
    of_free(model->classes);
    free(model->by_name);
    free(model->parameters);
    of_free(model->values);
    free(model);
}

const of_architecture *of_model_architecture(const of_model *model) {
    return &model->architecture;
}

size_t of_model_parameter_count(const of_model *model) {
    size_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        count += model->parameters[i].count;
    return count;
}

/* Alignment gaps between tensors are left out. */
uint64_t of_model_fingerprint(const of_model *model) {
    uint64_t hash = OF_HASH_START;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        size_t size = parameter->kind == OF_PARAMETER_INDEX ? sizeof(int64_t) : sizeof(float);
        hash = of_hash(hash, model->values + parameter->offset, parameter->count * size);
    }
    return hash;
}

size_t of_model_tensor_count(const of_model *model) {
    return model->parameter_count;
}

of_tensor_info of_model_tensor(const of_model *model, size_t index) {
    if (index >= model->parameter_count)
        return (of_tensor_info){0};
    const of_parameter *parameter = &model->parameters[index];
    of_tensor_info info = {
        .name = parameter->name,
        .rank = parameter->rank,
        .trainable = parameter->kind == OF_PARAMETER_TRAINED,
        .is_index = parameter->kind == OF_PARAMETER_INDEX,
    };
    memcpy(info.shape, parameter->shape, sizeof info.shape);
    if (info.is_index)
        info.indices = of_model_indices(model, (int)index);
    else
        info.values = of_model_values(model, (int)index);
    return info;
}

static size_t find_metadata(const of_model *model, const char *key) {
    size_t i = 0;
    while (i < model->metadata_count && strcmp(model->metadata[i].key, key) != 0)
        i++;
    return i;
}

const char *of_model_metadata(const of_model *model, const char *key) {
    size_t i = find_metadata(model, key);
    return i < model->metadata_count ? model->metadata[i].value : NULL;
}

const char *of_model_metadata_key(const of_model *model, size_t index) {
    return index < model->metadata_count ? model->metadata[index].key : NULL;
}

static bool is_reserved(const char *key) {
    return strcmp(key, "format") == 0 || strcmp(key, "version") == 0 ||
           strcmp(key, "architecture") == 0;
}

static void remove_metadata(of_model *model, size_t index) {
    if (index == model->metadata_count)
        return;
    free(model->metadata[index].key);
    free(model->metadata[index].value);
    model->metadata_count--;
    memmove(&model->metadata[index], &model->metadata[index + 1],
            (model->metadata_count - index) * sizeof *model->metadata);
}

static of_status append_metadata(of_model *model, const char *key, const char *value,
                                 of_error *error) {
    of_metadata_entry entry = {.key = strdup(key), .value = strdup(value)};
    of_metadata_entry *entries =
        realloc(model->metadata, (model->metadata_count + 1) * sizeof *entries);
    if (entries != NULL)
        model->metadata = entries;
    if (entries == NULL || entry.key == NULL || entry.value == NULL) {
        free(entry.key);
        free(entry.value);
        return of_fail_memory(error, "metadata of a model");
    }
    entries[model->metadata_count++] = entry;
    return OF_OK;
}

of_status of_model_set_metadata(of_model *model, const char *key, const char *value,
                                of_error *error) {
    if (model == NULL || key == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_model_set_metadata: a required argument is NULL");
    if (is_reserved(key) || key[0] == '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "metadata key '%.64s' is empty or belongs to the file format", key);
    if (!of_utf8_valid(key, strlen(key)) || (value != NULL && !of_utf8_valid(value, strlen(value))))
        return of_fail(error, OF_ERROR_ARGUMENT, "metadata '%.64s' is not UTF-8 text", key);
    size_t index = find_metadata(model, key);
    if (value == NULL) {
        remove_metadata(model, index);
        return OF_OK;
    }
    if (index == model->metadata_count)
        return append_metadata(model, key, value, error);
    char *copy = strdup(value);
    if (copy == NULL)
        return of_fail_memory(error, "metadata of a model");
    free(model->metadata[index].value);
    model->metadata[index].value = copy;
    return OF_OK;
}
