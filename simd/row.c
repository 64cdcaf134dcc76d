/* SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

static void set_edge_biases(const of_tap_row *row, of_tap_rows *rows) {
    size_t edges = (row->row == 0 ? OF_EDGE_TOP : 0) | /* of the whole row */
                   (row->row + 1 == row->height ? OF_EDGE_BOTTOM : 0);
    size_t first = edges | OF_EDGE_LEFT | (row->width == 1 ? OF_EDGE_RIGHT : 0);
    rows->first_bias = row->edge_bias + first * row->outputs;
    rows->bias = row->edge_bias + edges * row->outputs;
    rows->last_bias = row->edge_bias + (edges | OF_EDGE_RIGHT) * row->outputs;
}

of_tap_rows of_tap_rows_of(const of_tap_row *row) {
    of_tap_rows rows = {
        .stride = row->stride,
        .width = row->width,
        .outputs = row->outputs,
        .first_bias = row->bias,
        .bias = row->bias,
        .last_bias = row->bias,
    };
    if (row->edge_bias != NULL)
        set_edge_biases(row, &rows);
    const float *taps = row->taps + (size_t)row->row * row->width * row->stride;
    if (row->kernel == 1) {
        rows.center[rows.count++] = taps;
        return rows;
    }
    size_t image_row = (size_t)row->width * row->stride;
    rows.neighbours = true;
    rows.reach = row->stride + row->outputs;
    if (row->row > 0)
        rows.center[rows.count++] = taps - image_row + 1 * (size_t)row->outputs;
    rows.center[rows.count++] = taps + 4 * (size_t)row->outputs;
    if (row->row + 1 < row->height)
        rows.center[rows.count++] = taps + image_row + 7 * (size_t)row->outputs;
    return rows;
}

of_scatter_rows of_scatter_rows_of(const of_tap_row *row, const float *values, bool mirrored,
                                   float *target) {
    size_t outputs = row->outputs, width = row->width;
    of_scatter_rows rows = {.kernel = row->kernel,
                            .width = width,
                            .outputs = outputs,
                            .used = row->kernel * row->kernel * outputs,
                            .stride = row->stride,
                            .without_first = width,
                            .without_last = width,
                            .target = target + (size_t)row->row * width * row->stride};
    if (row->kernel == 1) {
        rows.rows[0] = values + row->row * width * outputs;
        return rows;
    }
    rows.step = mirrored ? (ptrdiff_t)outputs : -(ptrdiff_t)outputs;
    rows.without_first = mirrored ? 0 : width - 1;
    rows.without_last = mirrored ? width - 1 : 0;
    for (int64_t ky = 0; ky < 3; ky++) {
        int64_t y = (int64_t)row->row + (mirrored ? ky - 1 : 1 - ky);
        if (y >= 0 && y < row->height)
            rows.rows[ky] = values + (size_t)y * width * outputs;
    }
    return rows;
}

of_map_task of_squeeze_task(const of_squeeze_row *row, size_t column, size_t positions,
                            const float *top, const float *bottom) {
    uint32_t count = row->source_channels;
    size_t start = ((size_t)row->row * row->width + column) * (row->map->channels / 2);
    of_map_task task = {.map = row->map,
                        .segment_count = 4,
                        .pass = row->pass + start,
                        .rest = row->rest + start,
                        .positions = positions};
    for (uint32_t i = 0; i < 4; i++)
        task.segments[i] = (of_map_segment){
            .x = (i < 2 ? top : bottom) + (size_t)(i % 2) * count,
            .step = 2 * (size_t)count,
            .channel = i,
            .channel_step = 4,
            .count = count,
        };
    return task;
}

size_t of_chunk_positions(size_t values) {
    size_t positions = OF_SCRATCH_FLOATS / (2 * values);
    return positions > 0 ? positions : 1;
}

/* Floats of scratch per position, as OF_SCRATCH_FLOATS counts them. */
static size_t coupling_values(const of_coupling_row *row) {
    size_t values = row->taps.outputs;
    if (row->map != NULL && 2 * (size_t)row->map->half_padded > values)
        values = 2 * (size_t)row->map->half_padded;
    return values;
}

of_coupling_chunk of_coupling_chunk_at(const of_coupling_row *row, size_t column) {
    size_t positions = of_chunk_positions(coupling_values(row));
    if (positions > row->taps.width - column)
        positions = row->taps.width - column;
    size_t values = positions * row->half;
    float *raw = row->scratch + values + OF_SPILL;
    float *pass = row->affine ? raw + values + OF_SPILL : raw;
    return (of_coupling_chunk){
        .row = row,
        .column = column,
        .positions = positions,
        .start = (size_t)row->taps.row * row->taps.width + column,
        .add = row->scratch,
        .raw = raw,
        .pass = pass,
        .gain = pass + values + OF_SPILL,
    };
}

of_map_task of_coupling_task(const of_coupling_chunk *chunk) {
    uint32_t half = chunk->row->half;
    return (of_map_task){
        .map = chunk->row->map,
        .segment_count = 2,
        .segments = {{chunk->pass, .step = half, .channel_step = 1, .count = half},
                     {chunk->add, .step = half, .channel = half, .channel_step = 1, .count = half}},
        .pass = chunk->row->pass + chunk->start * half,
        .rest = chunk->row->rest + chunk->start * half,
        .positions = chunk->positions,
    };
}

void of_repeat(const float *values, size_t n, float *target) {
    for (size_t i = 0; i < n; i++)
        target[i] = values[i];
    for (size_t i = 0; i < OF_SPILL; i++)
        target[n + i] = target[i];
}

of_network_input of_network_input_part(const of_network_input *input, size_t at, size_t limit) {
    size_t position = at / input->inputs, channel = at % input->inputs;
    of_network_input part = *input;
    if (input->inputs <= limit) {
        size_t left = input->positions - position, most = limit / input->inputs;
        part.pass += position * input->half;
        part.positions = left < most ? left : most;
        return part;
    }
    size_t left = channel < input->half ? input->half - channel : 0;
    size_t passed = input->half - left; /* channels of the state before the part */
    size_t inputs = input->inputs - channel < limit ? input->inputs - channel : limit;
    part.pass += position * input->half + passed;
    if (input->scale != NULL) {
        part.scale += passed;
        part.shift += passed;
    }
    part.positions = 1;
    part.inputs = (uint32_t)inputs;
    part.half = (uint32_t)(left < inputs ? left : inputs);
    part.ones = input->ones && channel <= input->half && input->half < channel + inputs;
    return part;
}
