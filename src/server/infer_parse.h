/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the Open Inference Protocol, version 2, with its binary-data extension: JSON, then
 * bytes of the tensors that have "binary_data_size". */
#ifndef OF_SERVER_INFER_PARSE_H
#define OF_SERVER_INFER_PARSE_H

#include <outflow/outflow.h>

enum { OF_INFER_NAME = 64, OF_INFER_ID = 128, OF_INFER_OUTPUTS = 80, OF_INFER_RANK = 4 };

typedef struct of_infer_output {
    char name[OF_INFER_NAME];
    bool binary;
} of_infer_output;

typedef struct of_infer_call {
    char id[OF_INFER_ID]; /* "" without one */
    char input[OF_INFER_NAME], type[OF_INFER_NAME];
    size_t rank;
    uint64_t shape[OF_INFER_RANK];
    const uint8_t *data;       /* in the body */
    size_t data_size;          /* as many as the shape says */
    char score[OF_INFER_NAME]; /* parameter "score", "" without one */
    double rate;               /* parameter "fpr", 0 without one */
    bool binary;         /* parameter "binary_data_output": what outputs are if they do not say */
    size_t output_count; /* 0: all are wanted */
    of_infer_output outputs[OF_INFER_OUTPUTS];
} of_infer_call;

/* Reads a request with `json_size` <= size bytes of JSON. The body is spoilt, and must live as long
 * as the call. */
of_status of_infer_parse(uint8_t *body, size_t size, size_t json_size, of_infer_call *call,
                         of_error *error);

#endif
