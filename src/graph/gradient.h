/* SPDX-License-Identifier: Apache-2.0 */
/* Training through a plan that was compiled with options for it: gradients of a loss of the
 * images' log-likelihoods with respect to the stored parameters, and what surrounds them.
 *
 * A batch is divided among a fixed number of lanes (image i belongs to lane i mod lanes); a lane
 * adds its images' gradients in order, and the lanes are added in a fixed order. So gradients do
 * not depend, in any bit, on the number of threads. */
#ifndef OF_GRAPH_GRADIENT_H
#define OF_GRAPH_GRADIENT_H

#include "model/model.h"

#include <outflow/outflow.h>

typedef struct of_training_options {
    unsigned threads;
    of_isa isa;
    unsigned lanes;      /* 1..64; threads beyond it idle; part of a run's identity */
    size_t memory_bytes; /* budget for kept activations of all threads; 0: chosen */
} of_training_options;

/* Compiles a plan for training. Forward calls work on it as on any plan. */
of_status of_plan_compile_training(const of_model *model, const of_training_options *options,
                                   of_plan **plan, of_error *error);

/* Takes over changed parameter values of the same architecture. */
of_status of_plan_refresh(of_plan *plan, const of_model *model, of_error *error);

/* Gradient of the loss with respect to one image's log-likelihood. Called once an image, from
 * several threads, as soon as its forward pass is done. For models with classes, class_logp
 * [classes] is given and class_gradient [classes] (zeroed before) is to be filled; else the
 * return value is the gradient with respect to logp. */
typedef double (*of_loss_gradient)(void *user, size_t image, double logp, const double *class_logp,
                                   double *class_gradient);

/* Forward and backward for a batch. Results of the forward pass go to `out` as in
 * of_plan_forward (latents must be NULL). Gradients are added to `gradient`, a block of
 * model->value_bytes bytes laid out like the model's values; those of fixed parameters, and
 * outside the LU masks, stay untouched. `model` must hold the values of the last refresh. */
of_status of_plan_gradient(of_plan *plan, const of_model *model, const of_batch *batch,
                           const of_likelihoods *out, of_loss_gradient loss, void *user,
                           unsigned char *gradient, of_error *error);

/* ---- Where the time of a step goes ---- */

/* Layers of a training plan: those of of_plan_layer; for each scale the parts of its backward pass;
 * and what is done once a batch. FLOP and bytes are of one image, except that layers done once a
 * batch have images_per_call 0 and no FLOP. */
size_t of_plan_training_layer_count(const of_plan *plan);
of_status of_plan_training_layer(const of_plan *plan, size_t index, of_layer_info *info,
                                 of_error *error);

/* of_plan_gradient with a clock around every layer; the plan must have one thread.
 * `layer_seconds` [of_plan_training_layer_count] gets the seconds spent in each. */
of_status of_plan_profile_gradient(of_plan *plan, const of_model *model, const of_batch *batch,
                                   const of_likelihoods *out, of_loss_gradient loss, void *user,
                                   unsigned char *gradient, double *layer_seconds, of_error *error);

/* Sets every ActNorm (flow, hidden, prior) of the model from data, so that its output has mean 0
 * and variance 1 per channel over the batch; variances are floored, so that constant channels do
 * no harm. Leaves the plan refreshed. */
of_status of_plan_initialise(of_plan *plan, of_model *model, const of_batch *batch,
                             of_error *error);

/* What training will take, in bytes: packed weights, gradients of all lanes, kept activations;
 * and whether hidden activations are kept or computed again. */
typedef struct of_training_memory {
    size_t weights, gradients, activations;
    bool recompute;
} of_training_memory;
of_training_memory of_plan_training_memory(const of_plan *plan);

#endif
