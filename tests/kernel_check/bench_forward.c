/* SPDX-License-Identifier: Apache-2.0 */
/* Times the forward kernels on the shapes of real models: a whole image, row by row, as the plan
 * calls it. Per position; scale_shift, round_to_bf16 and look_up: per value. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

typedef enum kind {
    SQUEEZE_U8,
    SQUEEZE_F32,
    UNSQUEEZE,
    TAP_SUM,
    COUPLING,
    INPUT,
    INPUT_BF16,
    GAUSSIAN,
    ROUND,
    LOOK_UP
} kind;

typedef struct shape {
    const char *name; /* kernel, then the shape */
    kind kind;
    uint32_t channels, side, kernel; /* C, height = width */
    bool affine, inverse, mapped, shift_after, edges;
    of_scale_map scale_map;
} shape;

static const shape shapes[] = {
    {"squeeze_row_u8 C=12 16x16", SQUEEZE_U8, 12, 16, .mapped = true},
    {"squeeze_row_u8 C=4 16x16", SQUEEZE_U8, 4, 16, .mapped = true},
    {"squeeze_row_f32 C=24 8x8", SQUEEZE_F32, 24, 8, .mapped = true},
    {"squeeze_row_f32 C=48 4x4", SQUEEZE_F32, 48, 4, .mapped = true},
    {"unsqueeze_row C=12 16x16", UNSQUEEZE, 12, 16, .kernel = 0},
    {"unsqueeze_row C=24 8x8", UNSQUEEZE, 24, 8, .kernel = 0},
    {"tap_sum_row C=12 16x16", TAP_SUM, 12, 16, .kernel = 3, .affine = true},
    {"tap_sum_row C=48 4x4", TAP_SUM, 48, 4, .kernel = 3, .affine = true},
    {"coupling_row C=12 16x16", COUPLING, 12, 16, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=24 8x8", COUPLING, 24, 8, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=48 4x4", COUPLING, 48, 4, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=96 4x4", COUPLING, 96, 4, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=4 16x16", COUPLING, 4, 16, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=8 8x8", COUPLING, 8, 8, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=16 4x4", COUPLING, 16, 4, .kernel = 3, .affine = true, .mapped = true},
    {"coupling_row C=12 16x16 kernel 1", COUPLING, 12, 16, .kernel = 1, .affine = true,
     .mapped = true},
    {"coupling_row C=12 16x16 no map", COUPLING, 12, 16, .kernel = 3, .affine = true},
    {"coupling_row C=12 16x16 additive", COUPLING, 12, 16, .kernel = 3, .mapped = true},
    {"coupling_row C=12 16x16 inverse", COUPLING, 12, 16, .kernel = 3, .affine = true,
     .inverse = true},
    {"coupling_row dense 3072", COUPLING, 3072, 1, .kernel = 1, .affine = true},
    {"coupling_row C=12 16x16 edges", COUPLING, 12, 16, .kernel = 3, .affine = true, .mapped = true,
     .edges = true},
    {"coupling_row C=12 16x16 shift after", COUPLING, 12, 16, .kernel = 3, .affine = true,
     .mapped = true, .shift_after = true},
    {"coupling_row C=12 16x16 exp", COUPLING, 12, 16, .kernel = 3, .affine = true, .mapped = true,
     .scale_map = OF_SCALE_MAP_EXP},
    {"coupling_row C=12 16x16 inverse sigmoid", COUPLING, 12, 16, .kernel = 3, .affine = true,
     .mapped = true, .scale_map = OF_SCALE_MAP_SIGMOID_INVERSE},
    {"coupling_row C=12 16x16 tanh", COUPLING, 12, 16, .kernel = 3, .affine = true, .mapped = true,
     .scale_map = OF_SCALE_MAP_TANH},
    {"network_input 6 to 8 16x16", INPUT, 12, 16, .kernel = 0},
    {"network_input_bf16 6 to 8 16x16", INPUT_BF16, 12, 16, .kernel = 0},
    {"scale_shift 1536", GAUSSIAN, 3072, 1, .kernel = 0},
    {"round_to_bf16 1536", ROUND, 3072, 1, .kernel = 0},
    {"look_up 3072", LOOK_UP, 6144, 1, .kernel = 0},
};

/* Everything a shape needs, of random values. */
typedef struct workload {
    const shape *shape;
    uint8_t *bytes;
    float *source, *pass, *rest, *rest_start, *taps, *bias, *coefficients, *scratch;
    float *edge_bias, *gain, *table;
    float *matrix, *map_bias;
    of_channel_map map;
    size_t tap_values;
} workload;

