/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "model/safetensors.h"

#include "core/error.h"
#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tensor's entry holds at most 3 members, a shape and two offsets. */
enum { LENGTH_BYTES = 8, VALUES_PER_TENSOR = 8 + OF_SAFETENSORS_MAX_RANK, MAX_METADATA = 1000 };

static const struct {
    const char *name;
    size_t size;
} dtypes[OF_DTYPE_COUNT] = {
    [OF_DTYPE_BOOL] = {"BOOL", 1}, [OF_DTYPE_U8] = {"U8", 1},
    [OF_DTYPE_I8] = {"I8", 1},     [OF_DTYPE_F8_E5M2] = {"F8_E5M2", 1},
    [OF_DTYPE_I16] = {"I16", 2},   [OF_DTYPE_F8_E4M3] = {"F8_E4M3", 1},
    [OF_DTYPE_U16] = {"U16", 2},   [OF_DTYPE_F16] = {"F16", 2},
    [OF_DTYPE_BF16] = {"BF16", 2}, [OF_DTYPE_I32] = {"I32", 4},
    [OF_DTYPE_U32] = {"U32", 4},   [OF_DTYPE_F32] = {"F32", 4},
    [OF_DTYPE_F64] = {"F64", 8},   [OF_DTYPE_I64] = {"I64", 8},
    [OF_DTYPE_U64] = {"U64", 8},
};

const char *of_dtype_name(of_dtype dtype) {
    return dtypes[dtype].name;
}

size_t of_dtype_size(of_dtype dtype) {
    return dtypes[dtype].size;
}

/* The file being read: where messages say it is, and the bytes after its header. */
typedef struct source {
    const char *place;
    const unsigned char *data;
    size_t data_bytes;
    of_error *error;
} source;

static of_status refuse(const source *from, const char *tensor, const char *reason) {
    return of_fail(from->error, OF_ERROR_FORMAT, "%.480s: tensor '%.255s': %s", from->place, tensor,
                   reason);
}

static bool read_dtype(const cJSON *item, of_dtype *dtype) {
    for (int i = 0; cJSON_IsString(item) && i < OF_DTYPE_COUNT; i++)
        if (strcmp(item->valuestring, dtypes[i].name) == 0) {
            *dtype = (of_dtype)i;
            return true;
        }
    return false;
}

static const char *read_shape(const cJSON *item, of_safetensor *tensor) {
    if (!cJSON_IsArray(item))
        return "shape is not an array";
    tensor->rank = 0;
    tensor->count = 1;
    const cJSON *size;
    cJSON_ArrayForEach(size, item) {
        if (tensor->rank == OF_SAFETENSORS_MAX_RANK)
            return "shape has more than 8 dimensions";
        uint64_t *side = &tensor->shape[tensor->rank++];
        if (!of_json_whole_number(size, (uint64_t)1 << 53, side))
            return "shape holds something else than whole numbers up to 2^53";
        if (!of_multiply(tensor->count, *side, &tensor->count))
            return "shape overflows";
    }
    return NULL;
}

static const char *read_offsets(const cJSON *item, const source *from, of_safetensor *tensor,
                                size_t *bytes) {
    uint64_t begin, end;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 2)
        return "data_offsets is not an array of two";
    if (!of_json_whole_number(cJSON_GetArrayItem(item, 0), (uint64_t)1 << 53, &begin) ||
        !of_json_whole_number(cJSON_GetArrayItem(item, 1), (uint64_t)1 << 53, &end))
        return "data_offsets are not whole numbers up to 2^53";
    if (begin > end)
        return "data_offsets end before they begin";
    if (end > from->data_bytes)
        return "data_offsets lie beyond the end of the file";
    tensor->data = from->data + begin;
    *bytes = (size_t)(end - begin);
    return NULL;
}

/* Reads one entry of the header; returns why it cannot be used, or NULL. */
static const char *read_entry(const cJSON *entry, const source *from, of_safetensor *tensor) {
    const cJSON *item, *dtype = NULL, *shape = NULL, *offsets = NULL;
    size_t bytes, needed;
    if (strlen(entry->string) > OF_SAFETENSORS_MAX_NAME)
        return "the name is longer than 255 bytes";
    if (!cJSON_IsObject(entry))
        return "its entry is not an object";
    cJSON_ArrayForEach(item, entry) {
        const cJSON **slot = strcmp(item->string, "dtype") == 0          ? &dtype
                             : strcmp(item->string, "shape") == 0        ? &shape
                             : strcmp(item->string, "data_offsets") == 0 ? &offsets
                                                                         : NULL;
        if (slot == NULL)
            return "its entry has an unknown key";
        if (*slot != NULL)
            return "its entry has a key twice";
        *slot = item;
    }
    if (dtype == NULL || shape == NULL || offsets == NULL)
        return "its entry lacks dtype, shape or data_offsets";
    if (!read_dtype(dtype, &tensor->dtype))
        return "unknown dtype";
    const char *reason = read_shape(shape, tensor);
    if (reason == NULL)
        reason = read_offsets(offsets, from, tensor, &bytes);
    if (reason != NULL)
        return reason;
    if (!of_multiply(tensor->count, of_dtype_size(tensor->dtype), &needed) || needed != bytes)
        return "data_offsets do not hold the bytes of its shape";
    return NULL;
}

