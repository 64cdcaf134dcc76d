/* SPDX-License-Identifier: Apache-2.0 */
/* Text, numbers and images inside HTML and SVG that are also well-formed XML. */
#ifndef OF_REPORT_HTML_H
#define OF_REPORT_HTML_H

#include "detect/picture.h"

#include <stdio.h>

/* Text for elements and for attributes in double quotes. What is no character of XML becomes
 * U+FFFD. */
void of_html_text(FILE *file, const char *text);

/* A picture as a data: URL. */
of_status of_html_picture(FILE *file, const of_picture *picture, of_error *error);

/* A number for people, three to four digits; a dash if it is not finite. */
enum { OF_HTML_NUMBER = 32 };
const char *of_html_number(double value, char text[OF_HTML_NUMBER]);

#endif
