/* SPDX-License-Identifier: Apache-2.0 */
/* The page for people, and the description of the routes for programs. */
#include "server/page.h"

#include "server/handlers.h"

bool of_handle_page(of_request *request) {
    of_answer_fixed(request, "text/html; charset=utf-8", of_page_html, of_page_html_size);
    return true;
}

bool of_handle_page_script(of_request *request) {
    of_answer_fixed(request, "text/javascript; charset=utf-8", of_page_js, of_page_js_size);
    return true;
}

bool of_handle_page_style(of_request *request) {
    of_answer_fixed(request, "text/css; charset=utf-8", of_page_css, of_page_css_size);
    return true;
}

bool of_handle_openapi(of_request *request) {
    of_answer_fixed(request, "application/json", of_openapi_json, of_openapi_json_size);
    return true;
}
