/* SPDX-License-Identifier: Apache-2.0 */
/* A random model whose last layers, priors and ActNorms are not neutral. Include after cmocka's
 * headers. */
#ifndef OF_TESTS_RANDOM_MODEL_H
#define OF_TESTS_RANDOM_MODEL_H

#include "core/random.h"
#include "model/model.h"

#include <string.h>

static inline of_model *make_model(const of_architecture *architecture) {
    of_model *model = NULL;
    of_error error;
    if (of_model_create(architecture, 7, &model, &error) != OF_OK)
        fail_msg("%s", error.message);
    of_random random = of_random_stream(11, 0);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const of_parameter *parameter = &model->parameters[p];
        if (parameter->kind != OF_PARAMETER_TRAINED || strstr(parameter->name, ".mix.") != NULL)
            continue;
        bool wide = strstr(parameter->name, "weight") != NULL;
        float *values = of_model_values(model, (int)p);
        for (size_t i = 0; i < parameter->count; i++)
            values[i] += (wide ? 0.05F : 0.2F) * (float)of_random_normal(&random);
    }
    return model;
}

#endif