static int compare_offsets(const void *first, const void *second) {
    const of_safetensor *a = first, *b = second;
    if (a->data != b->data)
        return a->data < b->data ? -1 : 1;
    /* An empty tensor stands before the one that begins where it does. */
    return (a->count > 0) - (b->count > 0);
}

static int compare_names(const void *first, const void *second) {
    return strcmp(((const of_safetensor *)first)->name, ((const of_safetensor *)second)->name);
}

/* Every byte of the data must belong to exactly one tensor. */
static of_status check_tiling(const source *from, const of_safetensors *file) {
    const unsigned char *end = from->data;
    for (size_t i = 0; i < file->count; i++) {
        const of_safetensor *tensor = &file->tensors[i];
        if (tensor->data < end)
            return refuse(from, tensor->name, "overlaps the tensor before it");
        if (tensor->data > end)
            return refuse(from, tensor->name, "leaves a hole before it");
        end += tensor->count * of_dtype_size(tensor->dtype);
    }
    size_t used = (size_t)(end - from->data);
    if (used != from->data_bytes)
        return of_fail(from->error, OF_ERROR_FORMAT,
                       "%.480s: %zu bytes after the last tensor belong to none", from->place,
                       from->data_bytes - used);
    return OF_OK;
}

static of_status check_names(const source *from, const of_safetensors *file) {
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
            return refuse(from, file->tensors[i].name, "appears twice");
    return OF_OK;
}

static of_status check_metadata(const source *from, const cJSON *metadata) {
    const cJSON *item;
    if (!cJSON_IsObject(metadata))
        return of_fail(from->error, OF_ERROR_FORMAT, "%.480s: __metadata__ is not an object",
                       from->place);
    if (cJSON_GetArraySize(metadata) > MAX_METADATA)
        return of_fail(from->error, OF_ERROR_FORMAT,
                       "%.480s: __metadata__ has more than %d entries", from->place, MAX_METADATA);
    cJSON_ArrayForEach(item, metadata) {
        if (!cJSON_IsString(item))
            return of_fail(from->error, OF_ERROR_FORMAT,
                           "%.480s: __metadata__: '%.255s' is not a string", from->place,
                           item->string);
    }
    const char *repeated = of_json_repeated_key(metadata);
    if (repeated != NULL)
        return of_fail(from->error, OF_ERROR_FORMAT, "%.480s: __metadata__: '%.255s' appears twice",
                       from->place, repeated);
    return OF_OK;
}

/* Fills file->tensors and file->metadata from the header. */
static of_status read_entries(const source *from, of_safetensors *file) {
    const cJSON *entry;
    size_t entries = 0;
    cJSON_ArrayForEach(entry, file->header) {
        entries++;
    }
    if (entries > OF_SAFETENSORS_MAX_TENSORS)
        return of_fail(from->error, OF_ERROR_FORMAT, "%.480s: more than %d tensors", from->place,
                       OF_SAFETENSORS_MAX_TENSORS);
    file->tensors = calloc(entries + 1, sizeof *file->tensors);
    if (file->tensors == NULL)
        return of_fail_memory(from->error, "the list of tensors");
    cJSON_ArrayForEach(entry, file->header) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            if (file->metadata != NULL)
                return of_fail(from->error, OF_ERROR_FORMAT, "%.480s: __metadata__ appears twice",
                               from->place);
            file->metadata = entry;
            of_status status = check_metadata(from, entry);
            if (status != OF_OK)
                return status;
            continue;
        }
        of_safetensor *tensor = &file->tensors[file->count++];
        tensor->name = entry->string;
        const char *reason = read_entry(entry, from, tensor);
        if (reason != NULL)
            return refuse(from, tensor->name, reason);
    }
    return OF_OK;
}

static of_status check_entries(const source *from, of_safetensors *file) {
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_offsets);
    of_status status = check_tiling(from, file);
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_names);
    return status == OF_OK ? check_names(from, file) : status;
}

static of_status fail_short(size_t length, const char *place, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "%.480s: %zu bytes are too few for a safetensors file",
                   place, length);
}

