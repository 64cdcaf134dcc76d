/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan has for training. Gradients are first collected with respect to what the kernels
 * use (folded maps, layers and priors), a block of floats a lane, and turned into gradients of
 * the stored parameters once a batch.
 *
 * A group of images goes forward and back through the graph in one thread. Its gradient of one
 * step is summed in the thread's own memory and then added to the lane's block, in the order of the
 * groups: so the sums do not depend on the threads, and one block serves all of them. */
#ifndef OF_GRAPH_TRAINING_H
#define OF_GRAPH_TRAINING_H

#include "graph/gradient.h"
#include "graph/run.h"

#ifdef __cplusplus /* benchmarks */
#include <atomic>
using std::atomic_size_t;
using std::atomic_uint;
#else
#include <stdatomic.h>
#endif

enum { OF_MOST_LANES = 64, OF_TRAINING_GROUP = 8 };

/* Where the folded gradients of a scale stand, in floats. The same places later take the gradients
 * of the parameters, so there is room for either. */
typedef struct of_gradient_layout {
    size_t steps;                    /* of step 0 in a lane's block; the others follow */
    size_t priors;                   /* of the priors in a lane's block */
    size_t step_room, prior_room;    /* of a step, of the priors */
    size_t step_floats;              /* folded, of a step: */
    size_t matrix, bias;             /* of the map: [channels][channels], [channels] */
    size_t layer_bias[OF_LAYERS];    /* [hidden], [hidden], [outputs] */
    size_t weights[OF_LAYERS];       /* FIRST [hidden][gather_stride], MIDDLE [hidden][hidden],
                                           LAST [tap_stride][hidden]; they come last */
    size_t prior_floats;             /* folded, of the priors: */
    size_t prior_scale, prior_shift; /* [latents], position-major */
    size_t class_scale, class_shift; /* [classes][latents] */
} of_gradient_layout;

/* Sums of a lane, or of one group. */
typedef struct of_lane {
    float *block;            /* NULL for a group */
    bool holds;              /* something that later groups are added to */
    double logp_gradient;    /* sum over units of dL/dlogp */
    double *class_gradients; /* [classes], sum over units */
} of_lane;

/* Buffers of one thread for the backward pass. */
typedef struct of_backward_buffers {
    of_arena arena;
    const of_gradient_layout *layouts; /* [scales] */
    of_kept kept;
    float *g_pass[OF_MAX_SCALES], *g_rest[OF_MAX_SCALES];    /* [group units][positions][half] */
    float *g_coefficients, *g_taps, *g_hidden[2], *gathered; /* of one chunk */
    float *g_latents, *latents;                              /* of one unit */
    float *sums;               /* a group's gradient of one step, or of a scale's priors */
    float *weights[OF_LAYERS]; /* of one step, as of_data_product takes them */
    of_folded_layer folded;    /* on the way to `weights` */
    of_lane group;             /* sums of a group */
    double *logp_gradients;    /* [group images] */
    double *class_gradients;   /* [group images][classes] */
} of_backward_buffers;

struct of_training_plan {
    of_plan *plan;       /* refreshed in place */
    of_session *session; /* with all of its threads */
    unsigned lanes;
    size_t memory_bytes; /* budget for kept hidden activations */
    double kept_share;   /* of hidden activations */
    of_arena arena;
    of_gradient_layout layouts[OF_MAX_SCALES];
    size_t *places; /* of each trained parameter's gradient in lane 0's block */
    size_t block_floats;
    of_lane lane[OF_MOST_LANES];
    double *layer_seconds;                /* profile, see of_training_profile, or NULL */
    const of_gradient_exchange *exchange; /* of the next call, NULL: none */
    bool exchanged;                       /* lane 0 has the sums over lanes */
    unsigned buffer_count;                /* threads that can work */
    of_backward_buffers *buffers;
};

/* Groups of a call that a scale still waits for. */
typedef struct of_scale_watch {
    const of_training_plan *training;
    const of_gradient_exchange *exchange;
    atomic_size_t left[OF_MAX_SCALES];
} of_scale_watch;

/* One group's place in the order of its lane. `done` counts the turns that a group has taken. */
typedef struct of_turns {
    of_lane *lane;
    atomic_uint *done;
    const atomic_uint *before; /* of the group before it in the lane, or NULL */
    bool first;                /* nothing to add to */
    of_scale_watch *watch;     /* NULL: nobody wants to know */
} of_turns;

/* training_buffers.c: sets training->kept_share as well. */
of_status of_backward_buffers_allocate(of_training_plan *training, of_backward_buffers *buffers,
                                       of_error *error);

/* Backward pass of a group whose forward pass has just been run with `buffers->kept`; adds to the
 * lane. `logp_gradients` and, with classes, `class_gradients` of the buffers are set, and their
 * sums in buffers->group. */
of_status of_backward_group(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t images, of_error *error);

/* One scale of it: its priors and steps. Where the scale is split, g_rest holds what came from the
 * next one. */
of_status of_backward_scale(const of_run *run, const of_model *model, of_backward_buffers *buffers,
                            const of_turns *turns, uint32_t scale, uint32_t images,
                            of_error *error);

/* Turns the folded gradients of lane 0, in place, into gradients of the stored parameters. */
of_status of_unfold_gradients(const of_training_plan *training, const of_model *model,
                              of_error *error);

#endif
