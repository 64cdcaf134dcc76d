/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers of a quantized model multiply 16 bits, by the model's own measured error. */
#ifndef OF_GRAPH_LAYER_CHOICE_H
#define OF_GRAPH_LAYER_CHOICE_H

#include <outflow/outflow.h>

/* Starts from the layers that the model's metadata string "quantization" says, and gives back the
 * text with more of them in 16 bits, to be freed with free(). `images`: at least 2, as they are to
 * be scored. `enough`: error that is small enough, of a scale's contribution or the sum, in
 * standard deviations of it among the images, root mean square. The result does not depend on
 * `threads`. Fails where integers do not run. */
of_status of_layers_choose(of_model *model, const of_batch *images, double enough, unsigned threads,
                           char **text, of_error *error);

#endif
