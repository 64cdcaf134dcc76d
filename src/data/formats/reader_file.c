/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
/* A single image file, and lists of them. */
#include "core/error.h"
#include "data/formats/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- One file ------------------------------------------------------------------------------ */

typedef struct file_reader {
    of_reader reader;
    of_target target;
    bool done;
    char path[];
} file_reader;

static of_status next_file(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    file_reader *file = (file_reader *)reader;
    *end = file->done;
    if (file->done)
        return OF_OK;
    file->done = true;
    of_status status = of_entry_begin(entry, file->path, "", error);
    return status != OF_OK ? status : of_entry_read_file(entry, file->path, &file->target, error);
}

static void close_file(of_reader *reader) {
    free(reader);
}

of_status of_reader_open_file(const char *path, const of_target *target, of_reader **reader,
                              of_error *error) {
    size_t length = strlen(path) + 1;
    file_reader *file = calloc(1, sizeof *file + length);
    if (file == NULL)
        return of_fail_memory(error, "a file reader");
    file->reader = (of_reader){.next = next_file, .close = close_file, .expected = 1};
    file->target = *target;
    memcpy(file->path, path, length);
    *reader = &file->reader;
    return OF_OK;
}

/* ---- A list of paths ----------------------------------------------------------------------- */

enum { LIST_BUFFER = 1 << 16 }; /* also the longest line */

typedef struct list_reader {
    of_reader reader;
    of_target target;
    int descriptor;
    int wake[2]; /* a pipe: closing its writing end cancels */
    uint64_t lines, paths;
    size_t begin, end; /* unread part of the buffer */
    bool finished;
    char buffer[LIST_BUFFER + 1];
} list_reader;

/* Waits for input. False at its end, after cancel, or on an error with *failure set. */
static bool fill_buffer(list_reader *list, int *failure) {
    struct pollfd ready[2] = {{.fd = list->descriptor, .events = POLLIN},
                              {.fd = list->wake[0], .events = POLLIN}};
    for (;;) {
        int polled = poll(ready, 2, -1);
        if (polled >= 0 && ready[1].revents != 0)
            return false;
        ssize_t count = -1;
        if (polled >= 0)
            count = read(list->descriptor, list->buffer + list->end, LIST_BUFFER - list->end);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count < 0)
            *failure = errno;
        if (count <= 0)
            return false;
        list->end += (size_t)count;
        return true;
    }
}

/* The next line without its end, valid until the next call; NULL when there is none. */
static of_status next_line(list_reader *list, char **line, of_error *error) {
    *line = NULL;
    for (;;) {
        char *start = list->buffer + list->begin;
        size_t held = list->end - list->begin;
        char *newline = memchr(start, '\n', held);
        if (newline != NULL || (list->finished && held > 0)) {
            size_t length = newline != NULL ? (size_t)(newline - start) : held;
            list->begin += length + (newline != NULL);
            if (length > 0 && start[length - 1] == '\r')
                length--;
            start[length] = '\0';
            list->lines++;
            *line = start;
            return OF_OK;
        }
        if (list->finished)
            return OF_OK;
        memmove(list->buffer, start, held);
        list->begin = 0;
        list->end = held;
        if (held == LIST_BUFFER)
            return of_fail(error, OF_ERROR_FORMAT,
                           "list of paths: line %llu is longer than %d bytes",
                           (unsigned long long)list->lines + 1, (int)LIST_BUFFER);
        int failure = 0;
        list->finished = !fill_buffer(list, &failure);
        if (failure != 0)
            return of_fail_io(error, failure, "list of paths: %s", strerror(failure));
    }
}

static of_status next_listed(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    list_reader *list = (list_reader *)reader;
    char *line;
    of_status status;
    do {
        status = next_line(list, &line, error);
        if (status != OF_OK)
            return status;
    } while (line != NULL && line[0] == '\0');
    *end = line == NULL;
    if (line == NULL)
        return list->paths > 0 ? OF_OK
                               : of_fail(error, OF_ERROR_FORMAT,
                                         "list of paths: no path in it; expected one path of an "
                                         "image file a line");
    list->paths++;
    status = of_entry_begin(entry, line, "", error);
    return status != OF_OK ? status : of_entry_read_file(entry, line, &list->target, error);
}

static void cancel_list(of_reader *reader) {
    list_reader *list = (list_reader *)reader;
    if (list->wake[1] >= 0)
        (void)close(list->wake[1]);
    list->wake[1] = -1;
}

static void close_list(of_reader *reader) {
    list_reader *list = (list_reader *)reader;
    cancel_list(reader);
    (void)close(list->wake[0]);
    free(list);
}

of_status of_reader_open_list(int descriptor, const of_target *target, of_reader **reader,
                              of_error *error) {
    list_reader *list = calloc(1, sizeof *list);
    if (list == NULL)
        return of_fail_memory(error, "a list reader");
    list->reader = (of_reader){.next = next_listed, .cancel = cancel_list, .close = close_list};
    list->target = *target;
    list->descriptor = descriptor;
    if (pipe2(list->wake, O_CLOEXEC) != 0) {
        free(list);
        return of_fail_io(error, errno, "cannot make a pipe: %s", strerror(errno));
    }
    *reader = &list->reader;
    return OF_OK;
}
