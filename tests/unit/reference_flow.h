/* SPDX-License-Identifier: Apache-2.0 */
/* The network a second time, in double precision, from the equations alone: slow, for images of a
 * few hundred pixels. It reads a model by its tensors' names and shares no code with the graph. */
#ifndef OF_TESTS_REFERENCE_FLOW_H
#define OF_TESTS_REFERENCE_FLOW_H

#include <outflow/outflow.h>

enum { REFERENCE_SCALES = OF_MAX_SCALES, REFERENCE_CLASSES = 8 };

/* What of_likelihoods has, of one image; logp is the mixture's with classes. */
typedef struct reference_result {
    double logp;
    double contributions[REFERENCE_SCALES];
    double latent_squares[REFERENCE_SCALES];
    double class_logp[REFERENCE_CLASSES];
    double *latents; /* [dimensions] of the caller's */
} reference_result;

/* `pixels` is one image, [height][width][channels], as of_batch has them. Fails the running test
 * where a tensor is missing. */
void reference_flow(const of_model *model, of_pixel_type type, const void *pixels,
                    reference_result *result);

#endif
