/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
/*
 * IDX, the format of MNIST: [0][0][8: bytes][number of dimensions], each dimension as 32 bits
 * big-endian, the values. Images have three dimensions, labels one.
 */
#include "core/error.h"
#include "data/formats/byte_stream.h"
#include "data/formats/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct idx_reader {
    of_reader reader;
    of_byte_stream *images, *labels; /* labels may be NULL */
    uint32_t count, height, width, next;
} idx_reader;

static void close_idx(of_reader *reader) {
    idx_reader *idx = (idx_reader *)reader;
    of_byte_stream_close(idx->images);
    of_byte_stream_close(idx->labels);
    free(idx);
}

static of_status fail_early_end(const idx_reader *idx, const of_byte_stream *stream,
                                of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT,
                   "%s: truncated: the header announces %" PRIu32 " entries, there are %" PRIu32,
                   of_byte_stream_name(stream), idx->count, idx->next);
}

static of_status read_label(idx_reader *idx, of_entry *entry, of_error *error) {
    uint8_t label;
    size_t count;
    if (idx->labels == NULL)
        return OF_OK;
    of_status status = of_byte_stream_read(idx->labels, &label, 1, &count, error);
    if (status != OF_OK)
        return status;
    if (count == 0)
        return fail_early_end(idx, idx->labels, error);
    entry->class_index = label;
    if (!of_text_format(&entry->label, "%u", label))
        return of_fail_memory(error, "a label");
    return OF_OK;
}

static of_status next_image(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    idx_reader *idx = (idx_reader *)reader;
    *end = idx->next == idx->count;
    if (*end)
        return OF_OK;
    size_t size = (size_t)idx->height * idx->width, count;
    of_status status = of_entry_begin(entry, "", "", error);
    if (status != OF_OK)
        return status;
    if (!of_text_format(&entry->path, "%" PRIu32, idx->next) ||
        !of_bytes_reserve(&entry->bytes, size))
        return of_fail_memory(error, "an IDX image");
    status = of_byte_stream_read(idx->images, entry->bytes.data, size, &count, error);
    if (status != OF_OK)
        return status;
    if (count < size)
        return fail_early_end(idx, idx->images, error);
    entry->content = OF_CONTENT_PIXELS;
    entry->raster = (of_raster){.height = idx->height, .width = idx->width, .channels = 1};
    entry->bytes.size = size;
    status = read_label(idx, entry, error);
    idx->next++;
    return status;
}

/* Reads magic and dimensions. */
static of_status read_header(of_byte_stream *stream, unsigned rank, uint32_t *dimensions,
                             of_error *error) {
    uint8_t header[4 + 4 * 3];
    const char *what = rank == 1 ? "labels" : "images";
    of_status status = of_byte_stream_read_all(stream, header, 4, error);
    if (status != OF_OK)
        return status;
    if (header[0] != 0 || header[1] != 0 || header[2] != 8 || header[3] != rank)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: not IDX %s: begins with %02x%02x%02x%02x instead of 000008%02x%s",
                       of_byte_stream_name(stream), what, header[0], header[1], header[2],
                       header[3], rank, rank == 3 && header[3] == 1 ? "; these are labels" : "");
    status = of_byte_stream_read_all(stream, header + 4, (size_t)4 * rank, error);
    for (unsigned i = 0; i < rank && status == OF_OK; i++) {
        const uint8_t *bytes = header + 4 + (size_t)4 * i;
        dimensions[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
                        (uint32_t)bytes[2] << 8 | bytes[3];
    }
    return status;
}

