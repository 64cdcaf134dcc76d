/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "model/bundle.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/content_hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "general.";
enum { PREFIX_LENGTH = sizeof prefix - 1 };

static bool is_general(const char *name) {
    return strncmp(name, prefix, PREFIX_LENGTH) == 0;
}

bool of_bundle_has_general(const of_safetensors *file) {
    return of_safetensors_metadata(file, "general.architecture") != NULL;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Tensors are sorted by name, so those of either part stay sorted. */
static of_status select_tensors(const of_safetensors *file, bool general, of_safetensors *part,
                                of_error *error) {
    part->tensors = calloc(file->count + 1, sizeof *part->tensors);
    if (part->tensors == NULL)
        return of_fail_memory(error, "the tensors of a bundle");
    for (size_t i = 0; i < file->count; i++) {
        if (is_general(file->tensors[i].name) != general)
            continue;
        of_safetensor *tensor = &part->tensors[part->count++];
        *tensor = file->tensors[i];
        tensor->name += general ? PREFIX_LENGTH : 0;
    }
    return OF_OK;
}

static of_status select_metadata(const of_safetensors *file, bool general, of_safetensors *part,
                                 of_error *error) {
    const cJSON *item;
    part->header = cJSON_CreateObject();
    bool complete = part->header != NULL;
    cJSON_ArrayForEach(item, file->metadata) {
        const char *key = item->string;
        if (complete && is_general(key) == general)
            complete = cJSON_AddStringToObject(part->header, key + (general ? PREFIX_LENGTH : 0),
                                               item->valuestring) != NULL;
    }
    part->metadata = part->header;
    return complete ? OF_OK : of_fail_memory(error, "the metadata of a bundle");
}

of_status of_bundle_open_part(const of_safetensors *file, bool general, of_safetensors *part,
                              of_error *error) {
    *part = (of_safetensors){.count = 0};
    of_status status = select_tensors(file, general, part, error);
    if (status == OF_OK)
        status = select_metadata(file, general, part, error);
    if (status != OF_OK)
        of_bundle_close_part(part);
    return status;
}

void of_bundle_close_part(of_safetensors *part) {
    free(part->tensors);
    cJSON_Delete(part->header);
    *part = (of_safetensors){.count = 0};
}

/* ---- Writing ------------------------------------------------------------------------------- */

/* What is written: both models' tensors and metadata, and memory for the names with a prefix. */
typedef struct bundle_content {
    of_safetensor_source *tensors;
    of_metadata_source *metadata;
    char **names; /* [name_count], freed with free() */
    size_t tensor_count, metadata_count, name_count;
} bundle_content;

static void free_content(bundle_content *content) {
    for (size_t i = 0; i < content->name_count; i++)
        free(content->names[i]);
    free(content->names);
    free(content->tensors);
    free(content->metadata);
}

/* The name in the file; NULL when memory is exhausted. */
static const char *name_for(bundle_content *content, bool general, const char *name) {
    if (!general)
        return name;
    size_t size = PREFIX_LENGTH + strlen(name) + 1;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    (void)snprintf(text, size, "%s%s", prefix, name);
    content->names[content->name_count++] = text;
    return text;
}

static bool add_tensors(bundle_content *content, bool general, const of_safetensors *part) {
    for (size_t i = 0; i < part->count; i++) {
        const of_safetensor *from = &part->tensors[i];
        of_safetensor_source *to = &content->tensors[content->tensor_count++];
        *to = (of_safetensor_source){.name = name_for(content, general, from->name),
                                     .dtype = from->dtype,
                                     .rank = from->rank,
                                     .values = from->data,
                                     .stored = true};
        memcpy(to->shape, from->shape, sizeof to->shape);
        if (to->name == NULL)
            return false;
    }
    return true;
}

static bool add_metadata(bundle_content *content, bool general, const of_safetensors *part,
                         const char *without) {
    const cJSON *item;
    cJSON_ArrayForEach(item, part->metadata) {
        if ((without != NULL && strcmp(item->string, without) == 0) ||
            strcmp(item->string, OF_CONTENT_HASH) == 0)
            continue;
        const char *key = name_for(content, general, item->string);
        if (key == NULL)
            return false;
        content->metadata[content->metadata_count++] = (of_metadata_source){key, item->valuestring};
    }
    return true;
}

static of_status collect(const of_safetensors *model, const char *calibration,
                         const of_safetensors *general, bundle_content *content, of_error *error) {
    static const char key[] = "calibration";
    size_t tensors = model->count + general->count;
    size_t metadata = (size_t)cJSON_GetArraySize(model->metadata) +
                      (size_t)cJSON_GetArraySize(general->metadata) + 1;
    content->tensors = calloc(tensors + 1, sizeof *content->tensors);
    content->metadata = calloc(metadata, sizeof *content->metadata);
    content->names = calloc(tensors + metadata, sizeof *content->names);
    if (content->tensors == NULL || content->metadata == NULL || content->names == NULL ||
        !add_tensors(content, false, model) || !add_tensors(content, true, general) ||
        !add_metadata(content, false, model, key) || !add_metadata(content, true, general, NULL))
        return of_fail_memory(error, "the content of a bundle");
    if (calibration != NULL)
        content->metadata[content->metadata_count++] = (of_metadata_source){key, calibration};
    return OF_OK;
}

of_status of_bundle_write_parts(const of_safetensors *model, const char *calibration,
                                const of_safetensors *general, const char *path, of_error *error) {
    const of_safetensors none = {.count = 0};
    bundle_content content = {.tensor_count = 0};
    of_status status =
        collect(model, calibration, general != NULL ? general : &none, &content, error);
    if (status == OF_OK)
        status = of_safetensors_write(path, content.tensors, content.tensor_count, content.metadata,
                                      content.metadata_count, error);
    free_content(&content);
    return status;
}

static of_status open_model(const char *path, bool general, of_safetensors *file,
                            of_safetensors *part, of_error *error) {
    of_status status = of_safetensors_open(path, file, error);
    if (status != OF_OK)
        return status;
    status = of_content_hash_check(file, path, error);
    if (status == OF_OK)
        status = of_bundle_open_part(file, general && of_bundle_has_general(file), part, error);
    if (status != OF_OK)
        of_safetensors_close(file);
    return status;
}

of_status of_bundle_write(const char *model, const char *calibration, const char *general,
                          const char *path, of_error *error) {
    of_safetensors model_file, model_part, general_file, general_part;
    bool same = strcmp(model, general) == 0; /* then it is the general model inside it */
    of_status status = open_model(model, false, &model_file, &model_part, error);
    if (status != OF_OK)
        return status;
    status = open_model(general, same, &general_file, &general_part, error);
    if (status == OF_OK) {
        status = of_bundle_write_parts(&model_part, calibration, &general_part, path, error);
        of_bundle_close_part(&general_part);
        of_safetensors_close(&general_file);
    }
    of_bundle_close_part(&model_part);
    of_safetensors_close(&model_file);
    return status;
}
