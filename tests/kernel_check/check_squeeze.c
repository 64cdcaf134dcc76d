/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SOURCE_CHANNELS = 24, MAX_CHANNELS = 4 * MAX_SOURCE_CHANNELS };

/* A random geometry: a source image of 2*height rows, each with some padding at its end. */
typedef struct geometry {
    uint32_t source_channels, channels, height, width, row;
    size_t row_stride, source_count, state_count;
} geometry;

static geometry random_geometry(checker *check, bool bytes) {
    geometry g = {.height = between(check, 1, 4), .width = between(check, 1, 67)};
    g.source_channels = between(check, 0, 2) == 0 ? 1 : 3;
    if (!bytes && coin(check))
        g.source_channels = 2 * between(check, 1, MAX_SOURCE_CHANNELS / 2);
    if (coin(check))
        g.width = 1u << between(check, 0, 5);
    g.row = between(check, 0, g.height - 1);
    g.channels = 4 * g.source_channels;
    size_t row_length = 2 * (size_t)g.width * g.source_channels;
    g.row_stride = row_length + (coin(check) ? 0 : between(check, 1, 20));
    g.source_count = (2 * (size_t)g.height - 1) * g.row_stride + row_length;
    g.state_count = (size_t)g.height * g.width * g.channels / 2;
    begin_case(check, "source channels %u, state %u x %u, row %u, row stride %zu",
               g.source_channels, g.height, g.width, g.row, g.row_stride);
    return g;
}

/* Where a squeezed channel comes from, written as in kernels.h. */
static size_t source_index(const geometry *g, uint32_t column, uint32_t channel) {
    uint32_t c = channel / 4, dy = channel % 4 / 2, dx = channel % 2;
    return (2 * (size_t)g->row + dy) * g->row_stride +
           (2 * (size_t)column + dx) * g->source_channels + c;
}

static void expect_other_rows_kept(checker *check, const geometry *g, const float *before,
                                   const float *after) {
    size_t row_count = (size_t)g->width * g->channels / 2, start = g->row * row_count;
    expect_true(check,
                memcmp(before, after, start * sizeof *after) == 0 &&
                    memcmp(before + start + row_count, after + start + row_count,
                           (g->state_count - start - row_count) * sizeof *after) == 0,
                "another row was written");
}

static void check_squeeze(checker *check, bool bytes) {
    geometry g = random_geometry(check, bytes);
    uint8_t *pixels = guarded(check, bytes ? g.source_count : 0, 1);
    float *floats = guarded_floats(check, bytes ? 0 : g.source_count);
    for (size_t i = 0; i < g.source_count; i++) {
        if (bytes)
            pixels[i] = (uint8_t)of_random_u32(&check->random);
        else
            floats[i] = normal(check, 1.0);
    }
    of_channel_map map = random_map(check, g.channels);
    of_squeeze_row row = {
        .source = bytes ? (const void *)pixels : floats,
        .row_stride = g.row_stride,
        .source_channels = g.source_channels,
        .width = g.width,
        .row = g.row,
        .map = &map,
        .pass = guarded_floats(check, g.state_count),
        .rest = guarded_floats(check, g.state_count),
        .scratch = guarded_floats(check, scratch_floats(2 * (size_t)map.half_padded)),
    };
    float *untouched = guarded_copy(check, row.pass, g.state_count);
    (bytes ? check->kernels->squeeze_row_u8 : check->kernels->squeeze_row_f32)(&row);

    for (uint32_t column = 0; column < g.width; column++) {
        double x[MAX_CHANNELS];
        for (uint32_t c = 0; c < g.channels; c++) {
            size_t index = source_index(&g, column, c);
            x[c] = bytes ? (double)pixels[index] : (double)floats[index];
        }
        expect_mapped(check, &map, x, NULL, row.pass, row.rest, (size_t)g.row * g.width + column);
    }
    expect_other_rows_kept(check, &g, untouched, row.pass);
    expect_other_rows_kept(check, &g, untouched, row.rest);
    guarded_release(check);
}

void check_squeeze_u8(checker *check) {
    for (int i = 0; i < 200; i++)
        check_squeeze(check, true);
}

void check_squeeze_f32(checker *check) {
    for (int i = 0; i < 200; i++)
        check_squeeze(check, false);
}

static void check_unsqueeze_case(checker *check) {
    geometry g = random_geometry(check, false);
    float *pass = guarded_floats(check, g.state_count),
          *rest = guarded_floats(check, g.state_count);
    for (size_t i = 0; i < g.state_count; i++) {
        pass[i] = normal(check, 1.0);
        rest[i] = normal(check, 1.0);
    }
    float *target = guarded_floats(check, g.source_count);
    float *want = guarded_copy(check, target, g.source_count);
    check->kernels->unsqueeze_row(
        &(of_unsqueeze_row){pass, rest, target, g.row_stride, g.source_channels, g.width, g.row});
    size_t half = g.channels / 2;
    for (uint32_t column = 0; column < g.width; column++)
        for (uint32_t c = 0; c < g.channels; c++) {
            size_t position = (size_t)g.row * g.width + column;
            want[source_index(&g, column, c)] =
                c < half ? pass[position * half + c] : rest[position * half + c - half];
        }
    expect_true(check, memcmp(want, target, g.source_count * sizeof *want) == 0, "target differs");
    guarded_release(check);
}

void check_unsqueeze(checker *check) {
    for (int i = 0; i < 200; i++)
        check_unsqueeze_case(check);
}
