/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of integers, by the kernels of simd: what convolution.c hands on where the source of
 * a shape is OF_PRECISION_INT8 (numbers u8, weights s8) or OF_PRECISION_INT16 (numbers of at most
 * +-OF_INT16_MOST, weights s16). A target of these precisions is limited to what is not negative,
 * which is its ReLU. Sums are exact, so results never depend on how many images a call takes. */
#ifndef OF_GRAPH_INTEGER_CONVOLUTION_H
#define OF_GRAPH_INTEGER_CONVOLUTION_H

#include "graph/convolution.h"

static inline bool of_is_integer(of_precision precision) {
    return precision == OF_PRECISION_INT8 || precision == OF_PRECISION_INT16;
}

typedef struct of_integer_convolution of_integer_convolution;

/* Inputs must fill groups of 4 bytes, outputs vectors of 16. */
of_status of_integer_convolution_create(const of_convolution_shape *shape,
                                        of_integer_convolution **convolution, of_error *error);
void of_integer_convolution_free(of_integer_convolution *convolution);

/* As those of convolution.h. Weights are in units of the source's integers and of the target's, as
 * the bias is; each output's are rounded to integers of a scale of their own. */
size_t of_integer_convolution_weight_bytes(const of_integer_convolution *convolution);
of_status of_integer_convolution_pack(const of_integer_convolution *convolution,
                                      const float *weights, void *packed, of_error *error);
void of_integer_convolution_run(const of_integer_convolution *convolution, uint32_t images,
                                const void *source, const void *packed, const float *bias,
                                void *target);

/* What pack makes of the weights [inputs*kernel*kernel] of one output: integers and their scale. */
float of_integer_weights(const of_convolution_shape *shape, const float *weights,
                         int16_t *integers);

#endif
