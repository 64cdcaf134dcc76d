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

#endif
