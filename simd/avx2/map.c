/* SPDX-License-Identifier: Apache-2.0 */
/* The affine map of neighbouring positions: blocks of 8 outputs of a few positions stay in
 * registers and share each load of the matrix. A position's result does not depend on how many
 * positions it is computed with. */
#include "kernels_avx2.h"
#include "vector.h"

enum { MAX_POSITIONS = 4, MAX_BLOCKS = 6 };

/* Stores 8 outputs, of which those from `output` on that lie in their half are real. */
static inline void store_eight(const of_map_task *task, size_t position, size_t output, __m256 y) {
    size_t half = task->map->channels / 2, padded = task->map->half_padded;
    float *target = output < padded ? task->pass : task->rest;
    size_t within = output < padded ? output : output - padded;
    store_first(target + position * half + within, y, at_most(half - within, LANES));
}

/* Outputs `output`.. in `blocks` blocks, for `positions` positions; both constant at the call. */
static inline __attribute__((always_inline)) void
map_tile(const of_map_task *task, size_t position, size_t positions, size_t output, size_t blocks) {
    size_t row_length = 2 * (size_t)task->map->half_padded;
    __m256 y[MAX_POSITIONS][MAX_BLOCKS];
    for (size_t b = 0; b < blocks; b++)
        for (size_t p = 0; p < positions; p++)
            y[p][b] = _mm256_loadu_ps(task->map->bias + output + b * LANES);

    for (uint32_t s = 0; s < task->segment_count; s++) {
        const of_map_segment *segment = &task->segments[s];
        const float *x = segment->x + position * segment->step;
        const float *matrix = task->map->matrix + segment->channel * row_length + output;
        for (uint32_t i = 0; i < segment->count; i++) {
            __m256 input[MAX_POSITIONS];
            for (size_t p = 0; p < positions; p++)
                input[p] = _mm256_broadcast_ss(x + p * segment->step + i);
            for (size_t b = 0; b < blocks; b++) {
                __m256 row = _mm256_loadu_ps(matrix + b * LANES);
                for (size_t p = 0; p < positions; p++)
                    y[p][b] = _mm256_fmadd_ps(row, input[p], y[p][b]);
            }
            matrix += segment->channel_step * row_length;
        }
    }

    for (size_t p = 0; p < positions; p++)
        for (size_t b = 0; b < blocks; b++)
            store_eight(task, position + p, output + b * LANES, y[p][b]);
}

void of_avx2_map_positions(const of_map_task *task) {
    size_t blocks = 2 * (size_t)task->map->half_padded / LANES, n = task->positions;
    for (size_t block = 0; block < blocks;) { /* what is left is even */
        size_t position = 0, left = blocks - block, output = block * LANES;
        if (left == 2) {
            for (; position + 4 <= n; position += 4)
                map_tile(task, position, 4, output, 2);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 2);
            block += 2;
        } else if (left == 4 || left == 8) {
            for (; position + 2 <= n; position += 2)
                map_tile(task, position, 2, output, 4);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 4);
            block += 4;
        } else {
            for (; position + 2 <= n; position += 2)
                map_tile(task, position, 2, output, 6);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 6);
            block += 6;
        }
    }
}
