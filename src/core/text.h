/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and strings in the forms that CSV and terminals need. */
#ifndef OF_CORE_TEXT_H
#define OF_CORE_TEXT_H

#include <stdio.h>

enum { OF_NUMBER_SIZE = 32 };

/* The shortest of 15, 16 and 17 digits that reads back as the same double; "nan", "inf", "-inf"
 * otherwise. Returns `text`. */
const char *of_number_text(double value, char text[OF_NUMBER_SIZE]);

/* A field of a CSV line, quoted where RFC 4180 asks for it. */
void of_csv_write(FILE *file, const char *field);

/* Text for a terminal: control characters become '?'. */
void of_plain_write(FILE *file, const char *text);

#endif
