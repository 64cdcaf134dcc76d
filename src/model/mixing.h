/* SPDX-License-Identifier: Apache-2.0 */
/* Channel mixing as one matrix, whatever form the weight file keeps it in. Step number `steps` is
 * the closing map. */
#ifndef OF_MODEL_MIXING_H
#define OF_MODEL_MIXING_H

#include "model/model.h"

/* Channels that a step of this scale mixes: C, or C*H*W for dense blocks. */
size_t of_mixing_width(const of_model *model, uint32_t scale);

/* W [width][width] in double: P (L + I)(U + diag(sign * exp(log_diag))), or the stored matrix, or
 * the matrix of the permutation y[c] = x[indices[c]]. `log_abs_det` (may be NULL) gets
 * log|det W|: the sum of log_diag, or from a factorisation, or 0. */
of_status of_mixing_matrix(const of_model *model, uint32_t scale, uint32_t step, double *matrix,
                           double *log_abs_det, of_error *error);

/* The other way, for a new model: stores W in the step's LU tensors. */
of_status of_mixing_store_lu(of_model *model, uint32_t scale, uint32_t step, const double *matrix,
                             of_error *error);

#endif
