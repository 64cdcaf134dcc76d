/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are built into the program (tools/cmake/embed.cmake). */
#ifndef OF_SERVER_PAGE_H
#define OF_SERVER_PAGE_H

#include <stddef.h>

extern const unsigned char of_page_html[], of_page_css[], of_page_js[], of_openapi_json[];
extern const size_t of_page_html_size, of_page_css_size, of_page_js_size, of_openapi_json_size;

#endif
