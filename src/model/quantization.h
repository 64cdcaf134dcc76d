/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan in integers needs to know of a model: how large the numbers are that its coupling
 * networks meet, and what each layer multiplies. It stands in the metadata string "quantization" of
 * a weight file:
 *
 *   {"version": 1, "model": fingerprint, "images": n, "source": text, "others": n,
 *    "networks": [{"input": x, "hidden1": [], "mean1": [], "deviation1": [], "others1": [],
 *                  "hidden2": [], "mean2": [], "deviation2": [], "others2": [], "layers": []},
 * ...]}
 *
 * Networks are in the order of scales, then steps. "input": largest |x| of the half that the
 * network reads; "hidden1", "hidden2": largest activation of each hidden unit of the first and
 * second layer, "mean1" and so on their mean and standard deviation, "others1" and
 * "others2" their means in unusual images, one kind after the other, where there are "others";
 * "layers": "int8" or "int16"
 * for each of the three. */
#ifndef OF_MODEL_QUANTIZATION_H
#define OF_MODEL_QUANTIZATION_H

#include "model/model.h"

enum { OF_NETWORK_LAYERS = 3, OF_MOST_OTHER_KINDS = 4 };

/* Of the activations of a layer's hidden units, [hidden] each. */
typedef struct of_hidden_ranges {
    float *largest, *mean, *deviation;
    float *others; /* [others][hidden] means in unusual images */
} of_hidden_ranges;

typedef struct of_network_ranges {
    float input;
    of_hidden_ranges hidden[OF_NETWORK_LAYERS - 1];
    of_precision layers[OF_NETWORK_LAYERS];
} of_network_ranges;

typedef struct of_quantization {
    uint32_t scales, steps, hidden;
    uint64_t images;
    uint32_t others;             /* kinds of unusual images, OF_MOST_OTHER_KINDS at most */
    char *source;                /* as it was read; freed with free(), NULL for none */
    of_network_ranges *networks; /* [scales][steps] */
    float *values;               /* of all hidden units */
} of_quantization;

extern const char of_quantization_key[]; /* "quantization" */

/* All ranges 0; first layers INT16, the others INT8, but INT16 in the last one of several scales,
 * which costs little and which the scores of the last scale depend on. */
of_status of_quantization_create(const of_architecture *architecture,
                                 of_quantization **quantization, of_error *error);
/* Accepts NULL. */
void of_quantization_free(of_quantization *quantization);

/* The text, to be freed with free(); NULL when memory is exhausted. `source` (may be NULL): where
 * the images come from, for people. */
char *of_quantization_print(const of_quantization *quantization, uint64_t fingerprint,
                            const char *source);

/* That of a model. OF_ERROR_ARGUMENT without one, with the setting "quantization";
 * OF_ERROR_MISMATCH if it was measured with other weights, OF_ERROR_FORMAT if it cannot be used. */
of_status of_quantization_read(const of_model *model, of_quantization **quantization,
                               of_error *error);

#endif
