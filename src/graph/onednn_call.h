/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of oneDNN's code from several threads. oneDNN takes arrays as objects that describe them,
 * and those of a call cost as much to make as a small layer takes to run: a call borrows what an
 * earlier one has left. For convolution.c alone. */
#ifndef OF_GRAPH_ONEDNN_CALL_H
#define OF_GRAPH_ONEDNN_CALL_H

#include <dnnl.h>

/* Descriptions that nobody uses now, of one of_convolution's code. */
typedef struct of_onednn_idle of_onednn_idle;

typedef struct of_onednn_code {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    const_dnnl_primitive_desc_t description;
    const_dnnl_primitive_t primitive;
} of_onednn_code;

typedef struct of_onednn_arrays {
    const void *source, *weights, *bias; /* bias: NULL for code without one */
    void *target, *scratch;
} of_onednn_arrays;

/* NULL on exhaustion. */
of_onednn_idle *of_onednn_idle_create(void);
void of_onednn_idle_free(of_onednn_idle *idle);

/* Runs the code; from several threads at once, if the arrays that it writes differ. */
dnnl_status_t of_onednn_call(of_onednn_idle *idle, const of_onednn_code *code,
                             const of_onednn_arrays *arrays);

#endif
