/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over lanes that lie in several ranks. The communicator's thread moves them on while the
 * others compute. */
#ifndef OF_RANKS_REDUCTION_H
#define OF_RANKS_REDUCTION_H

#include "ranks/communicator.h"
#include "ranks/lane_tree.h"

/* A batch is divided among `lanes` (graph/gradient.h), of which rank r has those from
 * of_first_lane(lanes, size, r) to before that of r + 1. Sums of lanes are added in one tree,
 * whichever rank has them: lane l and l + 1 for even l, l and l + 2 for l divisible by 4, ... */
/* lane[0] becomes the sum of all in the tree's order; the others are used up. */
void of_add_lanes(double *const *lane, unsigned lanes, size_t count);

typedef struct of_reduction of_reduction;

typedef struct of_reduction_options {
    unsigned lanes;            /* of all ranks */
    float *const *blocks;      /* of the own lanes: blocks[0] gets the sums over all ranks */
    bool added;                /* the rank's branches are added up already, each in its first lane's
                                  block, which other lanes may share then */
    size_t floats;             /* of the largest part */
    unsigned parts;            /* that are reduced at a time, at most */
    const of_kernels *kernels; /* sums are rounded to bfloat16, and sent as such; NULL: floats */
} of_reduction_options;

of_status of_reduction_open(of_communicator *communicator, const of_reduction_options *options,
                            of_reduction **reduction, of_error *error);
/* Accepts NULL. */
void of_reduction_close(of_reduction *reduction);

/* From now on, until it is waited for, the part of the blocks belongs to the reduction. From any
 * thread; all ranks start the same parts in the same order. */
void of_reduction_start(of_reduction *reduction, size_t begin, size_t count);
/* Waits for all that was started. */
of_status of_reduction_wait(of_reduction *reduction, of_error *error);
/* Seconds from the start of the first part to the end of the last, of the reduction waited for
 * last; and those of them that were spent waiting. */
double of_reduction_seconds(const of_reduction *reduction, double *waited);

#endif
