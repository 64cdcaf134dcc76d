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

static void write_field(FILE *file, const char *before, const char *field, bool escaped) {
    bool quoted = field[strcspn(field, ",\"\r\n")] != '\0';
    (void)fprintf(file, "%s%s", quoted ? "\"" : "", before);
    while (*field != '\0') {
        size_t length = 1;
        char escape[OF_ESCAPE_SIZE];
        if (escaped && of_utf8_escape(field, &length, escape) != NULL)
            (void)fputs(escape, file);
        else
            (void)fwrite(field, 1, length, file);
        if (*field == '"')
            (void)fputc('"', file);
        field += length;
    }
    if (quoted)
        (void)fputc('"', file);
}

void of_csv_write(FILE *file, const char *field) {
    write_field(file, "", field, false);
}

/* What an apostrophe was put before reads back by taking one away. */
void of_csv_write_text(FILE *file, const char *field) {
    char first = field[strspn(field, "'")];
    bool formula = first != '\0' && strchr("=+-@\t\r", first) != NULL;
    write_field(file, formula ? "'" : "", field, true);
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
