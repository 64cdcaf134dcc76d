/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of of_model_allocate, for the reader of weight files: it compares a file with
 * the table before it commits memory to the values. */
#ifndef OF_MODEL_PARAMETERS_H
#define OF_MODEL_PARAMETERS_H

#include "model/model.h"

/* Table and tree; `values` stays NULL. */
of_status of_model_describe(const of_architecture *architecture, of_model **model, of_error *error);

/* The block, all zero. */
of_status of_model_allocate_values(of_model *model, of_error *error);

#endif
