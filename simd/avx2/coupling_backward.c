/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the coupling, a chunk of positions at a time: first on the flat arrays
 * [positions][half] (scale_map.c), then the two halves of each position's coefficients take their
 * places, and the terms of the gain's gradient are added up. */
#include "kernels_avx2.h"
#include "vector.h"

enum { CHUNK = 1024 }; /* floats */

/* What a chunk's gradients are before they take their places; `gain` see of_repeat. */
typedef struct buffers {
    float g_add[CHUNK], g_raw[CHUNK], g_gain[CHUNK], gain[CHUNK + OF_SPILL];
} buffers;

/* Whole positions, each no longer than a chunk. */
static void couple_positions(const of_coupling_backward *task, buffers *chunk, size_t position,
                             size_t count) {
    size_t half = task->half, start = position * half;
    of_avx2_couple_backward(&(of_couple_gradients){
        .task = task,
        .start = start,
        .n = count * half,
        .period = half,
        .gain = chunk->gain,
        .g_add = chunk->g_add,
        .g_raw = chunk->g_raw,
        .g_gain = chunk->g_gain,
    });
    of_avx2_interleave(task->shift_after ? chunk->g_add : task->g_rest + start, chunk->g_raw, count,
                       half, task->g_coefficients + 2 * start);
    if (task->scale_map == OF_SCALE_MAP_TANH)
        of_avx2_relu_backward(NULL, chunk->g_gain, count, half, 0.0f, task->gain_gradient);
}

/* Channels channel..channel+n-1 of a position that is longer than a chunk. */
static void couple_channels(const of_coupling_backward *task, buffers *chunk, size_t position,
                            size_t channel, size_t n) {
    bool gain = task->scale_map == OF_SCALE_MAP_TANH;
    size_t half = task->half, start = position * half + channel;
    float *target = task->g_coefficients + 2 * position * half + channel;
    of_avx2_couple_backward(&(of_couple_gradients){
        .task = task,
        .start = start,
        .n = n,
        .period = n,
        .gain = gain ? task->gain + channel : NULL,
        .g_add = chunk->g_add,
        .g_raw = chunk->g_raw,
        .g_gain = chunk->g_gain,
    });
    copy_run(target, task->shift_after ? chunk->g_add : task->g_rest + start, n);
    copy_run(target + half, chunk->g_raw, n);
    if (gain)
        of_avx2_accumulate(chunk->g_gain, task->gain_gradient + channel, n);
}

void of_avx2_coupling_backward(const of_coupling_backward *task) {
    buffers chunk;
    size_t half = task->half;
    if (!task->affine) {
        copy_run(task->g_coefficients, task->g_rest, task->positions * half);
        return;
    }
    if (half > CHUNK) {
        for (size_t p = 0; p < task->positions; p++)
            for (size_t c = 0; c < half; c += CHUNK)
                couple_channels(task, &chunk, p, c, at_most(half - c, CHUNK));
        return;
    }
    if (task->scale_map == OF_SCALE_MAP_TANH)
        of_repeat(task->gain, half, chunk.gain);
    for (size_t p = 0, count; p < task->positions; p += count) {
        count = at_most(task->positions - p, CHUNK / half);
        couple_positions(task, &chunk, p, count);
    }
}
