/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/formats/reader.h"

#include "core/error.h"
#include "data/pixels/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void of_entry_free(of_entry *entry) {
    of_bytes_free(&entry->path);
    of_bytes_free(&entry->label);
    of_bytes_free(&entry->bytes);
}

void of_reader_close(of_reader *reader) {
    if (reader != NULL)
        reader->close(reader);
}

static of_status begin(of_entry *entry, const char *path, const char *label, size_t label_length,
                       of_error *error) {
    entry->class_index = -1;
    entry->content = OF_CONTENT_FILE;
    entry->ends_source = entry->described = false;
    entry->tile = (of_tile){0};
    entry->bytes.size = 0;
    if (!of_text_set(&entry->path, path, strlen(path)) ||
        !of_text_set(&entry->label, label, label_length))
        return of_fail_memory(error, "a file name");
    return OF_OK;
}

of_status of_entry_begin(of_entry *entry, const char *path, const char *label, of_error *error) {
    return begin(entry, path, label, strlen(label), error);
}

of_status of_entry_begin_in_folder(of_entry *entry, const char *path, of_error *error) {
    const char *slash = strchr(path, '/');
    return begin(entry, path, path, slash == NULL ? 0 : (size_t)(slash - path), error);
}

static void unreadable(of_entry *entry, int os_error, const char *reason) {
    entry->content = OF_CONTENT_UNREADABLE;
    (void)of_fail_io(&entry->reason, os_error, "%s", reason);
}

/* Reads up to the end or one byte past the limit; that byte tells that the file is too large. */
static of_status read_descriptor(of_entry *entry, int descriptor, size_t expected, size_t limit,
                                 of_error *error) {
    of_bytes *bytes = &entry->bytes;
    for (;;) {
        size_t wanted = bytes->size < expected ? expected : bytes->size + (bytes->size >> 1) + 4096;
        if (wanted > limit)
            wanted = limit;
        if (!of_bytes_reserve(bytes, wanted + 1))
            return of_fail_memory(error, "a file's content");
        ssize_t count = read(descriptor, bytes->data + bytes->size, wanted + 1 - bytes->size);
        if (count == 0)
            return OF_OK;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            unreadable(entry, errno, strerror(errno));
            return OF_OK;
        }
        bytes->size += (size_t)count;
        if (bytes->size > limit) {
            entry->content = OF_CONTENT_UNREADABLE;
            (void)of_fail(&entry->reason, OF_ERROR_UNSUPPORTED,
                          "file is over the limit of %zu bytes", limit);
            return OF_OK;
        }
    }
}

of_status of_entry_read_file(of_entry *entry, const char *path, const of_target *target,
                             of_error *error) {
    of_status status = OF_OK;
    struct stat information;
    /* Not blocking, so that a named pipe does not hold the reader. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &information) != 0)
        unreadable(entry, errno, strerror(errno));
    else if (!S_ISREG(information.st_mode))
        unreadable(entry, S_ISDIR(information.st_mode) ? EISDIR : 0, "not a regular file");
    else
        status = read_descriptor(entry, descriptor, (size_t)information.st_size, target->max_bytes,
                                 error);
    if (descriptor >= 0)
        (void)close(descriptor);
    return status;
}

size_t of_entry_decoding_bytes(const of_entry *entry, const of_target *target) {
    return entry->content == OF_CONTENT_FILE
               ? of_image_decoding_bytes(entry->bytes.data, entry->bytes.size, target)
               : 0;
}

of_status of_entry_decode(const of_entry *entry, const of_target *target, uint8_t *pixels,
                          of_image_info *info, of_error *error) {
    of_raster raster = entry->raster;
    switch (entry->content) {
    case OF_CONTENT_FILE:
        return of_image_decode(entry->bytes.data, entry->bytes.size, of_text(&entry->path), target,
                               pixels, info, error);
    case OF_CONTENT_PIXELS:
        *info = entry->described ? entry->info
                                 : of_describe_image("record", raster.channels, raster.height,
                                                     raster.width, target);
        raster.pixels = entry->bytes.data;
        return of_convert(&raster, target, pixels, error);
    case OF_CONTENT_SYNTHETIC:
        *info =
            of_describe_image("synthetic", target->channels, target->height, target->width, target);
        return of_synthetic_render(&entry->synthetic, entry->index, target, pixels, error);
    case OF_CONTENT_UNREADABLE:
        break;
    }
    return of_error_copy(error, &entry->reason);
}
