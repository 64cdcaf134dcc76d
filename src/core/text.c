/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strings in the forms that CSV and terminals need. */
#include "core/utf8.h"

#include <math.h>
#include <outflow/output.h>
#include <stdbool.h>
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
    /* the host program may have set a locale with another decimal point */
    text[strcspn(text, ",")] = strchr(text, ',') != NULL ? '.' : '\0';
    return text;
}

static void write_quoted(FILE *file, const char *before, const char *field) {
    (void)fprintf(file, "\"%s", before);
    for (; *field != '\0'; field++) {
        if (*field == '"')
            (void)fputc('"', file);
        (void)fputc(*field, file);
    }
    (void)fputc('"', file);
}

static void write_field(FILE *file, const char *before, const char *field) {
    if (field[strcspn(field, ",\"\r\n")] == '\0')
        (void)fprintf(file, "%s%s", before, field);
    else
        write_quoted(file, before, field);
}

void of_csv_write(FILE *file, const char *field) {
    write_field(file, "", field);
}

void of_csv_write_text(FILE *file, const char *field) {
    bool formula = field[0] != '\0' && strchr("=+-@\t\r", field[0]) != NULL;
    write_field(file, formula ? "'" : "", field);
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
