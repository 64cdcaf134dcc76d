/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strings in the forms that CSV and terminals need. */
#include "core/utf8.h"

#include <math.h>
#include <outflow/output.h>
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
