/* SPDX-License-Identifier: Apache-2.0 */
/* The table of parameters of an architecture: names and shapes as in the weight file, in the
 * order in which they are written there. */
#include "model/parameters.h"

#include "core/error.h"
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2^30 values: 4 GiB as floats. */
static const size_t max_values = (size_t)1 << 30;

/* A growing table. After a failure, adding does nothing and `status` says why. */
typedef struct builder {
    of_model *model;
    size_t capacity, values;
    of_status status;
    of_error *error;
    char prefix[64]; /* of the names being added, without the final dot */
} builder;

typedef struct shape {
    uint32_t rank;
    uint64_t sizes[4];
} shape;

static shape vector(size_t size) {
    return (shape){1, {size}};
}

static shape matrix(size_t rows, size_t columns) {
    return (shape){2, {rows, columns}};
}

static shape edge(size_t outputs) {
    return (shape){3, {outputs, 3, 3}};
}

static shape kernel(size_t outputs, size_t inputs, size_t side) {
    return (shape){4, {outputs, inputs, side, side}};
}

static bool grow(builder *table) {
    size_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
    of_parameter *parameters =
        realloc(table->model->parameters, capacity * sizeof *table->model->parameters);
    if (parameters == NULL) {
        table->status = of_fail_memory(table->error, "the table of parameters");
        return false;
    }
    table->model->parameters = parameters;
    table->capacity = capacity;
    return true;
}

/* Values of a shape, or more than max_values when they are too many. */
static size_t count_values(const shape *dimensions) {
    size_t count = 1;
    for (uint32_t i = 0; i < dimensions->rank; i++)
        if (!of_multiply(count, dimensions->sizes[i], &count))
            return max_values + 1;
    return count;
}

/* Appends prefix.suffix; returns its number. */
static int add(builder *table, const char *suffix, of_parameter_kind kind, shape dimensions) {
    of_model *model = table->model;
    if (table->status != OF_OK || (model->parameter_count == table->capacity && !grow(table)))
        return OF_NO_PARAMETER;
    size_t count = count_values(&dimensions);
    if (count > max_values - table->values) {
        table->status = of_fail(table->error, OF_ERROR_UNSUPPORTED,
                                "the architecture has more than %zu parameters", max_values);
        return OF_NO_PARAMETER;
    }
    of_parameter *parameter = &model->parameters[model->parameter_count];
    *parameter = (of_parameter){
        .rank = dimensions.rank, .count = count, .offset = model->value_bytes, .kind = kind};
    memcpy(parameter->shape, dimensions.sizes, sizeof parameter->shape);
    (void)snprintf(parameter->name, sizeof parameter->name, "%s.%s", table->prefix, suffix);
    size_t size = kind == OF_PARAMETER_INDEX ? sizeof(int64_t) : sizeof(float);
    model->value_bytes += of_round_up(count * size, OF_ALIGNMENT);
    table->values += count;
    return (int)model->parameter_count++;
}

static int add_trained(builder *table, const char *suffix, shape dimensions) {
    return add(table, suffix, OF_PARAMETER_TRAINED, dimensions);
}

static void add_mixing(builder *table, of_step_parameters *step, size_t width) {
    const of_architecture *architecture = &table->model->architecture;
    shape square = matrix(width, width);
    switch (architecture->permutation) {
    case OF_PERMUTATION_INVCONV:
        if (!architecture->lu) {
            step->weight = add_trained(table, "mix.weight", square);
            break;
        }
        step->permutation = add(table, "mix.permutation", OF_PARAMETER_FIXED, square);
        step->sign = add(table, "mix.sign", OF_PARAMETER_FIXED, vector(width));
        step->lower = add_trained(table, "mix.lower", square);
        step->log_diag = add_trained(table, "mix.log_diag", vector(width));
        step->upper = add_trained(table, "mix.upper", square);
        break;
    case OF_PERMUTATION_INVCONV_FIXED:
        step->weight = add(table, "mix.weight", OF_PARAMETER_FIXED, square);
        break;
    case OF_PERMUTATION_SHUFFLE:
        step->indices = add(table, "mix.indices", OF_PARAMETER_INDEX, vector(width));
        break;
    }
}

