/* SPDX-License-Identifier: Apache-2.0 */
/* The affine map of neighbouring positions: blocks of 16 outputs of a few positions stay in
 * registers and share each load of the matrix. A position's result does not depend on how many
 * positions it is computed with. */
#include "kernels_avx512.h"
#include "vector.h"

enum { MAX_POSITIONS = 8, MAX_BLOCKS = 4 };

/* Stores 8 outputs, of which those from `output` on that lie in their half are real. */
static inline void store_eight(const of_map_task *task, size_t position, size_t output, __m256 y) {
    size_t half = task->map->channels / 2, padded = task->map->half_padded;
    float *target = output < padded ? task->pass : task->rest;
    size_t within = output < padded ? output : output - padded;
    __mmask8 lanes = (__mmask8)first_lanes(at_most(half - within, 8));
    _mm256_mask_storeu_ps(target + position * half + within, lanes, y);
}

/* Outputs `output`.. in `blocks` blocks, for `positions` positions; both constant at the call. */
static inline __attribute__((always_inline)) void
map_tile(const of_map_task *task, size_t position, size_t positions, size_t output, size_t blocks) {
    size_t row_length = 2 * (size_t)task->map->half_padded;
    __m512 y[MAX_POSITIONS][MAX_BLOCKS];
    for (size_t b = 0; b < blocks; b++)
        for (size_t p = 0; p < positions; p++)
            y[p][b] = _mm512_loadu_ps(task->map->bias + output + b * LANES);

    for (uint32_t s = 0; s < task->segment_count; s++) {
        const of_map_segment *segment = &task->segments[s];
        const float *x = segment->x + position * segment->step;
        const float *matrix = task->map->matrix + segment->channel * row_length + output;
        for (uint32_t i = 0; i < segment->count; i++) {
            __m512 row[MAX_BLOCKS];
            for (size_t b = 0; b < blocks; b++)
                row[b] = _mm512_loadu_ps(matrix + b * LANES);
            for (size_t p = 0; p < positions; p++) {
                __m512 input = _mm512_set1_ps(x[p * segment->step + i]);
                for (size_t b = 0; b < blocks; b++)
                    y[p][b] = _mm512_fmadd_ps(row[b], input, y[p][b]);
            }
            matrix += segment->channel_step * row_length;
        }
    }

    for (size_t p = 0; p < positions; p++)
        for (size_t b = 0; b < blocks; b++) {
            size_t first = output + b * LANES;
            store_eight(task, position + p, first, _mm512_castps512_ps256(y[p][b]));
            store_eight(task, position + p, first + 8, _mm512_extractf32x8_ps(y[p][b], 1));
        }
}

void of_avx512_map_positions(const of_map_task *task) {
    size_t outputs = 2 * (size_t)task->map->half_padded, n = task->positions;
    for (size_t output = 0; output < outputs;) {
        size_t position = 0;
        switch (at_most((outputs - output) / LANES, MAX_BLOCKS)) {
        case 1:
            for (; position + 8 <= n; position += 8)
                map_tile(task, position, 8, output, 1);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 1);
            output += LANES;
            break;
        case 2:
            for (; position + 4 <= n; position += 4)
                map_tile(task, position, 4, output, 2);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 2);
            output += 2 * LANES;
            break;
        case 3:
            for (; position + 4 <= n; position += 4)
                map_tile(task, position, 4, output, 3);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 3);
            output += 3 * LANES;
            break;
        default:
            for (; position + 4 <= n; position += 4)
                map_tile(task, position, 4, output, 4);
            for (; position < n; position++)
                map_tile(task, position, 1, output, 4);
            output += 4 * LANES;
            break;
        }
    }
}
