/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <outflow/output.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

struct of_json {
    FILE *file;
    bool indented;
    int depth, skipped; /* open levels; below them, levels that are not written */
    struct {
        char closing; /* '}' or ']' */
        bool filled;
    } levels[DEEPEST];
};

of_status of_json_create(FILE *file, bool indented, of_json **json, of_error *error) {
    if (file == NULL || json == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_json_create: a required argument is NULL");
    *json = calloc(1, sizeof **json);
    if (*json == NULL)
        return of_fail_memory(error, "a writer of JSON");
    (*json)->file = file;
    (*json)->indented = indented;
    return OF_OK;
}

void of_json_free(of_json *json) {
    free(json);
}

/* A string in quotes. */
static void write_string(FILE *file, const char *text) {
    (void)fputc('"', file);
    while (*text != '\0') {
        size_t length;
        char escape[OF_ESCAPE_SIZE];
        unsigned char c = (unsigned char)*text;
        if (of_utf8_escape(text, &length, escape) != NULL)
            (void)fprintf(file, "\\%s", escape); /* whose backslash JSON wants escaped, too */
        else if (c == '"' || c == '\\')
            (void)fprintf(file, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            (void)fprintf(file, "\\u%04x", c);
        else
            (void)fwrite(text, 1, length, file);
        text += length;
    }
    (void)fputc('"', file);
}

static void new_line(of_json *json) {
    if (json->indented)
        (void)fprintf(json->file, "\n%*s", 2 * json->depth, "");
}

/* Writes what stands before a value: the comma, the line and the key. False below the deepest
 * level, where nothing is written. */
static bool begin_value(of_json *json, const char *key) {
    if (json->skipped > 0)
        return false;
    if (json->depth > 0) {
        if (json->levels[json->depth - 1].filled)
            (void)fputs(json->indented ? "," : ", ", json->file);
        json->levels[json->depth - 1].filled = true;
        new_line(json);
    }
    if (key != NULL) {
        write_string(json->file, key);
        (void)fputs(": ", json->file);
    }
    return true;
}

static void open_level(of_json *json, const char *key, char opening, char closing) {
    if (json->depth == DEEPEST) {
        of_json_text(json, key, NULL);
        json->skipped++;
        return;
    }
    (void)begin_value(json, key);
    json->levels[json->depth].closing = closing;
    json->levels[json->depth].filled = false;
    json->depth++;
    (void)fputc(opening, json->file);
}

void of_json_object(of_json *json, const char *key) {
    open_level(json, key, '{', '}');
}

void of_json_array(of_json *json, const char *key) {
    open_level(json, key, '[', ']');
}

void of_json_end(of_json *json) {
    if (json->skipped > 0) {
        json->skipped--;
        return;
    }
    if (json->depth == 0)
        return;
    json->depth--;
    if (json->levels[json->depth].filled)
        new_line(json);
    (void)fputc(json->levels[json->depth].closing, json->file);
    if (json->depth == 0)
        (void)fputc('\n', json->file);
}

void of_json_text(of_json *json, const char *key, const char *text) {
    if (!begin_value(json, key))
        return;
    if (text != NULL)
        write_string(json->file, text);
    else
        (void)fputs("null", json->file);
}

void of_json_real(of_json *json, const char *key, double value) {
    char text[OF_NUMBER_SIZE];
    if (begin_value(json, key))
        (void)fputs(isfinite(value) ? of_number_text(value, text) : "null", json->file);
}

void of_json_count(of_json *json, const char *key, uint64_t value) {
    if (begin_value(json, key))
        (void)fprintf(json->file, "%" PRIu64, value);
}

void of_json_flag(of_json *json, const char *key, bool value) {
    if (begin_value(json, key))
        (void)fputs(value ? "true" : "false", json->file);
}
