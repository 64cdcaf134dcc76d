/* SPDX-License-Identifier: Apache-2.0 */
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "model/content_hash.h"
#include "model/floats.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are written as they lie in memory: this needs a little-endian machine"
#endif

enum { HEADER_ALIGNMENT = 8, BLOCK = 4096 };

static bool count_values(const of_safetensor_source *tensor, size_t *count) {
    *count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (!of_multiply(*count, tensor->shape[i], count))
            return false;
    return true;
}

static bool stored_bytes(const of_safetensor_source *tensor, size_t *bytes) {
    return count_values(tensor, bytes) && of_multiply(*bytes, of_dtype_size(tensor->dtype), bytes);
}

static bool is_rounded(const of_safetensor_source *tensor) {
    return tensor->dtype == OF_DTYPE_BF16 && !tensor->stored;
}

/* Rounds the first values; returns how many. */
static size_t round_block(const float *values, size_t count, uint16_t block[BLOCK]) {
    size_t part = count < BLOCK ? count : BLOCK;
    for (size_t i = 0; i < part; i++)
        block[i] = of_round_bf16(values[i]);
    return part;
}

/* Refuses what must not reach a file: values that are not, or in BF16 would not be, finite. */
static of_status check_values(const char *path, const of_safetensor_source *tensor,
                              of_error *error) {
    size_t count;
    if (!count_values(tensor, &count))
        return of_fail(error, OF_ERROR_ARGUMENT, "%.480s: tensor '%.255s': shape overflows", path,
                       tensor->name);
    if (tensor->stored || (tensor->dtype != OF_DTYPE_F32 && tensor->dtype != OF_DTYPE_BF16))
        return OF_OK;
    const float *values = tensor->values;
    size_t bad = of_first_non_finite(values, count);
    for (size_t i = 0; tensor->dtype == OF_DTYPE_BF16 && i < bad; i++)
        if ((of_round_bf16(values[i]) & 0x7F80) == 0x7F80)
            bad = i;
    if (bad == count)
        return OF_OK;
    return of_fail(error, OF_ERROR_NUMERIC,
                   "%.480s: not written: tensor '%.255s': value %zu is not finite", path,
                   tensor->name, bad);
}

static bool add_size(cJSON *array, size_t size) {
    cJSON *number = cJSON_CreateNumber((double)size);
    if (number != NULL && cJSON_AddItemToArray(array, number))
        return true;
    cJSON_Delete(number);
    return false;
}

static bool add_tensor(cJSON *header, const of_safetensor_source *tensor, size_t *offset) {
    size_t bytes = 0, end;
    cJSON *entry = cJSON_AddObjectToObject(header, tensor->name);
    if (entry == NULL || !stored_bytes(tensor, &bytes) || !of_add(*offset, bytes, &end) ||
        cJSON_AddStringToObject(entry, "dtype", of_dtype_name(tensor->dtype)) == NULL)
        return false;
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    bool complete = shape != NULL;
    for (uint32_t i = 0; complete && i < tensor->rank; i++)
        complete = add_size(shape, tensor->shape[i]);
    cJSON *offsets = complete ? cJSON_AddArrayToObject(entry, "data_offsets") : NULL;
    complete = offsets != NULL && add_size(offsets, *offset) && add_size(offsets, end);
    *offset = end;
    return complete;
}

static uint64_t hash_bf16(uint64_t hash, const float *values, size_t count) {
    uint16_t block[BLOCK];
    while (count > 0) {
        size_t part = round_block(values, count, block);
        hash = of_hash_bytes(hash, block, part * sizeof *block);
        values += part;
        count -= part;
    }
    return hash;
}

static uint64_t hash_tensor(const of_safetensor_source *tensor) {
    size_t bytes = 0;
    uint64_t begun = of_content_hash_begin(tensor->name);
    (void)stored_bytes(tensor, &bytes); /* checked before */
    if (is_rounded(tensor))
        return hash_bf16(begun, tensor->values, bytes / sizeof(uint16_t));
    return of_hash_bytes(begun, tensor->values, bytes);
}

static void print_hash(const of_safetensor_source *tensors, size_t count,
                       const of_metadata_source *metadata, size_t metadata_count,
                       char text[OF_CONTENT_HASH_SIZE]) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += hash_tensor(&tensors[i]);
    for (size_t i = 0; i < metadata_count; i++)
        sum += of_content_hash_text(metadata[i].key, metadata[i].value);
    of_content_hash_print(sum, text);
}

/* The hash is this file's own: one that came with the metadata was another's. */
static bool add_metadata(cJSON *header, const of_metadata_source *metadata, size_t count,
                         const char *hash) {
    cJSON *object = cJSON_AddObjectToObject(header, "__metadata__");
    bool complete = object != NULL;
    for (size_t i = 0; complete && i < count; i++)
        if (strcmp(metadata[i].key, OF_CONTENT_HASH) != 0)
            complete = cJSON_AddStringToObject(object, metadata[i].key, metadata[i].value) != NULL;
    return complete && cJSON_AddStringToObject(object, OF_CONTENT_HASH, hash) != NULL;
}

