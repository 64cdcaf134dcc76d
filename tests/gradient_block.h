/* SPDX-License-Identifier: Apache-2.0 */
/* The gradient of one batch as a block laid out like the model's values; fixed parameters get
 * nothing. */
#ifndef OF_TESTS_GRADIENT_BLOCK_H
#define OF_TESTS_GRADIENT_BLOCK_H

#include "graph/gradient.h"

#include <string.h>

static inline of_status gradient_block(of_training_plan *plan, const of_model *model,
                                       const of_batch *batch, const of_likelihoods *out,
                                       of_loss_gradient loss, void *user, unsigned char *block,
                                       of_error *error) {
    of_status status = of_training_gradient(plan, model, batch, out, loss, user, false, error);
    if (status == OF_OK)
        status = of_training_finish_gradient(plan, model, error);
    if (status != OF_OK)
        return status;
    of_gradient_view view = of_training_gradient_view(plan);
    for (size_t p = 0; p < model->parameter_count; p++)
        if (model->parameters[p].kind == OF_PARAMETER_TRAINED)
            memcpy(block + model->parameters[p].offset, view.values + view.places[p],
                   model->parameters[p].count * sizeof(float));
    return OF_OK;
}

#endif
