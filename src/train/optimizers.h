/* SPDX-License-Identifier: Apache-2.0 */
/* Applies gradients to the trained parameters of a model. Moments lie in blocks laid out like the
 * model's values. Work is divided into fixed pieces whose results are combined in their order, so
 * nothing depends on the number of threads. */
#ifndef OF_TRAIN_OPTIMIZERS_H
#define OF_TRAIN_OPTIMIZERS_H

#include "kernels.h"
#include "model/model.h"

typedef struct of_optimizer_options {
    of_optimizer_kind kind;
    double weight_decay; /* of all trained parameters: added to the gradient (Adamax, Adam) or
                            applied to the weights (AdamW), as torch.optim does */
    double beta1, beta2, epsilon;
    double clip; /* largest global L2 norm of the gradient of bits/dim; 0: not clipped */
    double ema;  /* decay of the averaged weights; 0: none are kept */
} of_optimizer_options;

/* Adamax, weight decay 5e-5, 0.9, 0.999, 1e-8, clip 50, no averages. */
of_optimizer_options of_optimizer_defaults(void);

/* Consecutive trained values: float number `begin` of the model's block, `count` of them, whose
 * gradients begin at float number `gradient`. */
typedef struct of_piece {
    size_t begin, gradient, count;
} of_piece;

typedef struct of_optimizer {
    of_optimizer_options options;
    const of_kernels *kernels;
    unsigned threads;
    size_t block_bytes, piece_count;
    size_t first_piece, end_piece; /* those that are updated here: all, unless set otherwise */
    of_piece *pieces;              /* in the order of the block */
    double *piece_sums;            /* [piece_count] */
    float *first, *second;         /* moments */
    float *average;                /* of the weights, NULL without ema */
} of_optimizer;

/* Moments are zero; averages, if any, start as the model's values. Gradients of parameter p will
 * stand at float number places[p]; NULL: as in the model's block. */
of_status of_optimizer_open(const of_optimizer_options *options, const of_model *model,
                            const size_t *places, const of_kernels *kernels, unsigned threads,
                            of_optimizer *optimizer, of_error *error);
void of_optimizer_close(of_optimizer *optimizer);

/* Global L2 norm of the trained parameters' gradients; not finite if one of them is not. */
double of_optimizer_norm(of_optimizer *optimizer, const float *gradients);

/* What a gradient of this norm is multiplied with so that its norm is at most `clip`; 0: 1. */
double of_clip_scale(double clip, double norm);

/* One update with the gradients times `scale`. `applied` is how many came before it. */
void of_optimizer_apply(of_optimizer *optimizer, of_model *model, const float *gradients,
                        double scale, double rate, uint64_t applied);

/* Then: averages, if any, take in the new weights. */
void of_optimizer_average(of_optimizer *optimizer, const of_model *model, uint64_t applied);

#endif