/* The header's text, freed with free(); NULL when memory is exhausted. */
static char *print_header(const of_safetensor_source *tensors, size_t count,
                          const of_metadata_source *metadata, size_t metadata_count) {
    size_t offset = 0;
    char hash[OF_CONTENT_HASH_SIZE];
    cJSON *header = cJSON_CreateObject();
    print_hash(tensors, count, metadata, metadata_count, hash);
    bool complete = header != NULL && add_metadata(header, metadata, metadata_count, hash);
    for (size_t i = 0; complete && i < count; i++)
        complete = add_tensor(header, &tensors[i], &offset);
    char *text = complete ? cJSON_PrintUnformatted(header) : NULL;
    cJSON_Delete(header);
    return text;
}

static of_status write_header(of_replacement *file, const char *text, of_error *error) {
    size_t length = strlen(text), padded = of_round_up(length, HEADER_ALIGNMENT);
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    if (padded > OF_SAFETENSORS_MAX_HEADER)
        return of_fail(error, OF_ERROR_ARGUMENT, "%.480s: the header would exceed 100 MB",
                       file->target);
    of_status status = of_replace_write(file, prefix, sizeof prefix, error);
    if (status == OF_OK)
        status = of_replace_write(file, text, length, error);
    return status == OF_OK ? of_replace_write(file, "       ", padded - length, error) : status;
}

static of_status write_bf16(of_replacement *file, const float *values, size_t count,
                            of_error *error) {
    uint16_t block[BLOCK];
    of_status status = OF_OK;
    while (status == OF_OK && count > 0) {
        size_t part = round_block(values, count, block);
        status = of_replace_write(file, block, part * sizeof *block, error);
        values += part;
        count -= part;
    }
    return status;
}

static of_status write_tensor(of_replacement *file, const of_safetensor_source *tensor,
                              of_error *error) {
    size_t count = 0;
    (void)count_values(tensor, &count); /* checked before */
    if (is_rounded(tensor))
        return write_bf16(file, tensor->values, count, error);
    return of_replace_write(file, tensor->values, count * of_dtype_size(tensor->dtype), error);
}

of_status of_safetensors_write(const char *path, const of_safetensor_source *tensors, size_t count,
                               const of_metadata_source *metadata, size_t metadata_count,
                               of_error *error) {
    of_replacement file;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = check_values(path, &tensors[i], error);
    if (status != OF_OK)
        return status;
    char *header = print_header(tensors, count, metadata, metadata_count);
    if (header == NULL)
        return of_fail_memory(error, "the header of a weight file");
    status = of_replace_begin(path, &file, error);
    if (status == OF_OK) {
        status = write_header(&file, header, error);
        for (size_t i = 0; status == OF_OK && i < count; i++)
            status = write_tensor(&file, &tensors[i], error);
        if (status == OF_OK)
            status = of_replace_commit(&file, error);
        else
            of_replace_discard(&file);
    }
    free(header);
    return status;
}

/* ---- New metadata for an old file ----------------------------------------------------------- */

static int compare_places(const void *first, const void *second) {
    const of_safetensor_source *a = first, *b = second;
    return (a->values > b->values) - (a->values < b->values);
}

/* In the order of their bytes in the file. */
static void list_stored(const of_safetensors *file, of_safetensor_source *tensors) {
    for (size_t i = 0; i < file->count; i++) {
        const of_safetensor *from = &file->tensors[i];
        tensors[i] = (of_safetensor_source){.name = from->name,
                                            .dtype = from->dtype,
                                            .rank = from->rank,
                                            .values = from->data,
                                            .stored = true};
        memcpy(tensors[i].shape, from->shape, sizeof from->shape);
    }
    qsort(tensors, file->count, sizeof *tensors, compare_places);
}

static size_t list_metadata(const of_safetensors *file, const char *key, const char *value,
                            of_metadata_source *metadata) {
    const cJSON *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, file->metadata) {
        if (strcmp(item->string, key) != 0)
            metadata[count++] = (of_metadata_source){item->string, item->valuestring};
    }
    if (value != NULL)
        metadata[count++] = (of_metadata_source){key, value};
    return count;
}

of_status of_safetensors_replace_metadata(const char *from, const char *to, const char *key,
                                          const char *value, of_error *error) {
    of_safetensors file;
    of_status status = of_safetensors_open(from, &file, error);
    if (status != OF_OK)
        return status;
    status = of_content_hash_check(&file, from, error);
    if (status != OF_OK) {
        of_safetensors_close(&file);
        return status;
    }
    size_t most = file.metadata != NULL ? (size_t)cJSON_GetArraySize(file.metadata) + 1 : 1;
    of_safetensor_source *tensors = calloc(file.count + 1, sizeof *tensors);
    of_metadata_source *metadata = calloc(most, sizeof *metadata);
    if (tensors == NULL || metadata == NULL) {
        status = of_fail_memory(error, "the list of tensors to write");
    } else {
        list_stored(&file, tensors);
        size_t count = list_metadata(&file, key, value, metadata);
        status = of_safetensors_write(to, tensors, file.count, metadata, count, error);
    }
    free(tensors);
    free(metadata);
    of_safetensors_close(&file);
    return status;
}
