/* SPDX-License-Identifier: Apache-2.0 */
#include "data/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool of_bytes_reserve(of_bytes *bytes, size_t capacity) {
    if (capacity <= bytes->capacity)
        return true;
    uint8_t *data = realloc(bytes->data, capacity);
    if (data == NULL)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

void of_bytes_trim(of_bytes *bytes, size_t keep) {
    if (bytes->capacity > keep)
        of_bytes_free(bytes);
}

void of_bytes_free(of_bytes *bytes) {
    free(bytes->data);
    *bytes = (of_bytes){0};
}

void of_bytes_swap(of_bytes *a, of_bytes *b) {
    of_bytes previous = *a;
    *a = *b;
    *b = previous;
}

bool of_text_set(of_bytes *text, const char *characters, size_t length) {
    if (length == SIZE_MAX || !of_bytes_reserve(text, length + 1))
        return false;
    if (length > 0)
        memcpy(text->data, characters, length);
    text->data[length] = '\0';
    text->size = length + 1;
    return true;
}

bool of_text_format(of_bytes *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !of_bytes_reserve(text, (size_t)length + 1))
        return false;
    va_start(arguments, format);
    (void)vsnprintf((char *)text->data, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size = (size_t)length + 1;
    return true;
}

const char *of_text(const of_bytes *text) {
    return text->size > 0 ? (const char *)text->data : "";
}
