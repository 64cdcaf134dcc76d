/* SPDX-License-Identifier: Apache-2.0 */
#include "core/utf8.h"

#include <outflow/output.h>

#include <stdbool.h>
#include <stdio.h>

static bool continues(unsigned char byte) {
    return (byte & 0xc0) == 0x80;
}

/* Table 3-7 of the Unicode standard: well-formed byte sequences. */
size_t of_utf8_length(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4 || !continues(s[1]))
        return 0;
    if (s[0] < 0xe0)
        return 2;
    if (s[0] < 0xf0) {
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0, surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate || !continues(s[2]) ? 0 : 3;
    }
    bool overlong = s[0] == 0xf0 && s[1] < 0x90, beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || beyond || !continues(s[2]) || !continues(s[3]) ? 0 : 4;
}

/* U+2028 to U+202E and U+2066 to U+2069: separators of lines, and what makes the text that follows
 * run the other way, so that a name looks like another one. */
static bool turns_text(const unsigned char *s) {
    return s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) ||
                            (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
}

size_t of_utf8_plain_length(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    bool control = turns_text(s) || s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
    return control ? 0 : of_utf8_length(text);
}

static bool is_hexadecimal(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool looks_escaped(const char *text) {
    return text[0] == '\\' && text[1] == 'x' && is_hexadecimal(text[2]) && is_hexadecimal(text[3]);
}

const char *of_utf8_escape(const char *text, size_t *length, char escape[OF_ESCAPE_SIZE]) {
    *length = of_utf8_length(text);
    if (*length > 0 && !looks_escaped(text))
        return NULL;
    *length = 1;
    (void)snprintf(escape, OF_ESCAPE_SIZE, "\\x%02x", (unsigned char)text[0]);
    return escape;
}

static unsigned digit_of(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void of_text_unescape(char *text) {
    char *to = text;
    for (; *text != '\0'; text++, to++) {
        unsigned byte = looks_escaped(text) ? 16 * digit_of(text[2]) + digit_of(text[3]) : 0;
        *to = byte != 0 ? (char)(unsigned char)byte : *text;
        text += byte != 0 ? OF_ESCAPE_SIZE - 2 : 0;
    }
    *to = '\0';
}

void of_plain_text(char *text) {
    while (*text != '\0') {
        size_t length = of_utf8_plain_length(text);
        if (length == 0)
            *text = '?';
        text += length > 0 ? length : 1;
    }
}
