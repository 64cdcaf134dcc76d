/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan has for training. Gradients are first collected with respect to what the kernels
 * use (folded maps, layers and priors), a block of floats a lane, and turned into gradients of
 * the stored parameters once a batch. */
#ifndef OF_GRAPH_TRAINING_H
#define OF_GRAPH_TRAINING_H

#include "graph/gradient.h"
#include "graph/plan.h"

enum { OF_MOST_LANES = 64, OF_TRAINING_GROUP = 16 };

/* Where the folded gradients of a scale stand in a lane's block, in floats. Those of step k are
 * k * step_floats further. */
typedef struct of_gradient_layout {
    size_t matrix, bias;             /* of the map: [channels][channels], [channels] */
    size_t weights[OF_LAYER_MIX];    /* FIRST [hidden][gather_stride], MIDDLE [hidden][hidden],
                                        LAST [tap_stride][hidden] */
    size_t layer_bias[OF_LAYER_MIX]; /* [hidden], [hidden], [outputs] */
    size_t step_floats;
    size_t prior_scale, prior_shift; /* [latents], position-major */
    size_t class_scale, class_shift; /* [classes][latents] */
} of_gradient_layout;

/* Sums of a lane that are not floats of the block. */
typedef struct of_lane {
    float *block;
    double logp_gradient;    /* sum over units of dL/dlogp */
    double *class_gradients; /* [classes], sum over units */
} of_lane;

/* Buffers of one thread for the backward pass. */
typedef struct of_backward_buffers {
    of_arena arena;
    of_kept kept;
    float *g_pass[OF_MAX_SCALES], *g_rest[OF_MAX_SCALES];    /* [group units][positions][half] */
    float *g_coefficients, *g_taps, *g_hidden[2], *gathered; /* of one chunk */
    float *g_latents, *latents;                              /* of one unit */
    double *logp_gradients;                                  /* [group images] */
    double *class_gradients;                                 /* [group images][classes] */
} of_backward_buffers;

struct of_training {
    unsigned lanes;
    size_t memory_bytes; /* budget for kept hidden activations */
    bool recompute;
    of_arena arena;
    of_gradient_layout layouts[OF_MAX_SCALES];
    size_t block_floats;
    of_lane lane[OF_MOST_LANES];
    unsigned buffer_count;
    of_backward_buffers *buffers; /* [buffer_count] = min(threads, lanes) */
};

/* Backward pass of a group whose forward pass has just been run with `buffers->kept`; adds to the
 * lane. `logp_gradients` and, with classes, `class_gradients` of the buffers are set. */
of_status of_backward_group(const of_run *run, of_backward_buffers *buffers, of_lane *lane,
                            uint32_t images, of_error *error);

/* One scale of it: its priors and steps. Where the scale is split, g_rest holds what came from the
 * next one. */
of_status of_backward_scale(const of_run *run, of_backward_buffers *buffers, of_lane *lane,
                            uint32_t scale, uint32_t images, of_error *error);

/* Adds the lane's folded gradients, as gradients of the stored parameters, to `gradient`. */
of_status of_unfold_gradients(const of_plan *plan, const of_model *model, const of_lane *lane,
                              unsigned char *gradient, of_error *error);

#endif