static of_status read_image_header(idx_reader *idx, const of_target *target, of_error *error) {
    uint32_t dimensions[3];
    of_error reason;
    of_status status = read_header(idx->images, 3, dimensions, error);
    if (status != OF_OK)
        return status;
    idx->count = dimensions[0];
    idx->height = dimensions[1];
    idx->width = dimensions[2];
    idx->reader.expected = idx->count;
    if (idx->count == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: holds no images",
                       of_byte_stream_name(idx->images));
    status = of_check_size(idx->height, idx->width, target, &reason);
    if (status != OF_OK)
        return of_fail(error, status, "%s: %s", of_byte_stream_name(idx->images), reason.message);
    /* At most 2^32 images of 2^32 pixels, each side below 2^16 by now: no overflow. */
    uint64_t size = of_byte_stream_size(idx->images), announced = 16;
    if (__builtin_mul_overflow((uint64_t)idx->count, (uint64_t)idx->height * idx->width,
                               &announced) ||
        __builtin_add_overflow(announced, 16u, &announced) || size < announced)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: truncated: the header announces %" PRIu32 " images of %" PRIu32
                       " x %" PRIu32 ", the file has %" PRIu64 " bytes",
                       of_byte_stream_name(idx->images), idx->count, idx->width, idx->height, size);
    return OF_OK;
}

static of_status open_stream(of_byte_stream *stream, const of_target *target, idx_reader **reader,
                             of_error *error) {
    idx_reader *idx = calloc(1, sizeof *idx);
    if (idx == NULL) {
        of_byte_stream_close(stream);
        return of_fail_memory(error, "an IDX reader");
    }
    idx->reader = (of_reader){.next = next_image, .close = close_idx};
    idx->images = stream;
    of_status status = read_image_header(idx, target, error);
    if (status != OF_OK)
        close_idx(&idx->reader);
    else
        *reader = idx;
    return status;
}

/* ---- Labels beside the images: train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte.gz ----- */

/* Overwrites the last occurrence of `from` in the file's name; both have the same length. */
static bool replace_in_name(char *path, const char *from, const char *to) {
    char *name = strrchr(path, '/'), *found = NULL;
    name = name != NULL ? name + 1 : path;
    for (char *at = strstr(name, from); at != NULL; at = strstr(at + 1, from))
        found = at;
    for (size_t i = 0; found != NULL && to[i] != '\0'; i++)
        found[i] = to[i];
    return found != NULL;
}

/* The labels' path if there is such a file, as it is or with the other state of compression;
 * else NULL. The caller frees it. */
static char *find_labels(const char *images_path) {
    size_t length = strlen(images_path);
    char *path = malloc(length + 4);
    if (path == NULL)
        return NULL;
    memcpy(path, images_path, length + 1);
    if (replace_in_name(path, "images", "labels")) {
        (void)replace_in_name(path, "idx3", "idx1");
        if (access(path, F_OK) == 0)
            return path;
        bool compressed = length > 3 && strcmp(path + length - 3, ".gz") == 0;
        if (compressed)
            path[length - 3] = '\0';
        else
            memcpy(path + length, ".gz", 4);
        if (access(path, F_OK) == 0)
            return path;
    }
    free(path);
    return NULL;
}

static of_status open_labels(idx_reader *idx, const char *images_path, of_error *error) {
    char *path = find_labels(images_path);
    if (path == NULL)
        return OF_OK;
    uint32_t count = 0;
    of_status status = of_byte_stream_open(path, &idx->labels, error);
    if (status == OF_OK)
        status = read_header(idx->labels, 1, &count, error);
    if (status == OF_OK && count != idx->count)
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%s: %" PRIu32 " labels for the %" PRIu32 " images of %s", path, count,
                         idx->count, images_path);
    free(path);
    return status;
}

of_status of_reader_open_idx(const char *path, const of_target *target, of_reader **reader,
                             of_error *error) {
    of_byte_stream *stream;
    idx_reader *idx = NULL;
    of_status status = of_byte_stream_open(path, &stream, error);
    if (status == OF_OK)
        status = open_stream(stream, target, &idx, error);
    if (status != OF_OK)
        return status;
    status = open_labels(idx, path, error);
    if (status != OF_OK)
        close_idx(&idx->reader);
    else
        *reader = &idx->reader;
    return status;
}

of_status of_reader_open_idx_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error) {
    of_byte_stream *stream;
    idx_reader *idx = NULL;
    of_status status = of_byte_stream_open_memory(bytes, size, "IDX data", &stream, error);
    if (status == OF_OK)
        status = open_stream(stream, target, &idx, error);
    if (status == OF_OK)
        *reader = &idx->reader;
    return status;
}
