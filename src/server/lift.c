/* SPDX-License-Identifier: Apache-2.0 */
#include "server/lift.h"

#include <string.h>

enum { DEEPEST = 16, DATA_DEPTH = 3 };

typedef struct json_scanner {
    uint8_t *text;
    size_t size, at;
    size_t depth;
    char open[DEEPEST]; /* the brackets */
    bool data_key;      /* the last string was "data" where it would be the key of numbers */
    of_lift *lift;
} json_scanner;

static of_status fail_at(const json_scanner *scanner, const char *what, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "JSON: %s at byte %zu", what, scanner->at);
}

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static void skip_space(json_scanner *scanner) {
    while (scanner->at < scanner->size && is_space(scanner->text[scanner->at]))
        scanner->at++;
}

/* The byte at the place, 0 at the end. */
static uint8_t here(const json_scanner *scanner) {
    return scanner->at < scanner->size ? scanner->text[scanner->at] : 0;
}

static of_status keep(json_scanner *scanner, size_t from, size_t to, of_error *error) {
    of_lift *lift = scanner->lift;
    if (to - from > OF_LIFT_REST - lift->rest_size)
        return of_fail(error, OF_ERROR_FORMAT, "JSON: more than %d bytes beside the numbers",
                       OF_LIFT_REST);
    memcpy(lift->rest + lift->rest_size, scanner->text + from, to - from);
    lift->rest_size += to - from;
    return OF_OK;
}

/* ---- Numbers -------------------------------------------------------------------------------- */

/* One number from 0 to 255. */
static of_status read_value(json_scanner *scanner, uint8_t *value, of_error *error) {
    size_t begin = scanner->at;
    unsigned number = 0;
    while (here(scanner) >= '0' && here(scanner) <= '9' && number <= 255)
        number = number * 10 + (unsigned)(scanner->text[scanner->at++] - '0');
    size_t digits = scanner->at - begin;
    if (digits == 0 || number > 255 || (digits > 1 && scanner->text[begin] == '0'))
        return fail_at(scanner, "the data must be whole numbers from 0 to 255; they are not",
                       error);
    *value = (uint8_t)number;
    return OF_OK;
}

/* What stands between two values: brackets and one comma. `levels`: brackets that are open. */
static of_status read_separators(json_scanner *scanner, size_t *levels, of_error *error) {
    skip_space(scanner);
    while (here(scanner) == ']' && *levels > 0) {
        scanner->at++;
        (*levels)--;
        if (*levels > 0)
            skip_space(scanner);
    }
    if (*levels == 0)
        return OF_OK;
    if (here(scanner) != ',')
        return fail_at(scanner, "a comma or ']' is missing in the data", error);
    scanner->at++;
    skip_space(scanner);
    while (here(scanner) == '[' && *levels < DEEPEST) {
        scanner->at++;
        (*levels)++;
        skip_space(scanner);
    }
    return OF_OK;
}

/* The array that begins here. A value takes no more room than its text. */
static of_status read_array(json_scanner *scanner, of_lifted *array, of_error *error) {
    uint8_t *values = scanner->text + scanner->at;
    size_t levels = 0;
    of_status status = OF_OK;
    *array = (of_lifted){values, 0};
    while (here(scanner) == '[' && levels < DEEPEST) {
        scanner->at++;
        levels++;
        skip_space(scanner);
    }
    if (here(scanner) == ']' && levels == 1) {
        scanner->at++;
        return OF_OK;
    }
    while (status == OF_OK && levels > 0) {
        uint8_t value = 0;
        status = read_value(scanner, &value, error);
        if (status == OF_OK)
            status = read_separators(scanner, &levels, error);
        if (status == OF_OK)
            values[array->count++] = value;
    }
    return status;
}

static of_status lift_array(json_scanner *scanner, of_error *error) {
    of_lift *lift = scanner->lift;
    if (lift->array_count == OF_LIFT_MOST)
        return fail_at(scanner, "there are too many tensors", error);
    if (lift->rest_size == OF_LIFT_REST)
        return fail_at(scanner, "there is too much beside the numbers", error);
    of_status status = read_array(scanner, &lift->arrays[lift->array_count], error);
    if (status == OF_OK)
        lift->rest[lift->rest_size++] = (char)('0' + lift->array_count++);
    return status;
}

/* ---- Everything else ------------------------------------------------------------------------ */

static bool is_data_place(const json_scanner *scanner) {
    return scanner->depth == DATA_DEPTH && memcmp(scanner->open, "{[{", DATA_DEPTH) == 0;
}

static of_status read_string(json_scanner *scanner, of_error *error) {
    size_t begin = scanner->at++;
    while (scanner->at < scanner->size && scanner->text[scanner->at] != '"')
        scanner->at += scanner->text[scanner->at] == '\\' ? 2 : 1;
    if (scanner->at >= scanner->size)
        return fail_at(scanner, "a string has no end", error);
    scanner->at++;
    scanner->data_key = is_data_place(scanner) && scanner->at - begin == 6 &&
                        memcmp(scanner->text + begin, "\"data\"", 6) == 0;
    return keep(scanner, begin, scanner->at, error);
}

/* After the key "data": its numbers, and nothing else. */
static of_status read_data(json_scanner *scanner, of_error *error) {
    of_status status = keep(scanner, scanner->at, scanner->at + 1, error);
    scanner->at++;
    scanner->data_key = false;
    skip_space(scanner);
    if (status == OF_OK && here(scanner) != '[')
        return fail_at(scanner, "the data must be an array", error);
    return status == OF_OK ? lift_array(scanner, error) : status;
}

static of_status read_bracket(json_scanner *scanner, of_error *error) {
    uint8_t bracket = here(scanner);
    if (bracket == '{' || bracket == '[') {
        if (scanner->depth == DEEPEST)
            return fail_at(scanner, "it nests too deep", error);
        scanner->open[scanner->depth++] = (char)bracket;
    } else if (scanner->depth == 0 ||
               scanner->open[scanner->depth - 1] != (bracket == '}' ? '{' : '[')) {
        return fail_at(scanner, "a bracket does not match", error);
    } else {
        scanner->depth--;
    }
    scanner->at++;
    return keep(scanner, scanner->at - 1, scanner->at, error);
}

static of_status read_next(json_scanner *scanner, of_error *error) {
    uint8_t byte = here(scanner);
    if (byte == '"')
        return read_string(scanner, error);
    if (byte == ':' && scanner->data_key)
        return read_data(scanner, error);
    if (strchr("{}[]", byte) != NULL && byte != 0)
        return read_bracket(scanner, error);
    scanner->at++;
    return is_space(byte) ? OF_OK : keep(scanner, scanner->at - 1, scanner->at, error);
}

of_status of_lift_numbers(uint8_t *text, size_t size, of_lift *lift, of_error *error) {
    json_scanner scanner = {.text = text, .size = size, .lift = lift};
    of_status status = OF_OK;
    lift->array_count = 0;
    lift->rest_size = 0;
    while (status == OF_OK && scanner.at < size)
        status = read_next(&scanner, error);
    lift->rest[lift->rest_size] = '\0';
    if (status == OF_OK && scanner.depth > 0)
        return fail_at(&scanner, "it ends before its time", error);
    return status;
}
