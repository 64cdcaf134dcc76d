/* SPDX-License-Identifier: Apache-2.0 */
/* What scores lose in integers, as it was measured when the models were quantized: the metadata
 * string "int8_losses" of the model's weight file,
 *
 *   {"version": 1, "model": fingerprint, "ranges": hash, "general": fingerprint,
 *    "general_ranges": hash, "images": n,
 *    "scores": [{"score": name, "auroc": x, "error": x, "against": text,
 *     "p_value": x, "flagged": x}, ...]}
 *
 * It holds for these weights and activation ranges alone, and where the score needs it for those of
 * this general model ("general" is absent without one). What cannot be read was not measured. */
#ifndef OF_DETECT_LOSSES_H
#define OF_DETECT_LOSSES_H

#include "detect/detector.h"

extern const char of_losses_key[]; /* "int8_losses" */

/* The models that scores are measured with, or used with. */
typedef struct of_losses_models {
    uint64_t model, general;         /* fingerprints; general 0: none */
    const char *ranges, *own_ranges; /* the texts "quantization" of the general model, the model */
} of_losses_models;

/* Of a model's metadata, for use with these models. */
void of_losses_read(const of_model *model, const of_losses_models *models, of_losses *losses);

/* The text, to be freed with free(); NULL when memory is exhausted. */
char *of_losses_print(const of_losses *losses, const of_losses_models *models, uint64_t images);

/* NULL: not measured. */
const of_precision_loss *of_losses_find(const of_losses *losses, of_score score);

/* Does the detector's precision keep the score? Always so in floats. */
of_status of_losses_check(const of_detector *detector, of_score score, of_error *error);

#endif
