/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes do. A handler fills the answer; or it hands the request on, and `answered` of the
 * request is called later: it then returns false. */
#ifndef OF_SERVER_HANDLERS_H
#define OF_SERVER_HANDLERS_H

#include "server/request.h"

typedef bool of_handler(of_request *request);

/* about.c */
of_handler of_handle_live, of_handle_ready, of_handle_server, of_handle_model,
    of_handle_model_ready, of_handle_index, of_handle_models;

/* With bodies; called by threads of tasks.h */
of_handler of_handle_infer, of_handle_score, of_handle_heatmap;

/* page.c */
of_handler of_handle_page, of_handle_page_script, of_handle_page_style, of_handle_openapi;

/* routes.c, which knows the names of the routes */
of_handler of_handle_metrics;

#endif
