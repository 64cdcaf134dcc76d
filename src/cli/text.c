/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *of_number_text(double value, char text[OF_NUMBER_SIZE]) {
    if (isnan(value)) { /* without the sign that some have */
        (void)snprintf(text, OF_NUMBER_SIZE, "nan");
        return text;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, OF_NUMBER_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

void of_csv_write(FILE *file, const char *field) {
    if (field[strcspn(field, ",\"\r\n")] == '\0') {
        (void)fputs(field, file);
        return;
    }
    (void)fputc('"', file);
    for (; *field != '\0'; field++) {
        if (*field == '"')
            (void)fputc('"', file);
        (void)fputc(*field, file);
    }
    (void)fputc('"', file);
}

void of_plain_write(FILE *file, const char *text) {
    while (*text != '\0') {
        size_t length = of_utf8_plain_length(text);
        if (length > 0)
            (void)fwrite(text, 1, length, file);
        else
            (void)fputc('?', file);
        text += length > 0 ? length : 1;
    }
}

const char *of_plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

const char *of_bytes_text(uint64_t bytes, char text[OF_NUMBER_SIZE]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    (void)snprintf(text, OF_NUMBER_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *of_scaled_text(double value, char text[OF_NUMBER_SIZE]) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    (void)snprintf(text, OF_NUMBER_SIZE, unit == 0 ? "%.0f%s" : "%.2f%s", value, units[unit]);
    return text;
}

/* Where the last part of a path begins; a slash at the end belongs to that part. */
static size_t last_part(const char *path) {
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    return length;
}

size_t of_shared_folder(const char *const *paths, size_t count) {
    size_t shared = count > 0 ? last_part(paths[0]) : 0;
    for (size_t i = 1; i < count; i++) {
        size_t most = last_part(paths[i]), same = 0;
        while (same < shared && same < most && paths[i][same] == paths[0][same])
            same++;
        shared = same;
    }
    while (shared > 0 && paths[0][shared - 1] != '/')
        shared--;
    return shared;
}
