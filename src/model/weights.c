/* SPDX-License-Identifier: Apache-2.0 */
#include "model/weights.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/bundle.h"
#include "model/content_hash.h"
#include "model/floats.h"
#include "model/parameters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_version = "1";

static of_status refuse(of_error *error, const char *place, const char *tensor,
                        const char *reason) {
    return of_fail(error, OF_ERROR_FORMAT, "%.480s: tensor '%.255s': %s", place, tensor, reason);
}

static of_status check_format(const of_safetensors *file, const char *place, of_error *error) {
    const char *format = of_safetensors_metadata(file, "format");
    const char *version = of_safetensors_metadata(file, "version");
    if (format == NULL || (strcmp(format, "outflow") != 0 && strcmp(format, "outflow-golden") != 0))
        return of_fail(
            error, OF_ERROR_FORMAT,
            "%.480s: not an Outflow model: its format is '%.64s'; weights of other programs "
            "need tools/convert_weights.py",
            place, format == NULL ? "not stated" : format);
    if (version == NULL && strcmp(format, "outflow") == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%.480s: __metadata__ lacks the version", place);
    if (version != NULL && strcmp(version, format_version) != 0)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%.480s: version '%.64s' of the weight file is unknown; this library reads "
                       "version %s",
                       place, version, format_version);
    return OF_OK;
}

static void print_shape(uint32_t rank, const uint64_t *sizes, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (uint32_t i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%" PRIu64, i > 0 ? ", " : "", sizes[i]);
    if (used < size)
        (void)snprintf(text + used, size - used, "]");
}

static of_status check_shape(const of_parameter *parameter, const of_safetensor *tensor,
                             const char *place, of_error *error) {
    char found[192], expected[192];
    if (tensor->rank == parameter->rank &&
        memcmp(tensor->shape, parameter->shape, tensor->rank * sizeof *tensor->shape) == 0)
        return OF_OK;
    print_shape(tensor->rank, tensor->shape, found, sizeof found);
    print_shape(parameter->rank, parameter->shape, expected, sizeof expected);
    return of_fail(error, OF_ERROR_FORMAT,
                   "%.480s: tensor '%.95s': shape is %s, the architecture has %s", place,
                   parameter->name, found, expected);
}

static of_status check_dtype(const of_parameter *parameter, const of_safetensor *tensor,
                             const char *place, of_error *error) {
    bool index = parameter->kind == OF_PARAMETER_INDEX;
    bool fits = index ? tensor->dtype == OF_DTYPE_I64
                      : tensor->dtype == OF_DTYPE_F32 || tensor->dtype == OF_DTYPE_BF16;
    if (fits)
        return OF_OK;
    return of_fail(error, OF_ERROR_FORMAT, "%.480s: tensor '%.95s': dtype is %s, must be %s", place,
                   parameter->name, of_dtype_name(tensor->dtype), index ? "I64" : "F32 or BF16");
}

/* The first tensor of the file that the architecture does not have, or NULL. */
static const char *find_extra(const of_model *model, const of_safetensors *file) {
    for (size_t i = 0; i < file->count; i++)
        if (of_model_find(model, file->tensors[i].name) == OF_NO_PARAMETER)
            return file->tensors[i].name;
    return NULL;
}

static of_status fail_missing(const of_model *model, const of_safetensors *file, const char *name,
                              const char *place, of_error *error) {
    const char *extra = find_extra(model, file);
    if (extra == NULL)
        return refuse(error, place, name, "is missing");
    return of_fail(error, OF_ERROR_FORMAT,
                   "%.480s: tensor '%.95s': is missing; instead the file has '%.255s', which the "
                   "architecture does not",
                   place, name, extra);
}

/* Names, shapes and types of the file are those of the table. */
static of_status check_tensors(const of_model *model, const of_safetensors *file, const char *place,
                               of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        const of_safetensor *tensor = of_safetensors_find(file, parameter->name);
        if (tensor == NULL)
            return fail_missing(model, file, parameter->name, place, error);
        status = check_shape(parameter, tensor, place, error);
        if (status == OF_OK)
            status = check_dtype(parameter, tensor, place, error);
    }
    if (status == OF_OK && file->count > model->parameter_count)
        return refuse(error, place, find_extra(model, file), "is not part of the architecture");
    return status;
}

