/* SPDX-License-Identifier: Apache-2.0 */
/* The affine map of neighbouring positions: blocks of 8 outputs of a few positions stay in
 * registers and share each load of the matrix. A position's result does not depend on how many
 * positions it is computed with. */
#include "kernels_avx2.h"
#include "vector.h"

enum { MAX_POSITIONS = 4, MAX_BLOCKS = 6 };

/* What the tiles of one pass share: outputs `output`.. in blocks of 8. */
typedef struct pass_over {
    const of_map_task *task;
    size_t output, half, row_length;
    float *targets[MAX_BLOCKS]; /* of position 0 */
    size_t lanes[MAX_BLOCKS];   /* real outputs of a block */
    size_t spill_end; /* positions before this one may store whole blocks, see map_blocks */
} pass_over;

/* Positions position.. of the task; `positions` and `blocks` are constants at each call. */
ALWAYS_INLINE void map_tile(const pass_over *pass, size_t position, size_t positions,
                            size_t blocks) {
    const of_map_task *task = pass->task;
    __m256 y[MAX_POSITIONS][MAX_BLOCKS];
    UNROLL
    for (size_t b = 0; b < blocks; b++)
        UNROLL
    for (size_t p = 0; p < positions; p++)
        y[p][b] = _mm256_loadu_ps(task->map->bias + pass->output + b * LANES);

    for (uint32_t s = 0; s < task->segment_count; s++) {
        const of_map_segment *segment = &task->segments[s];
        const float *x = segment->x + position * segment->step;
        const float *matrix =
            task->map->matrix + segment->channel * pass->row_length + pass->output;
        size_t row_step = segment->channel_step * pass->row_length;
        for (uint32_t i = 0; i < segment->count; i++, x++, matrix += row_step) {
            __m256 input[MAX_POSITIONS];
            UNROLL
            for (size_t p = 0; p < positions; p++)
                input[p] = _mm256_broadcast_ss(x + p * segment->step);
            UNROLL
            for (size_t b = 0; b < blocks; b++) {
                __m256 row = in_register(_mm256_loadu_ps(matrix + b * LANES));
                UNROLL
                for (size_t p = 0; p < positions; p++)
                    y[p][b] = _mm256_fmadd_ps(row, input[p], y[p][b]);
            }
        }
    }

    size_t start = position * pass->half;
    if (position + positions <= pass->spill_end) {
        UNROLL
        for (size_t p = 0; p < positions; p++, start += pass->half)
            UNROLL
        for (size_t b = 0; b < blocks; b++)
            _mm256_storeu_ps(pass->targets[b] + start, y[p][b]);
        return;
    }
    UNROLL
    for (size_t p = 0; p < positions; p++, start += pass->half)
        UNROLL
    for (size_t b = 0; b < blocks; b++)
        store_first(pass->targets[b] + start, y[p][b], pass->lanes[b]);
}

/* `blocks` blocks for all positions, `tile` positions at a time; both constants.
 *
 * When a half's last block is partial and this pass makes all blocks, storing it whole spills
 * into outputs of later positions, which are stored later, so that it does no harm except at the
 * end. It spares the stores in parts. */
ALWAYS_INLINE void map_blocks(const of_map_task *task, size_t output, size_t blocks, size_t tile) {
    size_t half = task->map->channels / 2, padded = task->map->half_padded, n = task->positions;
    pass_over pass = {task, .output = output, .half = half, .row_length = 2 * padded};
    for (size_t b = 0; b < blocks; b++, output += LANES) {
        bool first_half = output < padded;
        size_t within = first_half ? output : output - padded;
        pass.targets[b] = (first_half ? task->pass : task->rest) + within;
        pass.lanes[b] = at_most(half - within, LANES);
    }
    bool all_full = half % LANES == 0, all_blocks = blocks * LANES == pass.row_length;
    size_t spilled = (padded - half + half - 1) / half; /* positions that a spill reaches */
    pass.spill_end = all_full ? n : all_blocks && n > spilled ? n - spilled : 0;

    size_t position = 0;
    for (; position + tile <= n; position += tile)
        map_tile(&pass, position, tile, blocks);
    for (; position < n; position++)
        map_tile(&pass, position, 1, blocks);
}

void of_avx2_map_positions(const of_map_task *task) {
    size_t outputs = 2 * (size_t)task->map->half_padded;
    for (size_t output = 0; output < outputs;) {
        size_t left = (outputs - output) / LANES, blocks; /* what is left is even */
        if (left == 2) {
            blocks = 2;
            map_blocks(task, output, 2, 4);
        } else if (left == 4 || left == 8) {
            blocks = 4;
            map_blocks(task, output, 4, 2);
        } else {
            blocks = 6;
            map_blocks(task, output, 6, 2);
        }
        output += blocks * LANES;
    }
}
