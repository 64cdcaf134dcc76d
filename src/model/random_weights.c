/* SPDX-License-Identifier: Apache-2.0 */
/* Random weights. Every parameter draws from a stream of its own, numbered as in the table. */
#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"
#include "model/mixing.h"
#include "model/rotation.h"

/* Of conv1, conv2, fc1 and fc2. Everything that is not mentioned here starts at zero: ActNorms
 * and class densities are neutral there, and so are the last layer of a coupling network, edges and
 * split priors. */
static const double weight_deviation = 0.05;

static void draw_normal(of_model *model, uint64_t seed, int parameter) {
    float *values = of_model_values(model, parameter);
    of_random random = of_random_stream(seed, (uint64_t)parameter);
    for (size_t i = 0; values != NULL && i < model->parameters[parameter].count; i++)
        values[i] = (float)(weight_deviation * of_random_normal(&random));
}

/* `gain` as well: at zero, where raw is zero too, neither it nor raw would have a gradient. */
static void set_ones(of_model *model, int parameter) {
    float *values = of_model_values(model, parameter);
    for (size_t i = 0; values != NULL && i < model->parameters[parameter].count; i++)
        values[i] = 1;
}

static of_status draw_indices(of_model *model, uint64_t seed, int parameter, of_error *error) {
    size_t count = model->parameters[parameter].count;
    int64_t *indices = of_model_indices(model, parameter);
    of_random random = of_random_stream(seed, (uint64_t)parameter);
    size_t *order = of_allocate(count, sizeof *order);
    if (order == NULL)
        return of_fail_memory(error, "a random permutation");
    (void)of_random_permutation(&random, count, order);
    for (size_t i = 0; i < count; i++)
        indices[i] = (int64_t)order[i];
    of_free(order);
    return OF_OK;
}

/* `rotation` has room for one matrix of the scale's mixing width. */
static of_status draw_mixing(of_model *model, uint64_t seed, uint32_t scale, uint32_t step,
                             double *rotation, of_error *error) {
    const of_step_parameters *parameters = &model->scales[scale].steps[step];
    if (parameters->indices >= 0)
        return draw_indices(model, seed, parameters->indices, error);
    size_t width = of_mixing_width(model, scale);
    int first = parameters->weight >= 0 ? parameters->weight : parameters->permutation;
    of_random random = of_random_stream(seed, (uint64_t)first);
    of_status status = of_random_rotation(&random, width, rotation, error);
    if (status != OF_OK)
        return status;
    if (parameters->weight < 0)
        return of_mixing_store_lu(model, scale, step, rotation, error);
    float *weight = of_model_values(model, parameters->weight);
    for (size_t i = 0; i < width * width; i++)
        weight[i] = (float)rotation[i];
    return OF_OK;
}

static of_status draw_scale(of_model *model, uint64_t seed, uint32_t scale, of_error *error) {
    size_t width = of_mixing_width(model, scale);
    bool shuffle = model->architecture.permutation == OF_PERMUTATION_SHUFFLE;
    double *rotation = shuffle ? NULL : of_allocate(width, width * sizeof *rotation);
    of_status status = OF_OK;
    if (!shuffle && rotation == NULL)
        return of_fail_memory(error, "a random rotation");
    for (uint32_t i = 0; status == OF_OK && i < of_architecture_mixings(&model->architecture);
         i++) {
        const of_step_parameters *step = &model->scales[scale].steps[i];
        draw_normal(model, seed, step->conv1_weight);
        draw_normal(model, seed, step->conv2_weight);
        draw_normal(model, seed, step->fc1_weight);
        draw_normal(model, seed, step->fc2_weight);
        set_ones(model, step->in_scale);
        set_ones(model, step->gain);
        status = draw_mixing(model, seed, scale, i, rotation, error);
    }
    of_free(rotation);
    return status;
}

of_status of_model_create(const of_architecture *architecture, uint64_t seed, of_model **model,
                          of_error *error) {
    of_model *created;
    if (architecture == NULL || model == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_model_create: a required argument is NULL");
    of_status status = of_model_allocate(architecture, &created, error);
    if (status != OF_OK)
        return status;
    uint32_t scale_count = of_architecture_scale_count(&created->architecture);
    for (uint32_t scale = 0; status == OF_OK && scale < scale_count; scale++)
        status = draw_scale(created, seed, scale, error);
    if (status == OF_OK)
        *model = created;
    else
        of_model_free(created);
    return status;
}