static of_status read_floats(float *values, const of_safetensor *tensor, const char *place,
                             of_error *error) {
    char reason[64];
    if (tensor->dtype == OF_DTYPE_BF16)
        of_widen_bf16(tensor->data, tensor->count, values);
    else
        memcpy(values, tensor->data, tensor->count * sizeof *values);
    size_t bad = of_first_non_finite(values, tensor->count);
    if (bad == tensor->count)
        return OF_OK;
    (void)snprintf(reason, sizeof reason, "value %zu is not finite", bad);
    return refuse(error, place, tensor->name, reason);
}

static of_status read_tensors(of_model *model, const of_safetensors *file, const char *place,
                              of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        const of_safetensor *tensor = of_safetensors_find(file, parameter->name);
        if (parameter->kind == OF_PARAMETER_INDEX)
            memcpy(of_model_indices(model, (int)i), tensor->data, tensor->count * sizeof(int64_t));
        else
            status = read_floats(of_model_values(model, (int)i), tensor, place, error);
    }
    return status;
}

/* Every index from 0 to n-1 once. `seen` has n bytes. */
static bool is_permutation(const int64_t *indices, size_t n, unsigned char *seen) {
    memset(seen, 0, n);
    for (size_t i = 0; i < n; i++) {
        if (indices[i] < 0 || (uint64_t)indices[i] >= n || seen[indices[i]])
            return false;
        seen[indices[i]] = 1;
    }
    return true;
}

/* One 1 in every row and column, zeros elsewhere. `seen` has n bytes. */
static bool is_permutation_matrix(const float *matrix, size_t n, unsigned char *seen) {
    memset(seen, 0, n);
    for (size_t row = 0; row < n; row++) {
        size_t ones = 0;
        for (size_t column = 0; column < n; column++) {
            float value = matrix[row * n + column];
            if (value == 0)
                continue;
            if (value != 1 || seen[column] || ++ones > 1)
                return false;
            seen[column] = 1;
        }
        if (ones == 0)
            return false;
    }
    return true;
}

static bool are_signs(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != 1 && values[i] != -1)
            return false;
    return true;
}

/* Constants of a step that training never touches mean nothing but what they should be. */
static of_status check_constants(const of_model *model, const of_step_parameters *step,
                                 unsigned char *seen, const char *place, of_error *error) {
    const of_parameter *table = model->parameters;
    if (step->indices >= 0 &&
        !is_permutation(of_model_indices(model, step->indices), table[step->indices].count, seen))
        return refuse(error, place, table[step->indices].name,
                      "is not a permutation of the channels");
    if (step->permutation >= 0 && !is_permutation_matrix(of_model_values(model, step->permutation),
                                                         table[step->permutation].shape[0], seen))
        return refuse(error, place, table[step->permutation].name, "is not a permutation matrix");
    if (step->sign >= 0 && !are_signs(of_model_values(model, step->sign), table[step->sign].count))
        return refuse(error, place, table[step->sign].name, "holds other values than 1 and -1");
    return OF_OK;
}

static of_status check_all_constants(const of_model *model, const char *place, of_error *error) {
    const of_architecture *architecture = &model->architecture;
    of_status status = OF_OK;
    unsigned char *seen = of_allocate(of_architecture_dimensions(architecture), 1);
    if (seen == NULL)
        return of_fail_memory(error, "a check of permutations");
    for (uint32_t scale = 0; scale < of_architecture_scale_count(architecture); scale++)
        for (uint32_t step = 0; status == OF_OK && step < of_architecture_mixings(architecture);
             step++)
            status = check_constants(model, &model->scales[scale].steps[step], seen, place, error);
    of_free(seen);
    return status;
}

static of_status copy_metadata(of_model *model, const of_safetensors *file, const char *place,
                               of_error *error) {
    const cJSON *item;
    of_error inner;
    cJSON_ArrayForEach(item, file->metadata) {
        const char *key = item->string;
        if (strcmp(key, "format") == 0 || strcmp(key, "version") == 0 ||
            strcmp(key, "architecture") == 0 || strcmp(key, OF_CONTENT_HASH) == 0)
            continue;
        of_status status = of_model_set_metadata(model, key, item->valuestring, &inner);
        if (status != OF_OK)
            return of_fail(error, OF_ERROR_FORMAT, "%.480s: %.400s", place, inner.message);
    }
    return OF_OK;
}

