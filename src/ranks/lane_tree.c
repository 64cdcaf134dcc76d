/* SPDX-License-Identifier: Apache-2.0 */
#include "ranks/lane_tree.h"

#include "graph/lanes.h"

#include <stdint.h>
#include <string.h>

enum { PIECE = 512 }; /* values at a time, which stay in the cache */

unsigned of_first_lane(unsigned lanes, unsigned ranks, unsigned rank) {
    return (unsigned)((uint64_t)lanes * rank / ranks);
}

/* ---- Branches ----------------------------------------------------------------------------- */

void of_tree_list_branches(of_lane_tree *tree) {
    unsigned lanes = tree->lanes;
    tree->branch_count = 0;
    for (unsigned rank = 0; rank < tree->ranks; rank++) {
        unsigned end = of_first_lane(lanes, tree->ranks, rank + 1), turn = 0;
        for (unsigned lane = of_first_lane(lanes, tree->ranks, rank); lane < end;) {
            unsigned size = 1;
            while (lane % (2 * size) == 0 && size < lanes &&
                   (lane + 2 * size <= end || end == lanes))
                size *= 2;
            tree->branches[tree->branch_count++] = (of_branch){lane, size, rank, turn++};
            lane += size;
        }
    }
}

const of_branch *of_tree_find(const of_lane_tree *tree, unsigned rank, unsigned turn) {
    for (unsigned i = 0; i < tree->branch_count; i++)
        if (tree->branches[i].rank == rank && tree->branches[i].turn == turn)
            return &tree->branches[i];
    return NULL;
}

static unsigned whole_tree(unsigned lanes) {
    unsigned size = 1;
    while (size < lanes)
        size *= 2;
    return size;
}

static const of_branch *branch_at(const of_lane_tree *tree, unsigned lane, unsigned size) {
    for (unsigned i = 0; i < tree->branch_count; i++)
        if (tree->branches[i].lane == lane && tree->branches[i].size == size)
            return &tree->branches[i];
    return NULL;
}

/* ---- Own lanes ---------------------------------------------------------------------------- */

static void add(float *restrict to, const float *restrict from, size_t count) {
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

static void round_values(const of_lane_tree *tree, float *values, size_t count) {
    if (tree->kernels != NULL)
        of_round_floats(tree->kernels, values, count);
}

void of_tree_add_branch(const of_lane_tree *tree, const of_branch *branch, float *const *lane,
                        unsigned first, size_t begin, size_t count) {
    unsigned end = branch->lane + branch->size;
    end = end < tree->lanes ? end : tree->lanes;
    for (unsigned l = branch->lane; l < end; l++)
        round_values(tree, lane[l - first] + begin, count);
    for (unsigned distance = 1; distance < branch->size; distance *= 2)
        for (unsigned l = branch->lane; l + distance < end; l += 2 * distance) {
            add(lane[l - first] + begin, lane[l + distance - first] + begin, count);
            round_values(tree, lane[l - first] + begin, count);
        }
}

/* ---- Lanes of all ------------------------------------------------------------------------- */

/* The sum of a range of the tree, in place of its first branch. Ranges are as deep as log2(lanes).
 */
static float *add_range(const of_lane_tree *tree, float *slices, unsigned lane, unsigned size,
                        size_t slice) {
    const of_branch *branch = branch_at(tree, lane, size);
    if (branch != NULL)
        return slices + (size_t)(branch - tree->branches) * slice;
    float *left = add_range(tree, slices, lane, size / 2, slice);
    if (lane + size / 2 < tree->lanes)
        add(left, add_range(tree, slices, lane + size / 2, size / 2, slice), slice);
    return left;
}

static void widen(const uint16_t *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

/* The same for `count` values of rounded slices. */
static void add_piece(const of_lane_tree *tree, const uint16_t *slices, unsigned lane,
                      unsigned size, size_t slice, size_t count, float *sum) {
    const of_branch *branch = branch_at(tree, lane, size);
    float right[PIECE];
    if (branch != NULL) {
        widen(slices + (size_t)(branch - tree->branches) * slice, sum, count);
        return;
    }
    add_piece(tree, slices, lane, size / 2, slice, count, sum);
    if (lane + size / 2 >= tree->lanes)
        return;
    add_piece(tree, slices, lane + size / 2, size / 2, slice, count, right);
    add(sum, right, count);
    round_values(tree, sum, count);
}

void of_tree_add_slices(const of_lane_tree *tree, void *slices, size_t slice) {
    float sum[PIECE];
    uint16_t *rounded = slices;
    if (tree->kernels == NULL) {
        (void)add_range(tree, slices, 0, whole_tree(tree->lanes), slice);
        return;
    }
    for (size_t begin = 0; begin < slice; begin += PIECE) {
        size_t count = slice - begin < PIECE ? slice - begin : PIECE;
        add_piece(tree, rounded + begin, 0, whole_tree(tree->lanes), slice, count, sum);
        tree->kernels->round_to_bf16(sum, rounded + begin, count);
    }
}

/* ---- In place ------------------------------------------------------------------------------ */

void of_tree_pack(const of_lane_tree *tree, float *values, size_t count) {
    uint16_t piece[PIECE], *packed = (uint16_t *)(void *)values;
    for (size_t begin = 0; begin < count; begin += PIECE) {
        size_t n = count - begin < PIECE ? count - begin : PIECE;
        tree->kernels->round_to_bf16(values + begin, piece, n);
        memcpy(packed + begin, piece, n * sizeof *piece);
    }
}

void of_tree_unpack(float *values, size_t count) {
    uint16_t piece[PIECE], *packed = (uint16_t *)(void *)values + count;
    for (size_t begin = 0; begin < count; begin += PIECE) {
        size_t n = count - begin < PIECE ? count - begin : PIECE;
        memcpy(piece, packed + begin, n * sizeof *piece);
        widen(piece, values + begin, n);
    }
}
