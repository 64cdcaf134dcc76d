/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over lanes that lie in several ranks. The communicator's thread moves them on while the
 * others compute. */
#ifndef OF_RANKS_REDUCTION_H
#define OF_RANKS_REDUCTION_H

#include "ranks/communicator.h"

/* A batch is divided among `lanes` (graph/gradient.h), of which rank r has those from
 * of_first_lane(lanes, size, r) to before that of r + 1. Sums of lanes are added in one tree,
 * whichever rank has them: lane l and l + 1 for even l, l and l + 2 for l divisible by 4, ... */
unsigned of_first_lane(unsigned lanes, unsigned ranks, unsigned rank);

/* lane[0] becomes the sum of all in the tree's order; the others are used up. */
void of_add_lanes(double *const *lane, unsigned lanes, size_t count);

typedef struct of_reduction of_reduction;

/* blocks: those of the own lanes, each of `floats`, which become the sums over all ranks in
 * blocks[0]. At most `parts` parts of them are reduced at a time. */
of_status of_reduction_open(of_communicator *communicator, unsigned lanes, float *const *blocks,
                            size_t floats, unsigned parts, of_reduction **reduction,
                            of_error *error);
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
