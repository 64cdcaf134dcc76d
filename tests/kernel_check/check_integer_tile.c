/* SPDX-License-Identifier: Apache-2.0 */
/* Integer convolutions against sums in 64 bits, and numbers rounded for them. */
#include "check.h"

#include <math.h>
#include <string.h>

enum { MOST_SOURCES = 9 * OF_TILE_ROWS };

typedef struct tile_case {
    of_integer_tile tile;
    const void *sources[MOST_SOURCES];
    size_t number_bytes, numbers; /* of a group */
} tile_case;

static int64_t number_at(const void *values, size_t index, bool wide, bool is_signed) {
    int16_t two;
    int8_t one;
    if (wide) {
        memcpy(&two, (const char *)values + index * 2, sizeof two);
        return two;
    }
    memcpy(&one, (const char *)values + index, sizeof one);
    return is_signed ? one : (uint8_t)one;
}

/* Any bytes are numbers; of s16 small ones are taken, so that no sum leaves 32 bits. */
static void *random_numbers(checker *check, size_t bytes, bool wide) {
    uint8_t *values = guarded(check, bytes, 1);
    for (size_t i = 0; i < bytes; i++)
        values[i] = (uint8_t)between(check, 0, 255);
    for (size_t i = 0; wide && i + 1 < bytes; i += 2) {
        int16_t value = (int16_t)((int)between(check, 0, 4000) - 2000);
        memcpy(values + i, &value, sizeof value);
    }
    return values;
}

static void make_tile(checker *check, tile_case *c) {
    static const size_t target_bytes[] = {sizeof(float), 1, 2};
    of_integer_tile *tile = &c->tile;
    *c = (tile_case){.numbers = 0};
    tile->wide = coin(check);
    tile->all_taps = coin(check) ? 1 : 9;
    tile->first_tap = between(check, 0, (uint32_t)tile->all_taps - 1);
    tile->taps = between(check, 1, (uint32_t)(tile->all_taps - tile->first_tap));
    tile->groups = between(check, 1, 20);
    tile->outputs = 16 * between(check, 1, 6);
    tile->rows = between(check, 1, OF_TILE_ROWS);
    tile->to = (of_tile_target)between(check, 0, 2);
    tile->stride = tile->outputs * target_bytes[tile->to] + (coin(check) ? 0 : 12);
    c->numbers = tile->wide ? 2 : 4;
    size_t bytes = tile->groups * 4, count = tile->taps * OF_TILE_ROWS;
    const char *values = random_numbers(check, count * bytes, tile->wide);
    for (size_t i = 0; i < count; i++)
        c->sources[i] = values + (count - 1 - i) * bytes;
    tile->sources = c->sources;
    tile->weights =
        random_numbers(check, tile->all_taps * tile->groups * tile->outputs * 4, tile->wide);
    float *scale = guarded_floats(check, tile->outputs),
          *bias = guarded_floats(check, tile->outputs);
    for (uint32_t o = 0; o < tile->outputs; o++) {
        scale[o] = (float)exp(normal(check, 3.0)) * 1e-4f;
        bias[o] = normal(check, 100.0);
    }
    tile->scale = scale;
    tile->bias = bias;
    begin_case(check, "%s, taps %zu of %zu, groups %zu, outputs %u, rows %u, to %d",
               tile->wide ? "s16" : "u8", tile->taps, tile->all_taps, tile->groups, tile->outputs,
               tile->rows, (int)tile->to);
}

static int64_t exact_sum(const tile_case *c, uint32_t r, uint32_t o) {
    const of_integer_tile *tile = &c->tile;
    uint32_t first = o / OF_PANEL_OUTPUTS * OF_PANEL_OUTPUTS;
    size_t width = tile->outputs - first < OF_PANEL_OUTPUTS ? 16 : OF_PANEL_OUTPUTS;
    int64_t sum = 0;
    for (size_t t = 0; t < tile->taps; t++)
        for (size_t g = 0; g < tile->groups; g++)
            for (size_t i = 0; i < c->numbers; i++) {
                size_t group = (size_t)first * tile->all_taps * tile->groups +
                               ((tile->first_tap + t) * tile->groups + g) * width + o - first;
                sum += number_at(c->sources[t * OF_TILE_ROWS + r], g * c->numbers + i, tile->wide,
                                 false) *
                       number_at(tile->weights, group * c->numbers + i, tile->wide, true);
            }
    return sum;
}

