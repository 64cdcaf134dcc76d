/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/formats/byte_stream.h"

#include "core/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

struct of_byte_stream {
    gzFile file; /* NULL: memory */
    const uint8_t *bytes;
    size_t position;
    uint64_t size;
    char name[];
};

static of_byte_stream *new_stream(const char *name) {
    size_t length = strlen(name) + 1;
    of_byte_stream *stream = calloc(1, sizeof *stream + length);
    if (stream != NULL)
        memcpy(stream->name, name, length);
    return stream;
}

of_status of_byte_stream_open(const char *path, of_byte_stream **stream, of_error *error) {
    struct stat information;
    if (stat(path, &information) != 0)
        return of_fail_io(error, errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(information.st_mode))
        return of_fail(error, OF_ERROR_IO, "%s: not a regular file", path);
    of_byte_stream *opened = new_stream(path);
    if (opened == NULL)
        return of_fail_memory(error, "a file reader");
    errno = 0;
    opened->file = gzopen(path, "rbe");
    if (opened->file == NULL) {
        free(opened);
        return of_fail_io(error, errno, "%s: %s", path,
                          errno != 0 ? strerror(errno) : "out of memory");
    }
    (void)gzbuffer(opened->file, 1u << 17);
    opened->size = gzdirect(opened->file) ? (uint64_t)information.st_size : UINT64_MAX;
    *stream = opened;
    return OF_OK;
}

of_status of_byte_stream_open_memory(const void *bytes, size_t size, const char *name,
                                     of_byte_stream **stream, of_error *error) {
    of_byte_stream *opened = new_stream(name);
    if (opened == NULL)
        return of_fail_memory(error, "a reader");
    opened->bytes = bytes;
    opened->size = size;
    *stream = opened;
    return OF_OK;
}

void of_byte_stream_close(of_byte_stream *stream) {
    if (stream == NULL)
        return;
    if (stream->file != NULL)
        (void)gzclose(stream->file);
    free(stream);
}

const char *of_byte_stream_name(const of_byte_stream *stream) {
    return stream->name;
}

uint64_t of_byte_stream_size(const of_byte_stream *stream) {
    return stream->size;
}

static of_status fail_zlib(of_byte_stream *stream, of_error *error) {
    int code = Z_OK, system = errno;
    const char *reason = gzerror(stream->file, &code);
    if (code == Z_ERRNO)
        return of_fail_io(error, system, "%s: %s", stream->name, strerror(system));
    return of_fail(error, OF_ERROR_FORMAT, "%s: damaged gzip data: %s", stream->name, reason);
}

static of_status read_file(of_byte_stream *stream, uint8_t *to, size_t size, size_t *count,
                           of_error *error) {
    while (*count < size) {
        size_t left = size - *count;
        int got = gzread(stream->file, to + *count, left < 1u << 30 ? (unsigned)left : 1u << 30);
        if (got < 0)
            return fail_zlib(stream, error);
        if (got == 0)
            break;
        *count += (size_t)got;
    }
    return OF_OK;
}

of_status of_byte_stream_read(of_byte_stream *stream, void *to, size_t size, size_t *count,
                              of_error *error) {
    *count = 0;
    if (stream->file != NULL)
        return read_file(stream, to, size, count, error);
    size_t left = (size_t)stream->size - stream->position;
    *count = size < left ? size : left;
    if (*count > 0)
        memcpy(to, stream->bytes + stream->position, *count);
    stream->position += *count;
    return OF_OK;
}

of_status of_byte_stream_read_all(of_byte_stream *stream, void *to, size_t size, of_error *error) {
    size_t count;
    of_status status = of_byte_stream_read(stream, to, size, &count, error);
    if (status == OF_OK && count < size)
        return of_fail(error, OF_ERROR_FORMAT, "%s: truncated: ends %zu bytes too early",
                       stream->name, size - count);
    return status;
}
