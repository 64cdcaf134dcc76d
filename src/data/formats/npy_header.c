/* SPDX-License-Identifier: Apache-2.0 */
/*
 * \x93NUMPY [major][minor] [length: 2 bytes, from version 2 on 4, little-endian] and a Python
 * dictionary: {'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }
 */
#include "data/formats/npy_header.h"

#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 1 << 16 };

typedef struct parser {
    const char *at; /* in zero-terminated text */
} parser;

static void skip_spaces(parser *text) {
    text->at += strspn(text->at, " \t\r\n");
}

static bool accept(parser *text, const char *token) {
    skip_spaces(text);
    size_t length = strlen(token);
    if (strncmp(text->at, token, length) != 0)
        return false;
    text->at += length;
    return true;
}

static bool parse_string(parser *text, char *value, size_t capacity) {
    skip_spaces(text);
    char quote = *text->at;
    if (quote != '\'' && quote != '"')
        return false;
    const char *end = strchr(text->at + 1, quote);
    if (end == NULL || (size_t)(end - text->at) > capacity)
        return false;
    size_t length = (size_t)(end - text->at) - 1;
    memcpy(value, text->at + 1, length);
    value[length] = '\0';
    text->at = end + 1;
    return true;
}

static bool parse_number(parser *text, uint64_t *value) {
    skip_spaces(text);
    if (*text->at < '0' || *text->at > '9')
        return false;
    *value = 0;
    for (; *text->at >= '0' && *text->at <= '9'; text->at++)
        if (__builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*text->at - '0'), value))
            return false;
    (void)accept(text, "L"); /* long integers of old Python */
    return true;
}

static bool parse_shape(parser *text, of_npy_header *header) {
    if (!accept(text, "("))
        return false;
    header->rank = 0;
    while (!accept(text, ")")) {
        uint64_t side;
        if (!parse_number(text, &side))
            return false;
        if (header->rank < OF_NPY_MAX_RANK)
            header->shape[header->rank] = side;
        header->rank++;
        if (!accept(text, ",")) {
            if (!accept(text, ")"))
                return false;
            break;
        }
    }
    return true;
}

typedef struct fields {
    char type[16];
    bool fortran, has_type, has_order, has_shape;
} fields;

static bool parse_field(parser *text, fields *found, of_npy_header *header) {
    char key[32];
    if (!parse_string(text, key, sizeof key) || !accept(text, ":"))
        return false;
    if (strcmp(key, "descr") == 0)
        return found->has_type = parse_string(text, found->type, sizeof found->type);
    if (strcmp(key, "fortran_order") == 0) {
        found->fortran = accept(text, "True");
        return found->has_order = found->fortran || accept(text, "False");
    }
    if (strcmp(key, "shape") == 0)
        return found->has_shape = parse_shape(text, header);
    return false;
}

static bool parse_dictionary(parser *text, fields *found, of_npy_header *header) {
    if (!accept(text, "{"))
        return false;
    while (!accept(text, "}")) {
        if (!parse_field(text, found, header))
            return false;
        if (!accept(text, ",")) {
            if (!accept(text, "}"))
                return false;
            break;
        }
    }
    return found->has_type && found->has_order && found->has_shape;
}

static of_status check_fields(const char *name, const fields *found, const of_npy_header *header,
                              of_error *error) {
    if (strcmp(found->type, "|u1") != 0)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%s: array of type '%s'; only unsigned bytes ('|u1', numpy.uint8) are read",
                       name, found->type);
    if (found->fortran)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%s: array in Fortran order; save numpy.ascontiguousarray of it", name);
    if (header->rank != 3 && header->rank != 4)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: array of %u dimensions; expected N x H x W, N x H x W x C or "
                       "N x C x H x W",
                       name, header->rank);
    return OF_OK;
}

static of_status read_text(of_byte_stream *stream, char **text, of_npy_header *header,
                           of_error *error) {
    uint8_t start[12];
    const char *name = of_byte_stream_name(stream);
    of_status status = of_byte_stream_read_all(stream, start, 8, error);
    if (status != OF_OK)
        return status;
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: not a .npy file: the NumPy signature is missing", name);
    if (start[6] < 1 || start[6] > 3)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: .npy version %u.%u is not known", name,
                       start[6], start[7]);
    size_t width = start[6] == 1 ? 2 : 4;
    status = of_byte_stream_read_all(stream, start + 8, width, error);
    if (status != OF_OK)
        return status;
    size_t length = start[8] | (size_t)start[9] << 8;
    if (width == 4)
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (length > MAX_HEADER)
        return of_fail(error, OF_ERROR_FORMAT, "%s: .npy header of %zu bytes", name, length);
    *text = calloc(1, length + 1);
    if (*text == NULL)
        return of_fail_memory(error, "a .npy header");
    header->data_offset = 8 + width + length;
    return of_byte_stream_read_all(stream, *text, length, error);
}

of_status of_npy_read_header(of_byte_stream *stream, of_npy_header *header, of_error *error) {
    char *text = NULL;
    fields found = {0};
    *header = (of_npy_header){0};
    of_status status = read_text(stream, &text, header, error);
    if (status == OF_OK && !parse_dictionary(&(parser){text}, &found, header))
        status =
            of_fail(error, OF_ERROR_FORMAT, "%s: damaged .npy header", of_byte_stream_name(stream));
    if (status == OF_OK)
        status = check_fields(of_byte_stream_name(stream), &found, header, error);
    free(text);
    return status;
}
