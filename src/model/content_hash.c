/* SPDX-License-Identifier: Apache-2.0 */
#include "model/content_hash.h"

#include "core/error.h"
#include "core/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t of_content_hash_begin(const char *name) {
    return of_hash_bytes(OF_HASH_START, name, strlen(name) + 1);
}

uint64_t of_content_hash_text(const char *key, const char *value) {
    return strcmp(key, OF_CONTENT_HASH) == 0
               ? 0
               : of_hash_bytes(of_content_hash_begin(key), value, strlen(value));
}

void of_content_hash_print(uint64_t hash, char text[OF_CONTENT_HASH_SIZE]) {
    (void)snprintf(text, OF_CONTENT_HASH_SIZE, "%016" PRIx64, hash);
}

static uint64_t hash_file(const of_safetensors *file) {
    uint64_t sum = 0;
    const cJSON *item;
    for (size_t i = 0; i < file->count; i++) {
        const of_safetensor *tensor = &file->tensors[i];
        sum += of_hash_bytes(of_content_hash_begin(tensor->name), tensor->data,
                             tensor->count * of_dtype_size(tensor->dtype));
    }
    cJSON_ArrayForEach(item, file->metadata) {
        sum += of_content_hash_text(item->string, item->valuestring);
    }
    return sum;
}

of_status of_content_hash_check(const of_safetensors *file, const char *place, of_error *error) {
    char found[OF_CONTENT_HASH_SIZE];
    const char *stated = of_safetensors_metadata(file, OF_CONTENT_HASH);
    if (stated == NULL)
        return OF_OK;
    of_content_hash_print(hash_file(file), found);
    if (strcmp(stated, found) == 0)
        return OF_OK;
    return of_fail(error, OF_ERROR_FORMAT,
                   "%.480s: damaged: its content is not what was written (hash %s instead of "
                   "%.16s); whoever changes a file removes its metadata '" OF_CONTENT_HASH "'",
                   place, found, stated);
}
