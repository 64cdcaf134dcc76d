/* SPDX-License-Identifier: Apache-2.0 */
/* Training: a plan whose weights change, gradients of a loss of the images' log-likelihoods with
 * respect to the stored parameters, and what surrounds them.
 *
 * A batch is divided among a fixed number of lanes (image i belongs to lane i mod lanes), a lane
 * into groups of a fixed size. A lane adds its groups' gradients in order, and the lanes are added
 * in a fixed order. So gradients do not depend, in any bit, on the number of threads. */
#ifndef OF_GRAPH_GRADIENT_H
#define OF_GRAPH_GRADIENT_H

#include "model/model.h"

#include <outflow/outflow.h>

typedef struct of_training_options {
    unsigned threads;
    of_isa isa;
    of_precision precision; /* of the networks, forward and back; part of a run's identity */
    unsigned lanes;         /* 1..64: partial sums of the gradient, of which several may share a
                               block, see one_call */
    unsigned micro_batch;   /* images of a group; 0: 8. Both are part of a run's identity. */
    size_t batch;           /* images of most calls: no more threads than groups get memory */
    size_t memory_bytes;    /* budget for kept activations of all threads; 0: 40 MB a thread */
    /* Lanes of several processes: the number of all, and of those before the first one; 0: these
     * are all. */
    unsigned all_lanes, first_lane;
    of_precision sum_precision; /* BF16: each sum of the tree of lanes is rounded to bfloat16 */
    bool one_call;              /* no `add`: lanes may be taken in turn, with fewer blocks */
    size_t block_bytes;         /* which they are where all blocks would be larger; 0: 64 MB */
} of_training_options;

/* A plan of its own, with a session. It serves one caller at a time. */
typedef struct of_training_plan of_training_plan;

of_status of_training_compile(const of_model *model, const of_training_options *options,
                              of_training_plan **training, of_error *error);
void of_training_free(of_training_plan *training);

/* For forward passes with the weights of the last refresh. Lives as long as the plan. */
of_session *of_training_session(const of_training_plan *training);

/* Takes over changed parameter values of the same architecture. */
of_status of_training_refresh(of_training_plan *training, const of_model *model, of_error *error);

/* Gradient of the loss with respect to one image's log-likelihood. Called once an image, from
 * several threads, as soon as its forward pass is done. For models with classes, class_logp
 * [classes] is given and class_gradient [classes] (zeroed before) is to be filled; else the
 * return value is the gradient with respect to logp. */
typedef double (*of_loss_gradient)(void *user, size_t image, double logp, const double *class_logp,
                                   double *class_gradient);

/* Forward and backward for a batch. Results of the forward pass go to `out` as in
 * of_session_forward (latents must be NULL). The gradient stays in the plan; with `add` it is added
 * to that of the calls before. `model` must hold the values of the last refresh. */
of_status of_training_gradient(of_training_plan *training, const of_model *model,
                               const of_batch *batch, const of_likelihoods *out,
                               of_loss_gradient loss, void *user, bool add, of_error *error);

/* Lanes of one batch may lie in several processes: each has a plan with some of them. Then the sums
 * over lanes are made by whoever has a connection to the others. */
typedef struct of_gradient_exchange {
    void *user;
    /* The part of all lanes' blocks that belongs to a scale is complete. Called once a scale, the
     * last scale first, by one of the threads, while the others go on with the next scale. */
    void (*ready)(void *user, size_t begin, size_t count);
} of_gradient_exchange;

/* The next of_training_gradient is the last one before of_training_finish_gradient, which shall
 * find the sums over lanes in lane 0: its block by then, its scalars by
 * of_training_set_lane_scalars. */
void of_training_exchange_next(of_training_plan *training, const of_gradient_exchange *exchange);

/* Blocks of the lanes, each of the returned number of floats; and the part that belongs to a scale.
 */
size_t of_training_lane_blocks(const of_training_plan *training, float **blocks);
/* Lanes are taken in turn: when a part is ready, the block of a branch's first lane holds the sum
 * of all lanes of the branch, that is of the largest part of the tree that lies in this process. */
bool of_training_lanes_added(const of_training_plan *training);
size_t of_training_scale_part(const of_training_plan *training, uint32_t scale, size_t *begin);

/* Scalars of a lane: 1 + classes of them. */
void of_training_lane_scalars(const of_training_plan *training, unsigned lane, double *scalars);
void of_training_set_lane_scalars(of_training_plan *training, const double *scalars);

/* After the calls for a step: turns the sums, in place, into the gradients of the stored
 * parameters. The next of_training_gradient must be one without `add`. */
of_status of_training_finish_gradient(of_training_plan *training, const of_model *model,
                                      of_error *error);

/* The finished gradient: of parameter p at values + places[p]; zero outside the LU masks. Fixed
 * parameters have OF_NO_PLACE. Lives as long as the plan; places never change. */
#define OF_NO_PLACE SIZE_MAX
typedef struct of_gradient_view {
    float *values;
    const size_t *places; /* [parameters of the model] */
} of_gradient_view;
of_gradient_view of_training_gradient_view(const of_training_plan *training);

/* ---- Where the time of a step goes ---- */

/* Layers of a training plan: those of of_plan_layer; for each scale the parts of its backward pass;
 * and what is done once a batch. FLOP and bytes are of one image, except that layers done once a
 * batch have images_per_call 0 and no FLOP. */
size_t of_training_layer_count(const of_training_plan *training);
of_status of_training_layer(const of_training_plan *training, size_t index, of_layer_info *info,
                            of_error *error);

/* From now on every call adds the seconds spent in each layer to `layer_seconds`
 * [of_training_layer_count]; NULL: no longer. The plan must have one thread. */
of_status of_training_profile(of_training_plan *training, double *layer_seconds, of_error *error);

/* Sets every ActNorm (flow, hidden, prior) of the model from data, so that its output has mean 0
 * and variance 1 per channel over the batch; variances are floored, so that constant channels do
 * no harm. Leaves the plan refreshed. */
of_status of_training_initialise(of_training_plan *training, of_model *model, const of_batch *batch,
                                 of_error *error);

/* What training will take, in bytes: packed weights, gradients of all lanes, activations; and the
 * share of the hidden activations that is kept, not computed again. */
typedef struct of_training_memory {
    size_t weights, gradients, activations;
    double kept_share;
} of_training_memory;
of_training_memory of_training_memory_use(const of_training_plan *training);

#endif
