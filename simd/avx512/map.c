/* SPDX-License-Identifier: Apache-2.0 */
/* The affine map of neighbouring positions: blocks of 16 outputs of a few positions stay in
 * registers and share each load of the matrix. A position's result does not depend on how many
 * positions it is computed with. */
#include "kernels_avx512.h"
#include "vector.h"

enum { MAX_POSITIONS = 8, MAX_BLOCKS = 4 };

/* Where the 16 outputs of a block go: its lower lanes to `low`; its upper 8 to `high` where those
 * begin the other half (lanes 8.. are picked from the whole vector, so `high` is 8 before their
 * place). Extracting the upper 8 and storing them under a mask would not do: gcc 12 fuses the two
 * into vextractf32x8, whose mask does not suppress faults. */
typedef struct place {
    float *low, *high;
    __mmask16 low_lanes, high_lanes; /* high_lanes is 0 if one store does */
} place;

/* What the tiles of one pass share: outputs `output`.. in blocks of 16. */
typedef struct pass_over {
    const of_map_task *task;
    size_t output, half, row_length;
    place places[MAX_BLOCKS]; /* of position 0 */
} pass_over;

static place place_of(const of_map_task *task, size_t output) {
    size_t half = task->map->channels / 2, padded = task->map->half_padded;
    if (output >= padded) {
        size_t within = output - padded;
        return (place){task->rest + within, NULL, first_lanes(at_most(half - within, LANES)), 0};
    }
    float *target = task->pass + output;
    if (output + LANES / 2 < padded)
        return (place){target, NULL, first_lanes(at_most(half - output, LANES)), 0};
    __mmask16 high_lanes = (__mmask16)(first_lanes(at_most(half, LANES / 2)) << LANES / 2);
    return (place){target, task->rest, first_lanes(half - output), high_lanes};
}

/* Positions position.. of the task; `positions` and `blocks` are constants at each call. */
ALWAYS_INLINE void map_tile(const pass_over *pass, size_t position, size_t positions,
                            size_t blocks) {
    const of_map_task *task = pass->task;
    __m512 y[MAX_POSITIONS][MAX_BLOCKS];
    UNROLL
    for (size_t b = 0; b < blocks; b++)
        UNROLL
    for (size_t p = 0; p < positions; p++)
        y[p][b] = _mm512_loadu_ps(task->map->bias + pass->output + b * LANES);

    for (uint32_t s = 0; s < task->segment_count; s++) {
        const of_map_segment *segment = &task->segments[s];
        const float *x = segment->x + position * segment->step;
        const float *matrix =
            task->map->matrix + segment->channel * pass->row_length + pass->output;
        size_t row_step = segment->channel_step * pass->row_length;
        for (uint32_t i = 0; i < segment->count; i++, x++, matrix += row_step) {
            __m512 row[MAX_BLOCKS];
            UNROLL
            for (size_t b = 0; b < blocks; b++)
                row[b] = _mm512_loadu_ps(matrix + b * LANES);
            UNROLL
            for (size_t p = 0; p < positions; p++) {
                __m512 input = _mm512_set1_ps(x[p * segment->step]);
                UNROLL
                for (size_t b = 0; b < blocks; b++)
                    y[p][b] = _mm512_fmadd_ps(row[b], input, y[p][b]);
            }
        }
    }

    size_t start = position * pass->half;
    UNROLL
    for (size_t p = 0; p < positions; p++, start += pass->half)
        UNROLL
    for (size_t b = 0; b < blocks; b++) {
        const place *to = &pass->places[b];
        _mm512_mask_storeu_ps(to->low + start, to->low_lanes, y[p][b]);
        if (to->high_lanes != 0)
            _mm512_mask_storeu_ps(to->high + start - LANES / 2, to->high_lanes, y[p][b]);
    }
}

/* `blocks` blocks for all positions, `tile` positions at a time; both constants. */
ALWAYS_INLINE void map_blocks(const of_map_task *task, size_t output, size_t blocks, size_t tile) {
    pass_over pass = {task, .output = output, .half = task->map->channels / 2,
                      .row_length = 2 * (size_t)task->map->half_padded};
    for (size_t b = 0; b < blocks; b++)
        pass.places[b] = place_of(task, output + b * LANES);
    size_t position = 0;
    for (; position + tile <= task->positions; position += tile)
        map_tile(&pass, position, tile, blocks);
    for (; position < task->positions; position++)
        map_tile(&pass, position, 1, blocks);
}

void of_avx512_map_positions(const of_map_task *task) {
    size_t outputs = 2 * (size_t)task->map->half_padded;
    for (size_t output = 0; output < outputs;) {
        size_t blocks = at_most((outputs - output) / LANES, MAX_BLOCKS);
        switch (blocks) {
        case 1:
            map_blocks(task, output, 1, 8);
            break;
        case 2:
            map_blocks(task, output, 2, 4);
            break;
        case 3:
            map_blocks(task, output, 3, 4);
            break;
        default:
            map_blocks(task, output, 4, 4);
            break;
        }
        output += blocks * LANES;
    }
}
