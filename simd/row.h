/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of a row, shared by the vector kernels. Plain functions compiled for the baseline:
 * nothing here may become inline, see README.md. */
#ifndef OF_SIMD_ROW_H
#define OF_SIMD_ROW_H

#include "kernels.h"

/* Where a row finds its taps. Along a row of the image, taps kx = 0, 1, 2 of an output column stand
 * at center - reach, center, center + reach, where center moves by `stride` per column. */
typedef struct of_tap_rows {
    const float *center[3]; /* of column 0, coefficient 0, for each ky inside the image */
    uint32_t count;         /* of them, 1..3 */
    size_t stride, reach, width, outputs;
    bool neighbours; /* false for kernel 1: the centre alone */
    /* of coefficient 0: of the first column, the last and those between; the first if alone */
    const float *first_bias, *bias, *last_bias;
} of_tap_rows;

of_tap_rows of_tap_rows_of(const of_tap_row *row);

/* Where a row of scattered taps comes from. Tap (ky, kx) of a column is what stands at
 * rows[ky] + column*outputs + (kx - kernel/2)*step; but zero where rows[ky] is NULL, for kx = 0 in
 * the column without_first, and for kx = 2 in the column without_last. */
typedef struct of_scatter_rows {
    const float *rows[3];
    ptrdiff_t step;
    size_t kernel, width, outputs, used, stride; /* used: kernel*kernel*outputs */
    size_t without_first, without_last;          /* none for kernel 1: width */
    float *target;                               /* of column 0 */
} of_scatter_rows;

of_scatter_rows of_scatter_rows_of(const of_tap_row *row, const float *values, bool mirrored,
                                   float *target);

/* How a coupling works through a row: chunks of positions, for which scratch holds the
 * coefficients, later the inputs of the map. */
typedef struct of_coupling_chunk {
    const of_coupling_row *row;
    size_t column, positions; /* the chunk's first column, its length */
    size_t start;             /* the first position, counted in the image */
    float *add, *raw, *pass;  /* [positions][half] each, OF_SPILL floats apart */
    float *gain;              /* see of_repeat; TANH only */
} of_coupling_chunk;

enum { OF_SPILL = 16 }; /* a vector's tail may be stored beyond the end of a scratch array */

/* The chunk that begins at `column`. */
of_coupling_chunk of_coupling_chunk_at(const of_coupling_row *row, size_t column);

/* target[i] = values[i mod n] for i < n + OF_SPILL: the vector of values that belongs to elements
 * i.. of a flat array [positions][n] stands at target + i mod n. */
void of_repeat(const float *values, size_t n, float *target);

/* Where the gradients of values start..start+n-1 of a coupling go, besides those of rest, which
 * replace g_rest. */
typedef struct of_couple_gradients {
    const of_coupling_backward *task;
    size_t start, n;
    size_t period;     /* channels of `gain` */
    const float *gain; /* see of_repeat; TANH only */
    float *g_add;      /* shift after only: else it is what g_rest gets */
    float *g_raw;
    float *g_gain; /* its terms; TANH only */
} of_couple_gradients;

/* Inputs of a map: channel `channel + i*channel_step` of position p stands at x[p*step + i]. */
typedef struct of_map_segment {
    const float *x;
    size_t step;
    uint32_t channel, channel_step, count;
} of_map_segment;

/* A map over `positions` neighbouring positions; the outputs, [positions][C/2] each, do not
 * overlap the inputs. */
typedef struct of_map_task {
    const of_channel_map *map;
    uint32_t segment_count;
    of_map_segment segments[4];
    float *pass, *rest;
    size_t positions;
} of_map_task;

/* The map of `positions` positions from `column` on of a squeezed row; the floats of its two
 * source rows start there at top and bottom. */
of_map_task of_squeeze_task(const of_squeeze_row *row, size_t column, size_t positions,
                            const float *top, const float *bottom);

/* The map after a coupling: pass and the coupled rest, `add` here, have been copied to scratch. */
of_map_task of_coupling_task(const of_coupling_chunk *chunk);

/* The part of a network's input that begins with its value number `at` and has no more than `limit`
 * values: whole positions, or of one position what fits. `at` is where another part ended. */
of_network_input of_network_input_part(const of_network_input *input, size_t at, size_t limit);

/* Positions that scratch holds at a time, with `values` floats for each; at least 1. */
size_t of_chunk_positions(size_t values);

#endif
