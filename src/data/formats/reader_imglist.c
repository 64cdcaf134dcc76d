/* SPDX-License-Identifier: Apache-2.0 */
/* "FILE" or "FILE:ROOT": the images that a text file names, as benchmark suites of the field hand
 * their splits on. A line is a path below ROOT (without it, below the folder of FILE), a space, and
 * a label; or a path alone. Empty lines and those that begin with '#' are passed over. */
#define _GNU_SOURCE
#include "core/error.h"
#include "data/formats/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_LINE = 64 * 1024 };

typedef struct imglist_reader {
    of_reader reader;
    of_target target;
    FILE *file;
    char *name;      /* of FILE, for messages */
    char *root;      /* with a slash at its end, or "" */
    uint64_t number; /* of the line that was read last, from 1 */
    char line[MOST_LINE];
} imglist_reader;

/* ---- Lines ----------------------------------------------------------------------------------- */

static bool says_something(const char *line) {
    return line[0] != '\0' && line[0] != '#';
}

static void trim_end(char *line) {
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        line[--length] = '\0';
}

/* The next line that says something; `*line` is NULL at the end. */
static of_status next_line(imglist_reader *list, char **line, of_error *error) {
    *line = NULL;
    do {
        if (fgets(list->line, MOST_LINE, list->file) == NULL)
            return ferror(list->file)
                       ? of_fail_io(error, errno, "%s: %s", list->name, strerror(errno))
                       : OF_OK;
        list->number++;
        size_t length = strlen(list->line);
        if (length == 0 || (list->line[length - 1] != '\n' && feof(list->file) == 0))
            return of_fail(error, OF_ERROR_FORMAT, "%s: line %llu is no line of text", list->name,
                           (unsigned long long)list->number);
        trim_end(list->line);
    } while (!says_something(list->line));
    *line = list->line;
    return OF_OK;
}

/* Cuts the label off; "" if there is none. What follows the last blank is a label unless it looks
 * like the end of a file name. */
static const char *cut_label(char *line) {
    size_t length = strlen(line);
    while (length > 0 && line[length - 1] != ' ' && line[length - 1] != '\t')
        length--;
    if (length == 0 || strchr(line + length, '.') != NULL || strchr(line + length, '/') != NULL)
        return "";
    const char *label = line + length;
    line[length - 1] = '\0';
    trim_end(line);
    return label;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static of_status next_image(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    imglist_reader *list = (imglist_reader *)reader;
    char *line, *path;
    of_status status = next_line(list, &line, error);
    *end = status == OF_OK && line == NULL;
    if (status != OF_OK || line == NULL)
        return status;
    const char *label = cut_label(line);
    status = of_entry_begin(entry, line, label, error);
    if (status != OF_OK)
        return status;
    if (line[0] == '/')
        return of_entry_read_file(entry, line, &list->target, error);
    if (asprintf(&path, "%s%s", list->root, line) < 0)
        return of_fail_memory(error, "a path of a list");
    status = of_entry_read_file(entry, path, &list->target, error);
    free(path);
    return status;
}

static void close_imglist(of_reader *reader) {
    imglist_reader *list = (imglist_reader *)reader;
    if (list->file != NULL)
        (void)fclose(list->file);
    free(list->name);
    free(list->root);
    free(list);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool is_file(const char *path) {
    struct stat information;
    return stat(path, &information) == 0 && S_ISREG(information.st_mode);
}

/* Fills name and root. A colon is a part of the name of FILE if there is a file of that name. */
static bool split_spec(const char *spec, imglist_reader *list) {
    const char *colon = is_file(spec) ? NULL : strrchr(spec, ':');
    size_t length = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
    list->name = strndup(spec, length);
    if (list->name == NULL)
        return false;
    if (colon != NULL)
        return asprintf(&list->root, "%s%s", colon + 1, colon[1] != '\0' ? "/" : "") >= 0 ||
               (list->root = NULL, false);
    const char *slash = strrchr(list->name, '/');
    list->root = strndup(list->name, slash != NULL ? (size_t)(slash - list->name) + 1 : 0);
    return list->root != NULL;
}

/* Reads the list once to its end: so its faults are found before the work, and its length. */
static of_status count_images(imglist_reader *list, of_error *error) {
    char *line;
    of_status status = OF_OK;
    do {
        status = next_line(list, &line, error);
        list->reader.expected += line != NULL;
    } while (status == OF_OK && line != NULL);
    if (status == OF_OK && list->reader.expected == 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: no image in it; expected a path and a label a line", list->name);
    rewind(list->file);
    list->number = 0;
    return status;
}

static of_status open_file(imglist_reader *list, of_error *error) {
    list->file = fopen(list->name, "re");
    if (list->file == NULL)
        return of_fail_io(error, errno, "%s: %s", list->name, strerror(errno));
    if (!is_file(list->name))
        return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: not a regular file", list->name);
    return count_images(list, error);
}

of_status of_reader_open_imglist(const char *spec, const of_target *target, of_reader **reader,
                                 of_error *error) {
    imglist_reader *list = calloc(1, sizeof *list);
    if (list == NULL)
        return of_fail_memory(error, "a list reader");
    list->reader = (of_reader){.next = next_image, .close = close_imglist};
    list->target = *target;
    of_status status =
        split_spec(spec, list) ? open_file(list, error) : of_fail_memory(error, "a list reader");
    if (status == OF_OK)
        *reader = &list->reader;
    else
        close_imglist(&list->reader);
    return status;
}
