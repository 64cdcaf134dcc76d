/* SPDX-License-Identifier: Apache-2.0 */
/* A weight file that holds a second model: the general one, whose tensors and metadata have
 * "general." before their names. Without those it is the weight file of the model itself. */
#ifndef OF_MODEL_BUNDLE_H
#define OF_MODEL_BUNDLE_H

#include "model/safetensors.h"

/* One of the two models of an open file, as if it had a file of its own. The part refers to
 * `file`, which must outlive it, and is closed with of_bundle_close_part. */
of_status of_bundle_open_part(const of_safetensors *file, bool general, of_safetensors *part,
                              of_error *error);
void of_bundle_close_part(of_safetensors *part);

/* Does the file hold a general model? */
bool of_bundle_has_general(const of_safetensors *file);

/* Writes the model of the file `model`, with `calibration` as its metadata of that key (NULL:
 * without), and the model of the file `general` as its general model to `path`, atomically. The
 * three may be the same file. Tensors keep their bytes. */
of_status of_bundle_write(const char *model, const char *calibration, const char *general,
                          const char *path, of_error *error);

/* The same from parts: what of_bundle_open_part gives. `general` NULL: a file of
 * the model alone. */
of_status of_bundle_write_parts(const of_safetensors *model, const char *calibration,
                                const of_safetensors *general, const char *path, of_error *error);

#endif
