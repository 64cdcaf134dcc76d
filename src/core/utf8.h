/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CORE_UTF8_H
#define OF_CORE_UTF8_H

#include <stddef.h>

/* Length in bytes of the valid UTF-8 character that `text` starts with, or 0 if it starts with
 * none (or is at its end). */
size_t of_utf8_length(const char *text);

/* The same for a character that a terminal only shows; 0 as well for a control character (C0, DEL,
 * C1), which it might obey. */
size_t of_utf8_plain_length(const char *text);

/* Room for "\xHH". */
enum { OF_ESCAPE_SIZE = 5 };

/*
 * Text that may hold any bytes, one character of it as valid UTF-8 that reads back: NULL for a
 * character that stays what it is; else `escape`, "\xHH" for a byte that is not UTF-8, and "\x5c"
 * for a backslash that begins such a text itself. *length is what was taken of the text.
 */
const char *of_utf8_escape(const char *text, size_t *length, char escape[OF_ESCAPE_SIZE]);

#endif