static void expect_output(checker *check, const tile_case *c, uint32_t r, uint32_t o) {
    const of_integer_tile *tile = &c->tile;
    const char *row = (const char *)tile->target + r * tile->stride;
    double product = (double)tile->scale[o] * (double)exact_sum(c, r, o);
    double y = product + (double)tile->bias[o];
    double rounding = 1.2e-7 * (fabs(product) + fabs(y)); /* the sum's, then the product's */
    double most = tile->to == OF_TILE_U8 ? 255 : OF_INT16_MOST;
    float real;
    size_t place = (size_t)r * tile->outputs + o;
    if (tile->to == OF_TILE_F32) {
        memcpy(&real, row + o * sizeof real, sizeof real);
        expect_near(check, "output", place, (double)real, y, rounding + 1e-30);
        return;
    }
    double got = (double)number_at(row, o, tile->to == OF_TILE_S16, tile->to == OF_TILE_S16);
    expect_near(check, "output", place, got, fmax(0, fmin(most, y)), 0.5 + rounding);
    expect_true(check, got <= most, "an output beyond its limit");
}

void check_integer_tile(checker *check) {
    if (check->kernels->isa == OF_ISA_AVX512 && !of_cpu_int8().avx512_vnni) {
        begin_case(check, "SKIPPED: no AVX512_VNNI");
        return;
    }
    tile_case c;
    for (int i = 0; i < 200; i++) {
        make_tile(check, &c);
        size_t used = (c.tile.rows - 1) * c.tile.stride +
                      c.tile.outputs * (c.tile.to == OF_TILE_F32  ? sizeof(float)
                                        : c.tile.to == OF_TILE_U8 ? 1
                                                                  : 2);
        c.tile.target = guarded(check, used, 1);
        check->kernels->integer_tile(&c.tile);
        for (uint32_t r = 0; r < c.tile.rows; r++)
            for (uint32_t o = 0; o < c.tile.outputs; o++)
                expect_output(check, &c, r, o);
        guarded_release(check);
    }
}

/* What network_input gives, times the factor, within half a unit. */
void check_network_input_s16(checker *check) {
    for (int i = 0; i < 200; i++) {
        uint32_t half = between(check, 1, 60), extra = coin(check) ? 0 : between(check, 1, 20);
        size_t positions = between(check, 0, 50), count = positions * (half + extra);
        float *pass = guarded_floats(check, positions * half),
              factor = (float)exp(normal(check, 4));
        for (size_t k = 0; k < positions * half; k++)
            pass[k] = coin(check) ? normal(check, 1.0) : normal(check, 1e6);
        const of_network_input input = {.pass = pass,
                                        .positions = positions,
                                        .half = half,
                                        .inputs = half + extra,
                                        .ones = extra > 0 && coin(check)};
        begin_case(check, "half %u, inputs %u, %zu positions", half, half + extra, positions);
        float *values = guarded_floats(check, count);
        int16_t *got = guarded(check, count, sizeof *got);
        check->kernels->network_input(&input, values);
        check->kernels->network_input_s16(&input, factor, got);
        for (size_t k = 0; k < count; k++) {
            double want = (double)factor * (double)values[k];
            want = fmax(-OF_INT16_MOST, fmin(OF_INT16_MOST, want));
            expect_near(check, "value", k, (double)got[k], want, 0.5 + 1e-3);
        }
        guarded_release(check);
    }
    float pass[2] = {NAN, INFINITY};
    int16_t got[2];
    begin_case(check, "NaN, infinity");
    check->kernels->network_input_s16(
        &(of_network_input){.pass = pass, .positions = 1, .half = 2, .inputs = 2}, 1.0f, got);
    expect_true(check, got[0] >= -OF_INT16_MOST && got[0] <= OF_INT16_MOST,
                "NaN leaves the limits");
    expect_true(check, got[1] == OF_INT16_MOST, "infinity is not the largest");
}
