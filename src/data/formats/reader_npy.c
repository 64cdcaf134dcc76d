/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy arrays of bytes. */
#include "core/error.h"
#include "data/formats/npy_header.h"
#include "data/formats/reader.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct npy_reader {
    of_reader reader;
    of_byte_stream *stream;
    uint64_t count, next;
    of_raster raster;
    size_t image_bytes;
} npy_reader;

static void close_npy(of_reader *reader) {
    npy_reader *npy = (npy_reader *)reader;
    of_byte_stream_close(npy->stream);
    free(npy);
}

static of_status next_image(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    npy_reader *npy = (npy_reader *)reader;
    *end = npy->next == npy->count;
    if (*end)
        return OF_OK;
    of_status status = of_entry_begin(entry, "", "", error);
    if (status != OF_OK)
        return status;
    if (!of_text_format(&entry->path, "%" PRIu64, npy->next) ||
        !of_bytes_reserve(&entry->bytes, npy->image_bytes))
        return of_fail_memory(error, "an array's image");
    entry->content = OF_CONTENT_PIXELS;
    entry->raster = npy->raster;
    entry->bytes.size = npy->image_bytes;
    npy->next++;
    return of_byte_stream_read_all(npy->stream, entry->bytes.data, npy->image_bytes, error);
}

/* Finds height, width and channels; channels last wins where both readings are possible. */
static of_status read_shape(const of_npy_header *header, const char *name, const of_target *target,
                            npy_reader *npy, of_error *error) {
    const uint64_t *shape = header->shape;
    uint64_t height = shape[1], width = shape[2], channels = 1;
    bool planar = false;
    if (header->rank == 4 && (shape[3] == 1 || shape[3] == 3)) {
        channels = shape[3];
    } else if (header->rank == 4 && (shape[1] == 1 || shape[1] == 3)) {
        planar = true;
        channels = shape[1];
        height = shape[2];
        width = shape[3];
    } else if (header->rank == 4) {
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: array of %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                       " has no dimension of 1 or 3 channels; expected N x H x W x C or "
                       "N x C x H x W",
                       name, shape[0], shape[1], shape[2], shape[3]);
    }
    of_error reason;
    of_status status = of_check_size(height, width, target, &reason);
    if (status != OF_OK)
        return of_fail(error, status, "%s: %s", name, reason.message);
    npy->count = shape[0];
    npy->raster = (of_raster){.height = (uint32_t)height,
                              .width = (uint32_t)width,
                              .channels = (uint32_t)channels,
                              .planar = planar};
    npy->image_bytes = (size_t)(height * width * channels);
    return OF_OK;
}

static of_status open_array(npy_reader *npy, const of_target *target, of_error *error) {
    of_npy_header header;
    const char *name = of_byte_stream_name(npy->stream);
    of_status status = of_npy_read_header(npy->stream, &header, error);
    if (status == OF_OK)
        status = read_shape(&header, name, target, npy, error);
    if (status != OF_OK)
        return status;
    if (npy->count == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: array without images", name);
    uint64_t size = of_byte_stream_size(npy->stream), needed;
    if (__builtin_mul_overflow(npy->count, (uint64_t)npy->image_bytes, &needed) ||
        __builtin_add_overflow(needed, header.data_offset, &needed) || needed > size)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: truncated: the header announces %" PRIu64
                       " images of %zu bytes, the file has %" PRIu64 " bytes",
                       name, npy->count, npy->image_bytes, size);
    npy->reader.expected = npy->count;
    return OF_OK;
}

static of_status open_stream(of_byte_stream *stream, const of_target *target, of_reader **reader,
                             of_error *error) {
    npy_reader *npy = calloc(1, sizeof *npy);
    if (npy == NULL) {
        of_byte_stream_close(stream);
        return of_fail_memory(error, "an array reader");
    }
    npy->reader = (of_reader){.next = next_image, .close = close_npy};
    npy->stream = stream;
    of_status status = open_array(npy, target, error);
    if (status != OF_OK)
        close_npy(&npy->reader);
    else
        *reader = &npy->reader;
    return status;
}

of_status of_reader_open_npy(const char *path, const of_target *target, of_reader **reader,
                             of_error *error) {
    of_byte_stream *stream;
    of_status status = of_byte_stream_open(path, &stream, error);
    return status != OF_OK ? status : open_stream(stream, target, reader, error);
}

of_status of_reader_open_npy_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error) {
    of_byte_stream *stream;
    of_status status = of_byte_stream_open_memory(bytes, size, "array", &stream, error);
    return status != OF_OK ? status : open_stream(stream, target, reader, error);
}
