/* SPDX-License-Identifier: Apache-2.0 */
/* The tree in which lanes of several ranks are added, on slices of a part. */
#ifndef OF_RANKS_LANE_TREE_H
#define OF_RANKS_LANE_TREE_H

#include "kernels.h"

#include <stdbool.h>
#include <stddef.h>

/* A whole branch of the tree that lies in one rank: lanes from `lane` on, `size` of them or, at the
 * end, fewer. It is number `turn` of that rank. */
typedef struct of_branch {
    unsigned lane, size, rank, turn;
} of_branch;

typedef struct of_lane_tree {
    unsigned lanes, ranks;
    unsigned branch_count;
    of_branch *branches;       /* [lanes] room, [branch_count] in the order of lanes */
    const of_kernels *kernels; /* for rounding; NULL: sums stay floats */
} of_lane_tree;

unsigned of_first_lane(unsigned lanes, unsigned ranks, unsigned rank);

/* tree->branches has room; the number of lanes and ranks is set. */
void of_tree_list_branches(of_lane_tree *tree);

/* NULL: the rank has no such branch. */
const of_branch *of_tree_find(const of_lane_tree *tree, unsigned rank, unsigned turn);

/* Adds a branch's lanes up in the first one's block. lane[l]: those of the branch's rank, of which
 * the first one is `first`. Where sums are rounded, the lanes are, too. */
void of_tree_add_branch(const of_lane_tree *tree, const of_branch *branch, float *const *lane,
                        unsigned first, size_t begin, size_t count);

/* The sums of slices of all branches, [branch_count][slice] floats, or bfloat16 numbers where sums
 * are rounded: in place of the first one. */
void of_tree_add_slices(const of_lane_tree *tree, void *slices, size_t slice);

/* Rounded floats to bfloat16 numbers in the first half of their place; and back from the second
 * half, where messages bring them. */
void of_tree_pack(const of_lane_tree *tree, float *values, size_t count);
void of_tree_unpack(float *values, size_t count);

#endif
