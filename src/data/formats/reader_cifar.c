/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CIFAR binary files: records of [label][3072 bytes: 3 planes of 32 x 32] for CIFAR-10, and of
 * [coarse label][fine label][3072 bytes] for CIFAR-100, without a header.
 */
#include "core/error.h"
#include "core/memory.h"
#include "data/formats/byte_stream.h"
#include "data/formats/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXEL_BYTES = 3 * SIDE * SIDE };

typedef struct cifar_variant {
    const char *name;
    size_t labels; /* bytes; the last one is the class */
    unsigned classes;
} cifar_variant;

static const cifar_variant cifar10 = {"CIFAR-10", 1, 10}, cifar100 = {"CIFAR-100", 2, 100};

static const char *const cifar10_names[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                            "dog",      "frog",       "horse", "ship", "truck"};

typedef struct cifar_file {
    char *path;
    cifar_variant kind;
    uint64_t records;
} cifar_file;

typedef struct cifar_reader {
    of_reader reader;
    size_t count, current;
    of_byte_stream *stream; /* of the current file, once opened */
    uint64_t record;        /* next one in it */
    cifar_file files[];
} cifar_reader;

static void close_cifar(of_reader *reader) {
    cifar_reader *cifar = (cifar_reader *)reader;
    of_byte_stream_close(cifar->stream);
    for (size_t i = 0; i < cifar->count; i++)
        free(cifar->files[i].path);
    free(cifar);
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static of_status name_record(const cifar_reader *cifar, unsigned label, of_entry *entry,
                             of_error *error) {
    const cifar_file *file = &cifar->files[cifar->current];
    of_status status = of_entry_begin(entry, "", "", error);
    if (status != OF_OK)
        return status;
    /* One file: "7". Several: "data_batch_2.bin/7". */
    bool several = cifar->count > 1;
    bool named = of_text_format(&entry->path, "%s%s%" PRIu64, several ? file_name(file->path) : "",
                                several ? "/" : "", cifar->record);
    if (file->kind.labels == cifar10.labels)
        named = named && of_text_format(&entry->label, "%s", cifar10_names[label]);
    else
        named = named && of_text_format(&entry->label, "%u", label);
    if (!named || !of_bytes_reserve(&entry->bytes, PIXEL_BYTES))
        return of_fail_memory(error, "a CIFAR record");
    entry->class_index = (int32_t)label;
    entry->content = OF_CONTENT_PIXELS;
    entry->raster = (of_raster){.height = SIDE, .width = SIDE, .channels = 3, .planar = true};
    entry->bytes.size = PIXEL_BYTES;
    return OF_OK;
}

static of_status read_record(cifar_reader *cifar, of_entry *entry, of_error *error) {
    const cifar_file *file = &cifar->files[cifar->current];
    uint8_t labels[2] = {0};
    of_status status = of_byte_stream_read_all(cifar->stream, labels, file->kind.labels, error);
    if (status != OF_OK)
        return status;
    unsigned label = labels[file->kind.labels - 1];
    if (label >= file->kind.classes)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: record %" PRIu64 " has the label %u, but %s has 0 to %u; this is not "
                       "such a file",
                       file->path, cifar->record, label, file->kind.name, file->kind.classes - 1);
    status = name_record(cifar, label, entry, error);
    if (status == OF_OK)
        status = of_byte_stream_read_all(cifar->stream, entry->bytes.data, PIXEL_BYTES, error);
    cifar->record++;
    return status;
}

static of_status next_record(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    cifar_reader *cifar = (cifar_reader *)reader;
    while (cifar->current < cifar->count) {
        const cifar_file *file = &cifar->files[cifar->current];
        if (cifar->record < file->records) {
            if (cifar->stream == NULL) {
                of_status status = of_byte_stream_open(file->path, &cifar->stream, error);
                if (status != OF_OK)
                    return status;
            }
            *end = false;
            return read_record(cifar, entry, error);
        }
        of_byte_stream_close(cifar->stream);
        cifar->stream = NULL;
        cifar->record = 0;
        cifar->current++;
    }
    *end = true;
    return OF_OK;
}

/* True if the beginning of the stream could be CIFAR-10: needed where a size fits both. */
static of_status begins_like_cifar10(of_byte_stream *stream, bool *answer, of_error *error) {
    uint8_t record[1 + PIXEL_BYTES];
    *answer = true;
    for (int i = 0; i < 16 && *answer; i++) {
        size_t count;
        of_status status = of_byte_stream_read(stream, record, sizeof record, &count, error);
        if (status != OF_OK)
            return status;
        if (count == 0)
            break;
        *answer = record[0] < cifar10.classes;
    }
    return OF_OK;
}

static of_status recognise(cifar_file *file, of_error *error) {
    of_byte_stream *stream;
    of_status status = of_byte_stream_open(file->path, &stream, error);
    if (status != OF_OK)
        return status;
    uint64_t size = of_byte_stream_size(stream);
    bool ten = size > 0 && size != UINT64_MAX && size % (1 + PIXEL_BYTES) == 0;
    bool hundred = size > 0 && size != UINT64_MAX && size % (2 + PIXEL_BYTES) == 0;
    if (ten && hundred)
        status = begins_like_cifar10(stream, &ten, error);
    of_byte_stream_close(stream);
    if (status != OF_OK)
        return status;
    if (!ten && !hundred)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: its size is no multiple of %d or %d bytes, the records of CIFAR-10 "
                       "and CIFAR-100; the file is damaged or something else",
                       file->path, 1 + PIXEL_BYTES, 2 + PIXEL_BYTES);
    file->kind = ten ? cifar10 : cifar100;
    file->records = size / (file->kind.labels + PIXEL_BYTES);
    return OF_OK;
}

static of_status add_file(cifar_reader *cifar, const char *path, of_error *error) {
    cifar_file *file = &cifar->files[cifar->count];
    size_t size = strlen(path) + 1;
    file->path = malloc(size);
    if (file->path == NULL)
        return of_fail_memory(error, "a CIFAR reader");
    memcpy(file->path, path, size);
    cifar->count++;
    of_status status = recognise(file, error);
    if (status != OF_OK)
        return status;
    if (file->kind.labels != cifar->files[0].kind.labels)
        return of_fail(error, OF_ERROR_MISMATCH, "%s is %s, but %s is %s; give them one by one",
                       path, file->kind.name, cifar->files[0].path, cifar->files[0].kind.name);
    cifar->reader.expected += file->records;
    return OF_OK;
}

of_status of_reader_open_cifar(const char *const *paths, size_t count, const of_target *target,
                               of_reader **reader, of_error *error) {
    of_status status = of_check_size(SIDE, SIDE, target, error);
    if (status != OF_OK)
        return status;
    size_t size;
    cifar_reader *cifar = NULL;
    if (of_multiply(count, sizeof *cifar->files, &size) && of_add(size, sizeof *cifar, &size))
        cifar = calloc(1, size);
    if (cifar == NULL)
        return of_fail_memory(error, "a CIFAR reader");
    cifar->reader = (of_reader){.next = next_record, .close = close_cifar};
    for (size_t i = 0; i < count && status == OF_OK; i++)
        status = add_file(cifar, paths[i], error);
    if (status != OF_OK) {
        close_cifar(&cifar->reader);
        return status;
    }
    *reader = &cifar->reader;
    return OF_OK;
}
