/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include "server/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char media_type[] = "multipart/form-data";

bool of_multipart_is(const char *content_type) {
    size_t length = sizeof media_type - 1;
    return strncasecmp(content_type, media_type, length) == 0 &&
           strchr("; \t", content_type[length]) != NULL;
}

static of_status damaged(const of_multipart *multipart, const char *what, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "multipart/form-data: %s at byte %zu", what,
                   multipart->at);
}

/* The value of a parameter ("; KEY=VALUE", with quotes or without) in `size` bytes of text, cut to
 * `room` bytes. False: there is none. */
static bool find_parameter(const char *text, size_t size, const char *key, char *value,
                           size_t room) {
    size_t length = strlen(key), used = 0;
    for (size_t i = 1; i + length + 1 < size; i++) {
        if (strchr("; \t", text[i - 1]) == NULL || text[i - 1] == '\0' ||
            strncasecmp(text + i, key, length) != 0 || text[i + length] != '=')
            continue;
        size_t at = i + length + 1;
        bool quoted = text[at] == '"';
        at += quoted;
        for (; at < size && (quoted ? text[at] != '"' : strchr("; \t\r\n", text[at]) == NULL); at++)
            if (used + 1 < room)
                value[used++] = text[at];
        value[used] = '\0';
        return true;
    }
    return false;
}

of_status of_multipart_open(const char *content_type, const uint8_t *body, size_t size,
                            of_multipart *multipart, of_error *error) {
    char boundary[OF_BOUNDARY];
    *multipart = (of_multipart){.body = body, .size = size};
    if (!find_parameter(content_type, strlen(content_type), "boundary", boundary,
                        sizeof boundary) ||
        boundary[0] == '\0' || strlen(boundary) > 70)
        return damaged(multipart, "the content type has no boundary of 1 to 70 characters,", error);
    (void)snprintf(multipart->delimiter, sizeof multipart->delimiter, "\r\n--%s", boundary);
    multipart->delimiter_size = strlen(multipart->delimiter);
    /* The first delimiter may be at the very start, without its line end. */
    size_t first = multipart->delimiter_size - 2;
    if (size >= first && memcmp(body, multipart->delimiter + 2, first) == 0) {
        multipart->at = first;
        return OF_OK;
    }
    const uint8_t *found = /* a body without bytes has no address */
        size > 0 ? memmem(body, size, multipart->delimiter, multipart->delimiter_size) : NULL;
    if (found == NULL)
        return damaged(multipart, "the boundary does not appear,", error);
    multipart->at = (size_t)(found - body) + multipart->delimiter_size;
    return OF_OK;
}

static const uint8_t *find(const of_multipart *multipart, const char *what, size_t size) {
    return memmem(multipart->body + multipart->at, multipart->size - multipart->at, what, size);
}

static bool is_header(const char *line, size_t size, const char *name) {
    size_t length = strlen(name);
    return size > length && strncasecmp(line, name, length) == 0 && line[length] == ':';
}

/* Header lines up to an empty one. */
static of_status read_headers(of_multipart *multipart, of_part *part, of_error *error) {
    for (;;) {
        const uint8_t *end = find(multipart, "\r\n", 2);
        const char *line = (const char *)multipart->body + multipart->at;
        if (end == NULL)
            return damaged(multipart, "the headers of a part have no end", error);
        size_t size = (size_t)(end - multipart->body) - multipart->at;
        multipart->at += size + 2;
        if (size == 0)
            return OF_OK;
        if (!is_header(line, size, "Content-Disposition"))
            continue;
        (void)find_parameter(line, size, "name", part->name, sizeof part->name);
        (void)find_parameter(line, size, "filename", part->file, sizeof part->file);
    }
}

of_status of_multipart_next(of_multipart *multipart, of_part *part, bool *found, of_error *error) {
    size_t left = multipart->size - multipart->at;
    const uint8_t *next = multipart->body + multipart->at;
    *found = false;
    *part = (of_part){.size = 0};
    if (left >= 2 && memcmp(next, "--", 2) == 0)
        return OF_OK;
    while (left > 0 && (*next == ' ' || *next == '\t')) {
        next++;
        left--;
    }
    if (left < 2 || memcmp(next, "\r\n", 2) != 0)
        return damaged(multipart, "a line end is missing", error);
    multipart->at = (size_t)(next - multipart->body) + 2;
    of_status status = read_headers(multipart, part, error);
    if (status != OF_OK)
        return status;
    /* A part without content: the delimiter's line end is that of the empty line. */
    size_t begin = multipart->at;
    multipart->at -= 2;
    const uint8_t *end = find(multipart, multipart->delimiter, multipart->delimiter_size);
    if (end == NULL)
        return damaged(multipart, "the last part has no end", error);
    part->bytes = multipart->body + begin;
    size_t end_at = (size_t)(end - multipart->body);
    part->size = end_at > begin ? end_at - begin : 0;
    multipart->at = end_at + multipart->delimiter_size;
    *found = true;
    return OF_OK;
}