/* The header's length from the first 8 bytes, checked against the file's. */
static of_status read_length(const unsigned char *bytes, size_t length, const char *place,
                             size_t *header_bytes, of_error *error) {
    uint64_t claimed = 0;
    if (length < LENGTH_BYTES)
        return fail_short(length, place, error);
    for (int i = 7; i >= 0; i--)
        claimed = claimed << 8 | bytes[i];
    if (claimed > OF_SAFETENSORS_MAX_HEADER)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%.480s: claims a header of %llu bytes, more than 100 MB: not a safetensors "
                       "file, or damaged",
                       place, (unsigned long long)claimed);
    if (claimed > length - 8)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%.480s: truncated: the header needs %llu bytes, the file has %zu", place,
                       (unsigned long long)claimed + 8, length);
    *header_bytes = (size_t)claimed;
    return OF_OK;
}

of_status of_safetensors_parse(const unsigned char *bytes, size_t length, const char *place,
                               of_safetensors *file, of_error *error) {
    const size_t most = (size_t)OF_SAFETENSORS_MAX_TENSORS * VALUES_PER_TENSOR;
    size_t header_bytes = 0;
    of_status status = read_length(bytes, length, place, &header_bytes, error);
    if (status != OF_OK)
        return status;
    if (header_bytes == 0 || bytes[8] != '{')
        return of_fail(error, OF_ERROR_FORMAT, "%.480s: the header does not begin with '{'", place);
    *file = (of_safetensors){0};
    source from = {place, bytes + 8 + header_bytes, length - 8 - header_bytes, error};
    of_error inner;
    status = of_json_parse_object((const char *)bytes + 8, header_bytes, most, "header",
                                  &file->header, &inner);
    if (status != OF_OK)
        return of_fail(error, status, "%.480s: %.255s", place, inner.message);
    status = read_entries(&from, file);
    if (status == OF_OK)
        status = check_entries(&from, file);
    if (status != OF_OK)
        of_safetensors_close(file);
    return status;
}

static of_status fail_errno(of_error *error, const char *path, const char *what) {
    int reason = errno;
    return of_fail_io(error, reason, "%.480s: %s: %s", path, what, strerror(reason));
}

static of_status read_up_to(int descriptor, unsigned char *content, size_t from, size_t to,
                            const char *path, of_error *error) {
    while (from < to) {
        ssize_t count = read(descriptor, content + from, to - from);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail_errno(error, path, "cannot read");
        if (count == 0)
            return of_fail(error, OF_ERROR_FORMAT,
                           "%.480s: truncated while it was read: %zu bytes of %zu", path, from, to);
        from += (size_t)count;
    }
    return OF_OK;
}

/* The header first: what it refuses is not worth reading the tensors. */
static of_status read_content(int descriptor, size_t bytes, const char *path, of_safetensors *file,
                              of_error *error) {
    size_t header = 0;
    unsigned char *content = malloc(bytes);
    if (content == NULL)
        return of_fail_memory(error, "a weight file's content");
    of_status status = read_up_to(descriptor, content, 0, LENGTH_BYTES, path, error);
    if (status == OF_OK)
        status = read_length(content, bytes, path, &header, error);
    if (status == OF_OK)
        status = read_up_to(descriptor, content, LENGTH_BYTES, LENGTH_BYTES + header, path, error);
    if (status == OF_OK)
        status = of_safetensors_parse(content, bytes, path, file, error);
    if (status != OF_OK) {
        free(content);
        return status;
    }
    file->content = content;
    status = read_up_to(descriptor, content, LENGTH_BYTES + header, bytes, path, error);
    if (status != OF_OK)
        of_safetensors_close(file);
    return status;
}

of_status of_safetensors_open(const char *path, of_safetensors *file, of_error *error) {
    struct stat info;
    of_status status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fail_errno(error, path, "cannot open");
    if (fstat(descriptor, &info) != 0)
        status = fail_errno(error, path, "cannot examine");
    else if (!S_ISREG(info.st_mode))
        status = of_fail_io(error, S_ISDIR(info.st_mode) ? EISDIR : 0, "%.480s: not a regular file",
                            path);
    else if (info.st_size < LENGTH_BYTES)
        status = fail_short((size_t)info.st_size, path, error);
    else
        status = read_content(descriptor, (size_t)info.st_size, path, file, error);
    (void)close(descriptor);
    return status;
}

void of_safetensors_close(of_safetensors *file) {
    free(file->tensors);
    cJSON_Delete(file->header);
    free(file->content);
    *file = (of_safetensors){0};
}

const of_safetensor *of_safetensors_find(const of_safetensors *file, const char *name) {
    of_safetensor key = {.name = name};
    if (file->count == 0)
        return NULL;
    return bsearch(&key, file->tensors, file->count, sizeof *file->tensors, compare_names);
}

const char *of_safetensors_metadata(const of_safetensors *file, const char *key) {
    const cJSON *item;
    cJSON_ArrayForEach(item, file->metadata) {
        if (strcmp(item->string, key) == 0)
            return item->valuestring;
    }
    return NULL;
}