/* The table of the file's architecture, checked against the file, without values. */
static of_status describe(const of_safetensors *file, const char *place, of_model **model,
                          of_error *error) {
    of_architecture architecture;
    of_error inner;
    of_status status = check_format(file, place, error);
    if (status != OF_OK)
        return status;
    const char *text = of_safetensors_metadata(file, "architecture");
    if (text == NULL)
        return of_fail(error, OF_ERROR_FORMAT, "%.480s: __metadata__ lacks the architecture",
                       place);
    status = of_architecture_parse(text, place, &architecture, error);
    if (status != OF_OK)
        return status;
    status = of_model_describe(&architecture, model, &inner);
    if (status != OF_OK)
        return of_fail(error, status, "%.480s: %.400s", place, inner.message);
    status = check_tensors(*model, file, place, error);
    if (status != OF_OK)
        of_model_free(*model);
    return status;
}

static of_status read_model(const of_safetensors *file, const char *place, of_model **model,
                            of_error *error) {
    of_model *read;
    of_status status = describe(file, place, &read, error);
    if (status != OF_OK)
        return status;
    status = of_model_allocate_values(read, error);
    if (status == OF_OK)
        status = read_tensors(read, file, place, error);
    if (status == OF_OK)
        status = check_all_constants(read, place, error);
    if (status == OF_OK)
        status = copy_metadata(read, file, place, error);
    if (status == OF_OK)
        *model = read;
    else
        of_model_free(read);
    return status;
}

/* The model itself, or the general one of a bundle. */
static of_status read_part(const of_safetensors *file, bool general, const char *place,
                           of_model **model, of_error *error) {
    of_safetensors part;
    if (!of_bundle_has_general(file))
        return read_model(file, place, model, error);
    of_status status = of_bundle_open_part(file, general, &part, error);
    if (status != OF_OK)
        return status;
    status = read_model(&part, place, model, error);
    of_bundle_close_part(&part);
    return status;
}

/* After everything else, whose messages say more. */
static of_status check_content(const of_safetensors *file, const char *path, of_model **model,
                               of_error *error) {
    of_status status = of_content_hash_check(file, path, error);
    if (status != OF_OK) {
        of_model_free(*model);
        *model = NULL;
    }
    return status;
}

