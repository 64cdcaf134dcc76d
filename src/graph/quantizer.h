/* SPDX-License-Identifier: Apache-2.0 */
/* Measures how large a model's activations are, on images, for plans in integers. */
#ifndef OF_GRAPH_QUANTIZER_H
#define OF_GRAPH_QUANTIZER_H

#include <outflow/outflow.h>

typedef struct of_quantizer of_quantizer;

/* For a plan in floats, which must outlive it. */
of_status of_quantizer_create(const of_plan *plan, of_quantizer **quantizer, of_error *error);
/* Accepts NULL. */
void of_quantizer_free(of_quantizer *quantizer);

/* Raises the ranges to those of more images; the order of images does not matter. */
of_status of_quantizer_add(of_quantizer *quantizer, const of_batch *batch, of_error *error);

/* The text for the metadata of the model with this fingerprint, to be freed with free(). `others`
 * [other_count, at most OF_MOST_OTHER_KINDS]: quantizers of the same plan that saw unusual images,
 * of a kind each. No images
 * are OF_ERROR_ARGUMENT, and numbers that are not finite OF_ERROR_NUMERIC. */
of_status of_quantizer_finish(const of_quantizer *quantizer, of_quantizer *const *others,
                              size_t other_count, uint64_t fingerprint, const char *source,
                              char **text, of_error *error);

#endif
