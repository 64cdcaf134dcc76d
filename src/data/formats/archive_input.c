/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/formats/archive_input.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 17 };

struct of_archive_input {
    int descriptor;       /* -1: memory */
    const uint8_t *bytes; /* the same */
    size_t size, position;
    atomic_bool cancelled;
    uint8_t buffer[BLOCK];
};

static of_archive_input *new_input(void) {
    of_archive_input *input = calloc(1, sizeof *input);
    if (input != NULL) {
        input->descriptor = -1;
        atomic_init(&input->cancelled, false);
    }
    return input;
}

of_status of_archive_input_open(const char *path, of_archive_input **input, of_error *error) {
    of_archive_input *made = new_input();
    if (made == NULL)
        return of_fail_memory(error, "an archive reader");
    made->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (made->descriptor < 0) {
        free(made);
        return of_fail(error, OF_ERROR_IO, "%s: %s", path, strerror(errno));
    }
    *input = made;
    return OF_OK;
}

of_status of_archive_input_open_memory(const void *bytes, size_t size, of_archive_input **input,
                                       of_error *error) {
    of_archive_input *made = new_input();
    if (made == NULL)
        return of_fail_memory(error, "an archive reader");
    made->bytes = bytes;
    made->size = size;
    *input = made;
    return OF_OK;
}

void of_archive_input_cancel(of_archive_input *input) {
    atomic_store_explicit(&input->cancelled, true, memory_order_relaxed);
}

void of_archive_input_close(of_archive_input *input) {
    if (input != NULL && input->descriptor >= 0)
        (void)close(input->descriptor);
    free(input);
}

/* ---- What the library calls -------------------------------------------------------------------
 */

static bool refuse_cancelled(of_archive_input *input, struct archive *archive) {
    bool cancelled = atomic_load_explicit(&input->cancelled, memory_order_relaxed);
    if (cancelled)
        archive_set_error(archive, EINTR, "interrupted");
    return cancelled;
}

static la_ssize_t read_memory(of_archive_input *input, const void **block) {
    size_t left = input->size - input->position;
    *block = input->bytes + input->position;
    left = left < BLOCK ? left : BLOCK;
    input->position += left;
    return (la_ssize_t)left;
}

static la_ssize_t read_block(struct archive *archive, void *user, const void **block) {
    of_archive_input *input = user;
    ssize_t count;
    if (refuse_cancelled(input, archive))
        return ARCHIVE_FATAL;
    if (input->descriptor < 0)
        return read_memory(input, block);
    do
        count = read(input->descriptor, input->buffer, sizeof input->buffer);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    *block = input->buffer;
    return count;
}

static la_int64_t seek_memory(of_archive_input *input, la_int64_t offset, int whence) {
    la_int64_t from = whence == SEEK_SET   ? 0
                      : whence == SEEK_CUR ? (la_int64_t)input->position
                                           : (la_int64_t)input->size;
    if (offset < -from || offset > (la_int64_t)input->size - from)
        return ARCHIVE_FATAL;
    input->position = (size_t)(from + offset);
    return from + offset;
}

static la_int64_t seek_to(struct archive *archive, void *user, la_int64_t offset, int whence) {
    of_archive_input *input = user;
    if (refuse_cancelled(input, archive))
        return ARCHIVE_FATAL;
    if (input->descriptor < 0)
        return seek_memory(input, offset, whence);
    off_t at = lseek(input->descriptor, (off_t)offset, whence);
    if (at < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    return at < 0 ? ARCHIVE_FATAL : (la_int64_t)at;
}

/* Members that are not wanted; 0 where nothing can be passed over. */
static la_int64_t skip(struct archive *archive, void *user, la_int64_t wanted) {
    of_archive_input *input = user;
    la_int64_t before = seek_to(archive, input, 0, SEEK_CUR);
    la_int64_t end = before >= 0 ? seek_to(archive, input, 0, SEEK_END) : ARCHIVE_FATAL;
    if (end < 0)
        return before < 0 ? before : end;
    la_int64_t count = wanted < end - before ? wanted : end - before;
    return seek_to(archive, input, before + count, SEEK_SET) < 0 ? ARCHIVE_FATAL : count;
}

/* ---- Filters and formats ----------------------------------------------------------------------
 */

static size_t read_head(const of_archive_input *input, uint8_t *head, size_t size) {
    if (input->descriptor >= 0) {
        ssize_t count = pread(input->descriptor, head, size, 0);
        return count > 0 ? (size_t)count : 0;
    }
    size = size < input->size ? size : input->size;
    if (size > 0)
        memcpy(head, input->bytes, size);
    return size;
}

static int filter_of(const of_archive_input *input) {
    static const struct {
        const char *magic;
        size_t length;
        int filter;
    } filters[] = {{"\x1f\x8b", 2, ARCHIVE_FILTER_GZIP},
                   {"BZh", 3, ARCHIVE_FILTER_BZIP2},
                   {"\xfd\x37zXZ", 5, ARCHIVE_FILTER_XZ},
                   {"\x28\xb5\x2f\xfd", 4, ARCHIVE_FILTER_ZSTD}};
    uint8_t head[5];
    size_t size = read_head(input, head, sizeof head);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (size >= filters[i].length && memcmp(head, filters[i].magic, filters[i].length) == 0)
            return filters[i].filter;
    return ARCHIVE_FILTER_NONE;
}

static int first_failure(int a, int b) {
    return a < b ? a : b; /* failures are negative, the worse the more */
}

int of_archive_input_attach(of_archive_input *input, struct archive *archive) {
    int result = first_failure(archive_read_support_format_tar(archive),
                               archive_read_support_format_zip(archive));
    result = first_failure(result, archive_read_append_filter(archive, filter_of(input)));
    result = first_failure(result, archive_read_set_read_callback(archive, read_block));
    result = first_failure(result, archive_read_set_skip_callback(archive, skip));
    result = first_failure(result, archive_read_set_seek_callback(archive, seek_to));
    result = first_failure(result, archive_read_set_callback_data(archive, input));
    return result < ARCHIVE_WARN ? result : first_failure(result, archive_read_open1(archive));
}
