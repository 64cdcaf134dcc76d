/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strings in the forms that CSV and people's eyes need. */
#ifndef OF_CLI_TEXT_H
#define OF_CLI_TEXT_H

#include "core/utf8.h"

#include <stdint.h>
#include <stdio.h>

enum { OF_NUMBER_SIZE = 32 };

/* The shortest of 15, 16 and 17 digits that reads back as the same double; "nan", "inf", "-inf"
 * otherwise. Returns `text`. */
const char *of_number_text(double value, char text[OF_NUMBER_SIZE]);

/* A field of a CSV line, quoted where RFC 4180 asks for it. */
void of_csv_write(FILE *file, const char *field);

/* Text for a terminal: control characters become '?'. */
void of_plain_write(FILE *file, const char *text);

/* "" for one, "s" for any other number: "%u image%s". */
const char *of_plural(uint64_t count);

/* 1536 -> "1.5 KiB". Returns `text`. */
const char *of_bytes_text(uint64_t bytes, char text[OF_NUMBER_SIZE]);

/* 1.5e9 -> "1.50 G", for counts of things. Returns `text`. */
const char *of_scaled_text(double value, char text[OF_NUMBER_SIZE]);

/* Length of the leading folders that all paths share, which leaves of each its last part at
 * least. */
size_t of_shared_folder(const char *const *paths, size_t count);

#endif