static void add_convolutions(builder *table, of_step_parameters *step, size_t inputs,
                             size_t outputs) {
    const of_architecture *architecture = &table->model->architecture;
    size_t hidden = architecture->hidden;
    if (architecture->net_input == OF_NET_INPUT_AFFINE_RELU) {
        step->in_scale = add_trained(table, "net.in.scale", vector(inputs));
        step->in_shift = add_trained(table, "net.in.shift", vector(inputs));
    }
    step->conv1_weight = add_trained(table, "net.conv1.weight", kernel(hidden, inputs, 3));
    if ((architecture->edges & OF_EDGES_CONV1) != 0)
        step->conv1_edge = add_trained(table, "net.conv1.edge", edge(hidden));
    step->conv1_loc = add_trained(table, "net.conv1.actnorm.loc", vector(hidden));
    step->conv1_log_scale = add_trained(table, "net.conv1.actnorm.log_scale", vector(hidden));
    step->conv2_weight = add_trained(table, "net.conv2.weight", kernel(hidden, hidden, 1));
    step->conv2_loc = add_trained(table, "net.conv2.actnorm.loc", vector(hidden));
    step->conv2_log_scale = add_trained(table, "net.conv2.actnorm.log_scale", vector(hidden));
    step->conv3_weight = add_trained(table, "net.conv3.weight", kernel(outputs, hidden, 3));
    if ((architecture->edges & OF_EDGES_CONV3) != 0)
        step->conv3_edge = add_trained(table, "net.conv3.edge", edge(outputs));
    step->conv3_bias = add_trained(table, "net.conv3.bias", vector(outputs));
    step->conv3_log_scale = add_trained(table, "net.conv3.log_scale", vector(outputs));
}

static void add_linear_layers(builder *table, of_step_parameters *step, size_t inputs,
                              size_t outputs) {
    size_t hidden = table->model->architecture.hidden;
    step->fc1_weight = add_trained(table, "net.fc1.weight", matrix(hidden, inputs));
    step->fc1_bias = add_trained(table, "net.fc1.bias", vector(hidden));
    step->fc2_weight = add_trained(table, "net.fc2.weight", matrix(hidden, hidden));
    step->fc2_bias = add_trained(table, "net.fc2.bias", vector(hidden));
    step->fc3_weight = add_trained(table, "net.fc3.weight", matrix(outputs, hidden));
    step->fc3_bias = add_trained(table, "net.fc3.bias", vector(outputs));
}

/* Every member is a number of a parameter. */
static void set_absent(of_step_parameters *step) {
    memset(step, 0xff, sizeof *step);
}

/* ActNorm and mixing: what a step begins with and the whole of a closing map. */
static void add_map(builder *table, of_step_parameters *step, size_t width) {
    set_absent(step);
    step->actnorm_loc = add_trained(table, "actnorm.loc", vector(width));
    step->actnorm_log_scale = add_trained(table, "actnorm.log_scale", vector(width));
    add_mixing(table, step, width);
}

static void add_step(builder *table, of_step_parameters *step, of_scale_shape state) {
    const of_architecture *architecture = &table->model->architecture;
    bool dense = architecture->block == OF_BLOCK_DENSE;
    size_t width = dense ? state.dimensions : state.channels;
    size_t outputs = architecture->coupling == OF_COUPLING_AFFINE ? width : width / 2;
    add_map(table, step, width);
    if (dense)
        add_linear_layers(table, step, width / 2, outputs);
    else
        add_convolutions(table, step, width / 2, outputs);
    if (architecture->scale_map == OF_SCALE_MAP_TANH)
        step->gain = add_trained(table, "net.gain", vector(width / 2));
}

static void add_split(builder *table, of_scale_parameters *tree, of_scale_shape state) {
    const of_architecture *architecture = &table->model->architecture;
    size_t channels = state.channels, passed = channels - state.latent_channels;
    tree->split_weight = tree->split_edge = OF_NO_PARAMETER;
    tree->split_bias = tree->split_log_scale = OF_NO_PARAMETER;
    if (architecture->split_prior != OF_SPLIT_PRIOR_CONV || passed == 0)
        return;
    tree->split_weight = add_trained(table, "split.weight", kernel(channels, passed, 3));
    if ((architecture->edges & OF_EDGES_SPLIT) != 0)
        tree->split_edge = add_trained(table, "split.edge", edge(channels));
    tree->split_bias = add_trained(table, "split.bias", vector(channels));
    tree->split_log_scale = add_trained(table, "split.log_scale", vector(channels));
}

