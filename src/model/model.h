/* SPDX-License-Identifier: Apache-2.0 */
/* A model: one table of parameters over one aligned block of memory, the tree of where each
 * stands in that table, and metadata strings. Gradients and optimizer state use blocks of the
 * same layout (of_model_value_bytes bytes, each parameter at its `offset`). */
#ifndef OF_MODEL_MODEL_H
#define OF_MODEL_MODEL_H

#include <outflow/outflow.h>

enum {
    OF_PATCH_SIZE = 8,
    OF_NO_PARAMETER = -1,
    OF_ALL_EDGES = OF_EDGES_CONV1 | OF_EDGES_CONV3 | OF_EDGES_SPLIT
};

/* Architectures are read where a caller's come in; inside the library every one is complete. `own`
 * is the default where `given` cannot be read. */
of_status of_architecture_read(const of_architecture *given, of_architecture *own, of_error *error);

/* Geometry of one scale, after its squeeze. For patch-glow: of one patch. */
typedef struct of_scale_shape {
    uint32_t channels, height, width; /* C, H, W of the flow state */
    uint32_t latent_channels;         /* C/2, or C on the last scale */
    uint32_t dimensions;              /* C*H*W */
    uint32_t latents;                 /* latent_channels*H*W */
} of_scale_shape;

of_scale_shape of_architecture_scale(const of_architecture *architecture, uint32_t scale);

/* Checks that one image can be given to both; OF_ERROR_MISMATCH names the two sizes and `what` the
 * other model is ("the general model"). */
of_status of_architecture_check_images(const of_architecture *architecture,
                                       const of_architecture *other, const char *what,
                                       of_error *error);

/* Mixing matrices of a scale: one a step, and that of the closing map. */
uint32_t of_architecture_mixings(const of_architecture *architecture);

/* The "architecture" JSON of a weight file. `place` names the file in messages. Unknown keys are
 * refused; keys that are absent take the default. */
of_status of_architecture_parse(const char *json, const char *place, of_architecture *architecture,
                                of_error *error);

/* D ln(other_bin / bin): what a difference of nll has besides that of logp, where a model of the
 * same images with `other_bin` is subtracted from this one; 0 for an other_bin of 0. */
double of_bin_difference(const of_architecture *architecture, double other_bin);

typedef enum of_parameter_kind {
    OF_PARAMETER_TRAINED,
    OF_PARAMETER_FIXED, /* float constants: LU permutation and sign, fixed mixing */
    OF_PARAMETER_INDEX  /* int64 channel indices */
} of_parameter_kind;

typedef struct of_parameter {
    char name[96];
    uint32_t rank;
    uint64_t shape[4];
    size_t count;  /* values */
    size_t offset; /* bytes from the start of the block, a multiple of OF_ALIGNMENT */
    of_parameter_kind kind;
} of_parameter;

/* Numbers of parameters in the table; OF_NO_PARAMETER where the architecture has none. */
typedef struct of_step_parameters {
    int actnorm_loc, actnorm_log_scale;
    int permutation, sign, lower, log_diag, upper;            /* invconv with LU */
    int weight;                                               /* invconv plain or fixed */
    int indices;                                              /* shuffle */
    int in_scale, in_shift;                                   /* [C/2], net_input affine-relu */
    int conv1_weight, conv1_edge, conv1_loc, conv1_log_scale; /* edge [hidden,3,3] */
    int conv2_weight, conv2_loc, conv2_log_scale;
    int conv3_weight, conv3_edge, conv3_bias, conv3_log_scale; /* edge [outputs,3,3] */
    int fc1_weight, fc1_bias, fc2_weight, fc2_bias, fc3_weight, fc3_bias;
    int gain; /* [C/2], scale map tanh */
} of_step_parameters;

typedef struct of_scale_parameters {
    /* [steps], with a closing map [steps + 1]: the last one is then that map, an ActNorm and a
     * mixing alone */
    of_step_parameters *steps;
    /* Split prior: [C,C/2,3,3], [C,3,3], [C], [C], C = 2 * latent_channels, rows mean and log_std
     * in turn. */
    int split_weight, split_edge, split_bias, split_log_scale;
    int prior_loc, prior_log_scale;
} of_scale_parameters;

typedef struct of_class_parameters { /* one class on one scale */
    int loc, log_scale, mean, log_std;
} of_class_parameters;

typedef struct of_metadata_entry {
    char *key, *value;
} of_metadata_entry;

struct of_model {
    of_architecture architecture;
    size_t parameter_count; /* entries of the table */
    of_parameter *parameters;
    uint32_t *by_name;  /* numbers of the parameters in the order of their names */
    size_t value_bytes; /* of the block */
    unsigned char *values;
    of_scale_parameters scales[OF_MAX_SCALES];
    of_class_parameters *classes; /* [classes][scale_count] */
    size_t metadata_count;
    of_metadata_entry *metadata; /* without "format", "version" and "architecture" */
};

/* Builds the table and tree for an architecture with all values zero. */
of_status of_model_allocate(const of_architecture *architecture, of_model **model, of_error *error);

/* Values of a parameter; NULL for OF_NO_PARAMETER. */
static inline float *of_model_values(const of_model *model, int parameter) {
    return parameter < 0 ? NULL
                         : (float *)(void *)(model->values + model->parameters[parameter].offset);
}

static inline int64_t *of_model_indices(const of_model *model, int parameter) {
    return parameter < 0 ? NULL
                         : (int64_t *)(void *)(model->values + model->parameters[parameter].offset);
}

/* Number of the parameter with this name, or OF_NO_PARAMETER. */
int of_model_find(const of_model *model, const char *name);

#endif
