/* SPDX-License-Identifier: Apache-2.0 */
#include "report/html.h"

#include "core/memory.h"
#include "core/utf8.h"

#include <math.h>
#include <string.h>

/* Valid UTF-8 that XML 1.0 does not allow: control characters, U+FFFE and U+FFFF. */
static bool is_xml_character(const char *text, size_t length) {
    unsigned char first = (unsigned char)text[0];
    if (length == 1)
        return (first >= 0x20 && first != 0x7f) || first == '\t' || first == '\n';
    return !(length == 3 && memcmp(text, "\xef\xbf", 2) == 0 && (unsigned char)text[2] >= 0xbe);
}

static const char *entity(char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void of_html_text(FILE *file, const char *text) {
    while (*text != '\0') {
        size_t length = of_utf8_length(text);
        const char *name = entity(*text);
        if (length == 0 || !is_xml_character(text, length))
            (void)fputs("\xef\xbf\xbd", file);
        else if (name != NULL)
            (void)fputs(name, file);
        else
            (void)fwrite(text, 1, length, file);
        text += length > 0 ? length : 1;
    }
}

/* RFC 4648. */
static void write_base64(FILE *file, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        (void)fputc(digits[group >> 18], file);
        (void)fputc(digits[group >> 12 & 63], file);
        (void)fputc(left > 1 ? digits[group >> 6 & 63] : '=', file);
        (void)fputc(left > 2 ? digits[group & 63] : '=', file);
    }
}

of_status of_html_picture(FILE *file, const of_picture *picture, of_error *error) {
    uint8_t *bytes;
    size_t size;
    of_status status = of_picture_encode(picture, &bytes, &size, error);
    if (status != OF_OK)
        return status;
    (void)fputs("data:image/png;base64,", file);
    write_base64(file, bytes, size);
    of_free(bytes);
    return OF_OK;
}

const char *of_html_number(double value, char text[OF_HTML_NUMBER]) {
    double size = fabs(value);
    if (!isfinite(value))
        (void)snprintf(text, OF_HTML_NUMBER, "\xe2\x80\x93");
    else if (size != 0 && (size < 1e-3 || size >= 1e7))
        (void)snprintf(text, OF_HTML_NUMBER, "%.3g", value);
    else
        (void)snprintf(text, OF_HTML_NUMBER, "%.*f", size < 10 ? 3 : size < 1000 ? 1 : 0, value);
    return text;
}
