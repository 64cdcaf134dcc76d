/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_avx512.h"
#include "vector.h"

static void bytes_to_floats(const uint8_t *bytes, float *floats, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512i words = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, bytes + i));
        _mm512_mask_storeu_ps(floats + i, lanes, _mm512_cvtepi32_ps(words));
    }
}

void of_avx512_squeeze_row_u8(const of_squeeze_row *row) {
    size_t chunk = of_chunk_positions(2 * (size_t)row->map->half_padded);
    size_t per_position = 2 * (size_t)row->source_channels; /* in each of the two source rows */
    const uint8_t *source = (const uint8_t *)row->source + 2 * (size_t)row->row * row->row_stride;
    for (size_t column = 0; column < row->width; column += chunk) {
        size_t positions = at_most(row->width - column, chunk), n = positions * per_position;
        const uint8_t *bytes = source + column * per_position;
        float *top = row->scratch, *bottom = row->scratch + n;
        bytes_to_floats(bytes, top, n);
        bytes_to_floats(bytes + row->row_stride, bottom, n);
        of_map_task task = of_squeeze_task(row, column, positions, top, bottom);
        of_avx512_map_positions(&task);
    }
}

void of_avx512_squeeze_row_f32(const of_squeeze_row *row) {
    const float *source = (const float *)row->source + 2 * (size_t)row->row * row->row_stride;
    of_map_task task = of_squeeze_task(row, 0, row->width, source, source + row->row_stride);
    of_avx512_map_positions(&task);
}
