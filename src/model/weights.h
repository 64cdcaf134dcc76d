/* SPDX-License-Identifier: Apache-2.0 */
/* Weight files: safetensors whose tensors are exactly those of their architecture. */
#ifndef OF_MODEL_WEIGHTS_H
#define OF_MODEL_WEIGHTS_H

#include "model/model.h"
#include "model/safetensors.h"

/* of_model_load from bytes in memory; `place` stands for the path in messages. */
of_status of_model_parse(const unsigned char *bytes, size_t length, const char *place,
                         of_model **model, of_error *error);

/* of_model_load_general likewise. */
of_status of_model_parse_general(const unsigned char *bytes, size_t length, const char *place,
                                 of_model **model, of_error *error);

/* of_model_save with float tensors stored as F32 or BF16. */
of_status of_model_save_as(const of_model *model, of_dtype storage, const char *path,
                           of_error *error);

/* Writes a model with `calibration` as its metadata of that key (NULL: without), and `general`
 * (NULL: none) as its general model: see bundle.h. */
of_status of_model_save_bundle(const of_model *model, const char *calibration,
                               const of_model *general, const char *path, of_error *error);

#endif
