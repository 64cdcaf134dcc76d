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

/* Sums of a lane, or of one group. */
typedef struct of_lane {
    float *block;            /* NULL for a group; lanes in turn may share one, lanes.h */
    bool holds;              /* something that later groups are added to */
    double logp_gradient;    /* sum over units of dL/dlogp */
    double *class_gradients; /* [classes], sum over units */
    unsigned depth, ended;   /* lanes in turn: blocks below its own; how many of them it ends */
} of_lane;

/* Buffers of one thread for the backward pass. */
typedef struct of_backward_buffers {
    of_arena arena;
    of_kept kept;
    float *g_pass[OF_MAX_SCALES], *g_rest[OF_MAX_SCALES]; /* [group units][positions][half] */
    float *g_coefficients;                                /* of one chunk, as what follows */
    float *g_buffer[OF_BUFFERS]; /* of what ops write; STATE: neighbourhoods of what they read */
    float *g_latents, *latents;  /* of one unit */
    float *sums;                 /* a group's gradient of one step, or of a scale's priors */
    float *weights[OF_LAYERS];   /* of one step, as of_data_product takes them */
    of_folded_layer folded;      /* on the way to `weights` */
    void *product_scratch;       /* of weight_product_bf16 */
    of_lane group;               /* sums of a group */
    double *logp_gradients;      /* [group images] */
    double *class_gradients;     /* [group images][classes] */
} of_backward_buffers;

struct of_training_plan {
    of_plan *plan;       /* refreshed in place */
    of_session *session; /* with all of its threads */
    unsigned lanes;
    size_t memory_bytes; /* budget for kept hidden activations */
    double kept_share;   /* of hidden activations */
    of_arena arena;
    size_t *places; /* of each trained parameter's gradient in lane 0's block */
    size_t block_floats;
    of_lane lane[OF_MOST_LANES];
    unsigned first_lane, all_lanes; /* of all processes */
    bool in_turn;                   /* lanes share the stack's blocks */
    bool single_groups;             /* batches are of one group a lane at most */
    bool rounds;                    /* sums of the tree to bfloat16 */
    float *stack[OF_MOST_LANES];
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
    bool last;                 /* completes the lane */
    const of_training_plan *training;
    of_scale_watch *watch; /* NULL: nobody wants to know */
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

/* ---- What ops see ---- */

/* Units first..first+count of a scale on the way back. */
struct of_chunk {
    const of_run *run;
    const of_plan *plan;
    const of_scale_plan *scale;
    of_backward_buffers *buffers;
    float *sums; /* of the part */
    uint32_t s, first, count;
    size_t positions; /* of all units */
};

static inline void of_chunk_stop(const of_chunk *c, double start, uint32_t step, int stage) {
    of_profile_stop(c->run, start, of_training_layer_number(c->plan, c->s, step, stage));
}

/* The chunk's part of an array of states: of a kept one what step k left, of others all there is.
 */
static inline float *of_chunk_kept(const of_chunk *c, float *array, uint32_t k) {
    return array + of_kept_offset(c->plan, k, c->first, of_state_floats(c->scale));
}
static inline float *of_chunk_state(const of_chunk *c, float *array) {
    return array + c->first * of_state_floats(c->scale);
}

/* The chain rule from sums to parameters, once a batch, in double. */
struct of_unfolding {
    const of_training_plan *training;
    const of_plan *plan;
    const of_model *model;
    const of_lane *lane;
    const float *sums; /* of the part */
    double *matrices;  /* room for five of the largest map */
};

/* Where the gradient of a trained parameter goes, else NULL. */
static inline float *of_unfolding_gradient(const of_unfolding *t, int parameter) {
    if (parameter < 0 || t->model->parameters[parameter].kind != OF_PARAMETER_TRAINED)
        return NULL;
    return t->lane->block + t->training->places[parameter];
}

/* ---- op_convolution.c ---- */

/* The weights of the networks' way back for a tail's step, to buffers->weights. */
void of_fold_weights(const of_model *model, const of_op *tail, of_backward_buffers *buffers);

/* Adds the gradients of a last layer's outputs, [positions][units], at the image's edges to the
 * sums of its edge biases, if it has some. */
void of_add_edge_sums(const of_chunk *chunk, const of_op *op, const float *gradients);

/* Row by row, the transpose of a tap sum or, mirrored, the gathering of 3x3 neighbourhoods. */
void of_scatter_taps(const of_chunk *chunk, const of_tap_row *shape, const float *values,
                     bool mirrored, float *target);

/* The same for bfloat16 numbers, of which two are moved as though they were one float: they must
 * stand in even numbers, as halves of a state do. */
static inline of_tap_row of_paired_taps(of_tap_row shape) {
    shape.outputs /= 2;
    shape.stride /= 2;
    return shape;
}

/* ---- products.c: of gradients G, in what the layer multiplies ---- */

/* G^T X, to the sums of its weights: added up over the group's chunks. */
of_status of_layer_weight_product(const of_chunk *chunk, const of_op *op, const void *g,
                                  const void *x, of_error *error);

/* G W: gradients of what the layer read; floats if that is the state. */
of_status of_layer_data_product(const of_chunk *chunk, const of_op *op, const void *g, void *g_x,
                                of_error *error);

/* Clears G where ReLU did, and adds it up for the bias. */
void of_layer_relu(const of_chunk *chunk, const of_op *op, const void *activations, void *g);

/* unfold.c: turns the sums of lane 0, in place, into gradients of the stored parameters. */
of_status of_unfold_gradients(const of_training_plan *training, const of_model *model,
                              of_error *error);

#endif
