/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of lanes, in one tree, whichever process has which of them: lane l and l + 1 for even l, the
 * sums of these two and the next two for l divisible by 4, ... Where blocks for all lanes would be
 * large, lanes are taken in turn: they use a few blocks as a stack, on which the finished branches
 * of the tree lie, and a lane that completes branches is added to them at once. */
#ifndef OF_GRAPH_LANES_H
#define OF_GRAPH_LANES_H

#include "graph/training.h"

/* Sets how lanes share blocks, and allocates these. */
of_status of_lanes_open(of_training_plan *training, const of_training_options *options,
                        of_error *error);

/* Rounds of a lane's groups in a batch of `count` images divided among `lanes`. */
size_t of_lane_rounds(const of_plan *plan, size_t count, size_t lanes, size_t lane);

/* A group's sums of a part to the lane's, in the group's turn; `sums` is used up. */
void of_lanes_take(const of_turns *turns, const of_kernels *kernels, float *sums, size_t place,
                   size_t floats);

/* After all groups: the sum of all lanes in lane 0. */
void of_lanes_add(of_training_plan *training, unsigned lanes);

/* Floats to what bfloat16 keeps of them, as floats. */
void of_round_floats(const of_kernels *kernels, float *values, size_t count);

#endif