static void add_scale(builder *table, uint32_t scale) {
    of_model *model = table->model;
    of_scale_parameters *tree = &model->scales[scale];
    of_scale_shape state = of_architecture_scale(&model->architecture, scale);
    uint32_t steps = model->architecture.steps;
    tree->steps =
        of_allocate_zeroed(of_architecture_mixings(&model->architecture), sizeof *tree->steps);
    if (tree->steps == NULL) {
        table->status = of_fail_memory(table->error, "the flow steps of a model");
        return;
    }
    for (uint32_t step = 0; step < steps; step++) {
        (void)snprintf(table->prefix, sizeof table->prefix, "scales.%u.steps.%u", scale, step);
        add_step(table, &tree->steps[step], state);
    }
    if (model->architecture.closing) {
        (void)snprintf(table->prefix, sizeof table->prefix, "scales.%u.closing", scale);
        add_map(table, &tree->steps[steps], state.channels);
    }
    (void)snprintf(table->prefix, sizeof table->prefix, "scales.%u", scale);
    add_split(table, tree, state);
    tree->prior_loc = add_trained(table, "prior.loc", vector(state.latents));
    tree->prior_log_scale = add_trained(table, "prior.log_scale", vector(state.latents));
}

static void add_classes(builder *table, uint32_t scale_count) {
    of_model *model = table->model;
    size_t classes = model->architecture.classes;
    if (classes == 0 || table->status != OF_OK)
        return;
    model->classes = of_allocate_zeroed(classes * scale_count, sizeof *model->classes);
    if (model->classes == NULL) {
        table->status = of_fail_memory(table->error, "the class densities of a model");
        return;
    }
    for (size_t i = 0; i < classes * scale_count; i++) {
        uint32_t scale = (uint32_t)(i % scale_count);
        shape latents = vector(of_architecture_scale(&model->architecture, scale).latents);
        of_class_parameters *density = &model->classes[i];
        (void)snprintf(table->prefix, sizeof table->prefix, "classes.%zu.scales.%u",
                       i / scale_count, scale);
        density->loc = add_trained(table, "actnorm.loc", latents);
        density->log_scale = add_trained(table, "actnorm.log_scale", latents);
        density->mean = add_trained(table, "mean", latents);
        density->log_std = add_trained(table, "log_std", latents);
    }
}

typedef struct named {
    const char *name;
    uint32_t number;
} named;

static int compare_names(const void *first, const void *second) {
    return strcmp(((const named *)first)->name, ((const named *)second)->name);
}

static of_status index_names(of_model *model, of_error *error) {
    size_t count = model->parameter_count;
    named *names = calloc(count, sizeof *names);
    model->by_name = calloc(count, sizeof *model->by_name);
    if (names == NULL || model->by_name == NULL) {
        free(names);
        return of_fail_memory(error, "the index of parameters");
    }
    for (size_t i = 0; i < count; i++)
        names[i] = (named){model->parameters[i].name, (uint32_t)i};
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++)
        model->by_name[i] = names[i].number;
    free(names);
    return OF_OK;
}

int of_model_find(const of_model *model, const char *name) {
    size_t low = 0, high = model->parameter_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t number = model->by_name[middle];
        int order = strcmp(name, model->parameters[number].name);
        if (order == 0)
            return (int)number;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return OF_NO_PARAMETER;
}

of_status of_model_describe(const of_architecture *architecture, of_model **model,
                            of_error *error) {
    of_status status = of_architecture_check(architecture, error);
    if (status != OF_OK)
        return status;
    of_model *described = calloc(1, sizeof *described);
    if (described == NULL)
        return of_fail_memory(error, "a model");
    of_architecture *own = &described->architecture;
    (void)of_architecture_read(architecture, own, NULL); /* as it was checked */
    own->lu = own->lu && own->permutation == OF_PERMUTATION_INVCONV;
    builder table = {.model = described, .status = OF_OK, .error = error};
    uint32_t scale_count = of_architecture_scale_count(own);
    for (uint32_t scale = 0; scale < scale_count && table.status == OF_OK; scale++)
        add_scale(&table, scale);
    add_classes(&table, scale_count);
    status = table.status == OF_OK ? index_names(described, error) : table.status;
    if (status != OF_OK) {
        of_model_free(described);
        return status;
    }
    *model = described;
    return OF_OK;
}

of_status of_model_allocate_values(of_model *model, of_error *error) {
    model->values = of_allocate_zeroed(model->value_bytes, 1);
    return model->values == NULL ? of_fail_memory(error, "the values of a model") : OF_OK;
}

of_status of_model_allocate(const of_architecture *architecture, of_model **model,
                            of_error *error) {
    of_model *allocated;
    of_status status = of_model_describe(architecture, &allocated, error);
    if (status != OF_OK)
        return status;
    status = of_model_allocate_values(allocated, error);
    if (status != OF_OK) {
        of_model_free(allocated);
        return status;
    }
    *model = allocated;
    return OF_OK;
}