static workload make_workload(const shape *s) {
    of_random random = of_random_stream(1, 1);
    size_t positions = (size_t)s->side * s->side, half = s->channels / 2;
    uint32_t padded = (s->channels / 2 + OF_MAP_PADDING - 1) / OF_MAP_PADDING * OF_MAP_PADDING;
    size_t outputs = s->affine ? s->channels : half;
    workload w = {.shape = s, .tap_values = (size_t)s->kernel * s->kernel * outputs};
    w.source = bench_values(&random, positions * s->channels, 1.0f);
    w.bytes = (uint8_t *)bench_values(&random, positions * s->channels, 1.0f);
    w.pass = bench_values(&random, positions * half, 1.0f);
    w.rest = bench_values(&random, positions * half, 1.0f);
    w.rest_start = bench_values(&random, positions * half, 1.0f);
    w.taps = bench_values(&random, positions * w.tap_values, 0.5f);
    w.bias = bench_values(&random, outputs, 0.5f);
    w.edge_bias = bench_values(&random, OF_EDGES * outputs, 0.5f);
    w.table = bench_values(&random, 256, 1.0f);
    w.gain = bench_values(&random, half, 0.5f);
    w.coefficients = bench_values(&random, s->side * outputs, 1.0f);
    w.scratch = bench_values(&random, scratch_floats(2 * (size_t)padded), 1.0f);
    if (s->mapped) { /* small, so that repeated use stays finite */
        w.matrix = bench_values(&random, s->channels * 2 * (size_t)padded, 0.5f / (float)half);
        w.map_bias = bench_values(&random, 2 * (size_t)padded, 1.0f);
        w.map = (of_channel_map){w.matrix, w.map_bias, s->channels, padded};
    }
    return w;
}

static void free_workload(workload *w) {
    float *blocks[] = {w->source,    w->pass,         w->rest,    w->rest_start, w->taps,
                       w->bias,      w->coefficients, w->scratch, w->matrix,     w->map_bias,
                       w->edge_bias, w->gain,         w->table};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    free(w->bytes);
}

static void run_coupling(const of_kernels *kernels, const workload *w, of_tap_row taps) {
    const shape *s = w->shape;
    if (!s->mapped) /* repeated products would shrink to denormals */
        memcpy(w->rest + (size_t)taps.row * s->side * s->channels / 2, w->rest_start,
               (size_t)s->side * s->channels / 2 * sizeof *w->rest);
    (void)kernels->coupling_row(&(of_coupling_row){
        .taps = taps,
        .half = s->channels / 2,
        .affine = s->affine,
        .inverse = s->inverse,
        .scale_map = s->scale_map,
        .shift_after = s->shift_after,
        .gain = w->gain,
        .pass = w->pass,
        .rest = w->rest,
        .map = s->mapped ? &w->map : NULL,
        .scratch = w->scratch,
    });
}

static void run_row(const of_kernels *kernels, const workload *w, uint32_t row) {
    const shape *s = w->shape;
    size_t row_stride = (size_t)s->side * s->channels / 2;
    of_squeeze_row squeeze = {.source = s->kind == SQUEEZE_U8 ? (void *)w->bytes : w->source,
                              .row_stride = row_stride,
                              .source_channels = s->channels / 4,
                              .width = s->side,
                              .row = row,
                              .map = &w->map,
                              .pass = w->pass,
                              .rest = w->rest,
                              .scratch = w->scratch};
    of_tap_row taps = {.taps = w->taps,
                       .stride = w->tap_values,
                       .bias = w->bias,
                       .edge_bias = s->edges ? w->edge_bias : NULL,
                       .outputs = s->affine ? s->channels : s->channels / 2,
                       .kernel = s->kernel,
                       .height = s->side,
                       .width = s->side,
                       .row = row};
    of_network_input input = {.pass = w->pass + (size_t)row * row_stride,
                              .scale = w->bias,
                              .shift = w->gain,
                              .positions = s->side,
                              .half = s->channels / 2,
                              .inputs = s->channels / 2 + 2,
                              .ones = true};
    switch (s->kind) {
    case SQUEEZE_U8:
        kernels->squeeze_row_u8(&squeeze);
        break;
    case SQUEEZE_F32:
        kernels->squeeze_row_f32(&squeeze);
        break;
    case UNSQUEEZE:
        kernels->unsqueeze_row(&(of_unsqueeze_row){w->pass, w->rest, w->source, row_stride,
                                                   s->channels / 4, s->side, row});
        break;
    case TAP_SUM:
        kernels->tap_sum_row(&taps, w->coefficients);
        break;
    case COUPLING:
        run_coupling(kernels, w, taps);
        break;
    case INPUT:
        kernels->network_input(&input, w->source);
        break;
    case INPUT_BF16:
        kernels->network_input_bf16(&input, (uint16_t *)(void *)w->bytes);
        break;
    case GAUSSIAN:
        (void)kernels->scale_shift(w->source, w->pass, w->rest, NULL, s->channels / 2);
        break;
    case ROUND:
        kernels->round_to_bf16(w->source, (uint16_t *)(void *)w->bytes, s->channels / 2);
        break;
    case LOOK_UP:
        kernels->look_up(w->bytes, w->table, w->source, s->channels / 2);
        break;
    }
}

static void run_image(const of_kernels *kernels, const void *work) {
    const workload *w = work;
    for (uint32_t row = 0; row < w->shape->side; row++)
        run_row(kernels, w, row);
}

void bench_forward(const bench_filter *filter) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        if (!bench_wanted(filter, s->name))
            continue;
        workload w = make_workload(s);
        uint32_t units = s->kind >= GAUSSIAN ? s->channels / 2 : s->side * s->side;
        bench_print(filter, &(bench_row){s->name, run_image, &w, units, 0.0, NULL});
        free_workload(&w);
    }
}