of_status of_model_load(const char *path, of_model **model, of_error *error) {
    of_safetensors file;
    if (path == NULL || model == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_model_load: a required argument is NULL");
    of_status status = of_safetensors_open(path, &file, error);
    if (status != OF_OK)
        return status;
    status = read_part(&file, false, path, model, error);
    if (status == OF_OK)
        status = check_content(&file, path, model, error);
    of_safetensors_close(&file);
    return status;
}

/* *model stays NULL if the file has none. */
static of_status read_general(const of_safetensors *file, const char *path, of_model **model,
                              of_error *error) {
    char place[512];
    (void)snprintf(place, sizeof place, "%.440s: its general model", path);
    return of_bundle_has_general(file) ? read_part(file, true, place, model, error) : OF_OK;
}

of_status of_model_load_general(const char *path, of_model **model, of_error *error) {
    of_safetensors file;
    if (path == NULL || model == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_model_load_general: a required argument is NULL");
    *model = NULL;
    of_status status = of_safetensors_open(path, &file, error);
    if (status != OF_OK)
        return status;
    status = read_general(&file, path, model, error);
    if (status == OF_OK)
        status = check_content(&file, path, model, error);
    of_safetensors_close(&file);
    return status;
}

of_status of_model_parse(const unsigned char *bytes, size_t length, const char *place,
                         of_model **model, of_error *error) {
    of_safetensors file;
    of_status status = of_safetensors_parse(bytes, length, place, &file, error);
    if (status != OF_OK)
        return status;
    status = read_part(&file, false, place, model, error);
    of_safetensors_close(&file);
    return status;
}

of_status of_model_parse_general(const unsigned char *bytes, size_t length, const char *place,
                                 of_model **model, of_error *error) {
    of_safetensors file;
    *model = NULL;
    of_status status = of_safetensors_parse(bytes, length, place, &file, error);
    if (status != OF_OK)
        return status;
    status = read_general(&file, place, model, error);
    of_safetensors_close(&file);
    return status;
}

static void list_tensors(const of_model *model, of_dtype storage, of_safetensor_source *tensors) {
    for (size_t i = 0; i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        bool index = parameter->kind == OF_PARAMETER_INDEX;
        tensors[i] = (of_safetensor_source){.name = parameter->name,
                                            .dtype = index ? OF_DTYPE_I64 : storage,
                                            .rank = parameter->rank,
                                            .values = model->values + parameter->offset};
        memcpy(tensors[i].shape, parameter->shape, sizeof parameter->shape);
    }
}

static void list_metadata(const of_model *model, const char *architecture,
                          of_metadata_source *metadata) {
    metadata[0] = (of_metadata_source){"format", "outflow"};
    metadata[1] = (of_metadata_source){"version", format_version};
    metadata[2] = (of_metadata_source){"architecture", architecture};
    for (size_t i = 0; i < model->metadata_count; i++)
        metadata[3 + i] = (of_metadata_source){model->metadata[i].key, model->metadata[i].value};
}

of_status of_model_save_as(const of_model *model, of_dtype storage, const char *path,
                           of_error *error) {
    of_status status;
    char *architecture = of_architecture_print(&model->architecture);
    of_safetensor_source *tensors = calloc(model->parameter_count, sizeof *tensors);
    of_metadata_source *metadata = calloc(model->metadata_count + 3, sizeof *metadata);
    if (architecture == NULL || tensors == NULL || metadata == NULL) {
        status = of_fail_memory(error, "the list of tensors to write");
    } else {
        list_tensors(model, storage, tensors);
        list_metadata(model, architecture, metadata);
        status = of_safetensors_write(path, tensors, model->parameter_count, metadata,
                                      model->metadata_count + 3, error);
    }
    free(architecture);
    free(tensors);
    free(metadata);
    return status;
}

/* ---- Bundles ------------------------------------------------------------------------------- */

static bool view_metadata(const of_model *model, of_safetensors *part) {
    char *architecture = of_architecture_print(&model->architecture);
    part->header = cJSON_CreateObject();
    bool complete = architecture != NULL && part->header != NULL &&
                    cJSON_AddStringToObject(part->header, "format", "outflow") != NULL &&
                    cJSON_AddStringToObject(part->header, "version", format_version) != NULL &&
                    cJSON_AddStringToObject(part->header, "architecture", architecture) != NULL;
    for (size_t i = 0; complete && i < model->metadata_count; i++)
        complete = cJSON_AddStringToObject(part->header, model->metadata[i].key,
                                           model->metadata[i].value) != NULL;
    part->metadata = part->header;
    free(architecture);
    return complete;
}

/* A model in memory as the part of a file; closed with of_bundle_close_part. */
static of_status view_model(const of_model *model, of_safetensors *part, of_error *error) {
    *part = (of_safetensors){.count = 0};
    part->tensors = calloc(model->parameter_count, sizeof *part->tensors);
    if (part->tensors == NULL || !view_metadata(model, part)) {
        of_bundle_close_part(part);
        return of_fail_memory(error, "the list of tensors to write");
    }
    for (; part->count < model->parameter_count; part->count++) {
        const of_parameter *parameter = &model->parameters[part->count];
        of_safetensor *tensor = &part->tensors[part->count];
        bool index = parameter->kind == OF_PARAMETER_INDEX;
        *tensor = (of_safetensor){.name = parameter->name,
                                  .dtype = index ? OF_DTYPE_I64 : OF_DTYPE_F32,
                                  .rank = parameter->rank,
                                  .count = parameter->count,
                                  .data = model->values + parameter->offset};
        memcpy(tensor->shape, parameter->shape, sizeof parameter->shape);
    }
    return OF_OK;
}

of_status of_model_save_bundle(const of_model *model, const char *calibration,
                               const of_model *general, const char *path, of_error *error) {
    of_safetensors own, other = {.count = 0};
    of_status status = view_model(model, &own, error);
    if (status != OF_OK)
        return status;
    if (general != NULL)
        status = view_model(general, &other, error);
    if (status == OF_OK)
        status =
            of_bundle_write_parts(&own, calibration, general != NULL ? &other : NULL, path, error);
    of_bundle_close_part(&other);
    of_bundle_close_part(&own);
    return status;
}

of_status of_model_save(const of_model *model, const char *path, of_error *error) {
    if (model == NULL || path == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_model_save: a required argument is NULL");
    return of_model_save_as(model, OF_DTYPE_F32, path, error);
}
