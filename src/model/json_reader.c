/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_reader.h"

#include "core/error.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

/* Length of the UTF-8 sequence that starts at `text`, or 0. Table 3-7 of the Unicode standard:
 * no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t utf8_sequence(const unsigned char *text, size_t left) {
    unsigned first = text[0];
    unsigned low = 0x80, high = 0xBF; /* bounds of the second byte */
    size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0 || first > 0xF4 || length > left)
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < low || text[i] > high)
            return 0;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

bool of_utf8_valid(const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        size_t step = utf8_sequence((const unsigned char *)text + i, length - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

/* Skips a string whose opening quote is at text[i]; returns the place after its closing quote,
 * or 0 with the reason. */
static size_t skip_string(const char *text, size_t length, size_t i, const char **reason) {
    for (i++; i < length && text[i] != '"'; i++) {
        if ((unsigned char)text[i] < 0x20) {
            *reason = "a string holds a raw control character";
            return 0;
        }
        if (text[i] != '\\')
            continue;
        i++;
        if (length - i >= 5 && memcmp(text + i, "u0000", 5) == 0) {
            *reason = "a string holds a zero character";
            return 0;
        }
    }
    if (i >= length) {
        *reason = "a string does not end";
        return 0;
    }
    return i + 1;
}

/* Why cJSON should not see this text, or NULL. */
static const char *scan(const char *text, size_t length, size_t max_values) {
    const char *reason = NULL;
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < length;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, length, i, &reason);
            if (i == 0)
                return reason;
            continue;
        }
        if ((unsigned char)c < 0x20 && c != '\n' && c != '\r' && c != '\t')
            return "it holds a raw control character";
        if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH)
                return "it is nested too deeply";
            values++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',') {
            values++;
        }
        if (values > max_values)
            return "it holds too many values";
        i++;
    }
    return NULL;
}

/* The parser says of lack of memory what it says of text that is no JSON. */
static of_status parse(const char *text, size_t length, const char *place, cJSON **root,
                       const char **end, of_error *error) {
    enum { TRIES = 2, LITTLE = 1 << 20 };
    *root = NULL;
    for (int i = 0; i < TRIES && *root == NULL; i++)
        *root = cJSON_ParseWithLengthOpts(text, length, end, false);
    if (*root != NULL)
        return OF_OK;
    void *room = cJSON_malloc(length + LITTLE);
    cJSON_free(room);
    if (room == NULL)
        return of_fail_memory(error, place);
    return of_fail(error, OF_ERROR_FORMAT, "%s: not valid JSON near byte %zu", place,
                   *end == NULL ? 0 : (size_t)(*end - text));
}

of_status of_json_parse_object(const char *text, size_t length, size_t max_values,
                               const char *place, cJSON **object, of_error *error) {
    const char *reason =
        of_utf8_valid(text, length) ? scan(text, length, max_values) : "it is not UTF-8 text";
    if (reason != NULL)
        return of_fail(error, OF_ERROR_FORMAT, "%s: not usable JSON: %s", place, reason);
    const char *end = NULL;
    cJSON *root;
    of_status status = parse(text, length, place, &root, &end, error);
    if (status != OF_OK)
        return status;
    size_t parsed = end == NULL ? 0 : (size_t)(end - text);
    while (parsed < length && strchr(" \t\r\n", text[parsed]) != NULL)
        parsed++;
    if (parsed < length || !cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return of_fail(error, OF_ERROR_FORMAT, "%s: must be one JSON object and nothing else",
                       place);
    }
    *object = root;
    return OF_OK;
}

const char *of_json_repeated_key(const cJSON *object) {
    const cJSON *item, *other;
    cJSON_ArrayForEach(item, object) {
        for (other = item->next; other != NULL; other = other->next)
            if (strcmp(item->string, other->string) == 0)
                return item->string;
    }
    return NULL;
}

bool of_json_whole_number(const cJSON *item, uint64_t most, uint64_t *value) {
    double number = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(number >= 0) || number > 0x1p53 || number != floor(number) || number > (double)most)
        return false;
    *value = (uint64_t)number;
    return true;
}
