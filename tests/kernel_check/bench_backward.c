/* SPDX-License-Identifier: Apache-2.0 */
/* Times the backward kernels on the shapes of real models: whole images, or whole gradients. Per
 * position, per value for those that go through flat arrays. The rates count the bytes of the
 * arrays named in kernels.h once for each reading and writing, and two operations for each product
 * that enters a sum. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

typedef enum kind {
    SCATTER,
    GATHER,
    MAP,
    COUPLING,
    COUPLING_TANH, /* shift after */
    INPUT,
    RELU,
    LEAKY,
    DENSITY,
    OPTIMIZER,
    ACCUMULATE,
    SQUARES
} kind;

typedef struct shape {
    const char *name;
    kind kind;
    uint32_t channels, side; /* flat arrays: values, 1 */
    of_optimizer_kind optimizer;
} shape;

static const shape shapes[] = {
    {"tap_scatter_row N=12 16x16", SCATTER, 12, 16, 0},
    {"tap_scatter_row N=24 8x8", SCATTER, 24, 8, 0},
    {"tap_scatter_row N=48 4x4", SCATTER, 48, 4, 0},
    {"tap_scatter_row N=6 16x16 mirrored", GATHER, 6, 16, 0},
    {"tap_scatter_row N=12 8x8 mirrored", GATHER, 12, 8, 0},
    {"map_backward C=12 16x16", MAP, 12, 16, 0},
    {"map_backward C=24 8x8", MAP, 24, 8, 0},
    {"map_backward C=48 4x4", MAP, 48, 4, 0},
    {"map_backward C=4 16x16", MAP, 4, 16, 0},
    {"map_backward C=16 4x4", MAP, 16, 4, 0},
    {"map_backward C=3072 dense", MAP, 3072, 1, 0},
    {"coupling_backward C=12 16x16", COUPLING, 12, 16, 0},
    {"coupling_backward C=24 8x8", COUPLING, 24, 8, 0},
    {"coupling_backward C=48 4x4", COUPLING, 48, 4, 0},
    {"coupling_backward C=12 tanh, after", COUPLING_TANH, 12, 16, 0},
    {"network_input_backward 6 16x16", INPUT, 12, 16, 0},
    {"relu_backward 64 16x16 leak", LEAKY, 64, 16, 0},
    {"relu_backward 64 16x16", RELU, 64, 16, 0},
    {"relu_backward 128 16x16", RELU, 128, 16, 0},
    {"relu_backward 512 16x16", RELU, 512, 16, 0},
    {"relu_backward 512 8x8", RELU, 512, 8, 0},
    {"relu_backward 512 4x4", RELU, 512, 4, 0},
    {"scale_shift_backward 1536", DENSITY, 1536, 1, 0},
    {"optimizer_update adamax 32k", OPTIMIZER, 32768, 1, OF_OPTIMIZER_ADAMAX},
    {"optimizer_update adamax 8M", OPTIMIZER, 8388608, 1, OF_OPTIMIZER_ADAMAX},
    {"optimizer_update adam 8M", OPTIMIZER, 8388608, 1, OF_OPTIMIZER_ADAM},
    {"optimizer_update adamw 8M", OPTIMIZER, 8388608, 1, OF_OPTIMIZER_ADAMW},
    {"accumulate 32k", ACCUMULATE, 32768, 1, 0},
    {"accumulate 8M", ACCUMULATE, 8388608, 1, 0},
    {"square_sum 32k", SQUARES, 32768, 1, 0},
    {"square_sum 8M", SQUARES, 8388608, 1, 0},
};

enum { ARRAYS = 8 };

/* Arrays a..: what they hold is told by the calls in run(). */
typedef struct workload {
    const shape *shape;
    size_t positions;
    of_channel_map map;
    float *arrays[ARRAYS];
} workload;

static bool flat(const shape *s) {
    return s->kind >= DENSITY;
}

/* Floats of each array, and the rate. */
static size_t sizes_of(const shape *s, size_t sizes[ARRAYS], bench_row *row) {
    size_t positions = (size_t)s->side * s->side, c = s->channels, values = positions * c;
    size_t padded = 2 * ((c / 2 + OF_MAP_PADDING - 1) / OF_MAP_PADDING * OF_MAP_PADDING);
    double n = (double)c;
    memset(sizes, 0, ARRAYS * sizeof *sizes);
    row->rate_name = "GB/s";
    for (int i = 0; i < 4; i++)
        sizes[i] = values;
    switch (s->kind) {
    case SCATTER:
    case GATHER:
        sizes[1] = 9 * values;
        row->rate = 40.0 * n;
        break;
    case MAP:
        sizes[0] = sizes[1] = sizes[2] = sizes[3] = values / 2;
        sizes[4] = c * c;
        sizes[5] = c;
        sizes[6] = scratch_floats(padded);
        sizes[7] = c * padded;
        row->rate = 4.0 * n * n;
        row->rate_name = "GFLOP/s";
        break;
    case COUPLING:
        row->rate = 4.0 * n * 3.0;
        break;
    case COUPLING_TANH:
    case INPUT:
        row->rate = 4.0 * n * 2.0;
        break;
    case RELU:
    case LEAKY:
        row->rate = 12.0 * n;
        break;
    case DENSITY:
        for (int i = 4; i < 6; i++)
            sizes[i] = values;
        row->rate = 32.0;
        break;
    case OPTIMIZER:
        row->rate = 28.0;
        break;
    case ACCUMULATE:
        row->rate = 12.0;
        break;
    case SQUARES:
        row->rate = 4.0;
        break;
    }
    return padded;
}

static workload make_workload(const shape *s, bench_row *row) {
    of_random random = of_random_stream(1, 2);
    size_t sizes[ARRAYS], padded = sizes_of(s, sizes, row);
    workload w = {.shape = s, .positions = (size_t)s->side * s->side};
    for (int i = 0; i < ARRAYS; i++)
        w.arrays[i] = bench_values(&random, sizes[i], i == 7 ? 1.0f / (float)s->channels : 0.5f);
    w.map = (of_channel_map){w.arrays[7], NULL, s->channels, (uint32_t)(padded / 2)};
    return w;
}

/* A kernel that works in place would shrink its gradient to denormals: it gets a fresh one. The
 * copy costs a fraction of an array's traffic, and the same for all. */
static void refresh(float *target, const float *source, size_t count) {
    memcpy(target, source, count * sizeof *target);
}

static void run_taps(const of_kernels *kernels, const workload *w, bool mirrored) {
    of_tap_row row = {.stride = 9 * (size_t)w->shape->channels,
                      .outputs = w->shape->channels,
                      .kernel = 3,
                      .height = w->shape->side,
                      .width = w->shape->side};
    for (; row.row < row.height; row.row++)
        kernels->tap_scatter_row(&row, w->arrays[0], mirrored, w->arrays[1]);
}

static void run_optimizer(const of_kernels *kernels, const workload *w) {
    float *const *a = w->arrays;
    kernels->optimizer_update(&(of_optimizer_update){
        .kind = w->shape->optimizer,
        .values = a[0],
        .first = a[1],
        .second = a[2],
        .gradients = a[3],
        .n = w->shape->channels,
        .gradient_scale = 0.9f,
        .rate = 1e-3f,
        .step = 1e-3f,
        .beta1 = 0.9f,
        .beta2 = 0.999f,
        .epsilon = 1e-8f,
        .second_correction = 1.0f,
    });
}

static void run_coupling(const of_kernels *kernels, const workload *w, bool tanh) {
    float *const *a = w->arrays;
    of_coupling_backward task = {
        .rest_after = a[0],
        .scale = a[1],
        .log_det_gradient = 0.1f,
        .g_rest = a[2],
        .g_coefficients = a[3],
        .positions = w->positions,
        .half = w->shape->channels / 2,
        .affine = true,
    };
    if (tanh) {
        task.scale_map = OF_SCALE_MAP_TANH;
        task.shift_after = true;
        task.scaled = a[0];
        task.tanh_kept = a[0];
        task.gain = a[1];
        task.gain_gradient = a[1] + w->positions * w->shape->channels / 2; /* array's second half */
    }
    kernels->coupling_backward(&task);
}

static void run(const of_kernels *kernels, const void *work) {
    const workload *w = work;
    float *const *a = w->arrays;
    size_t channels = w->shape->channels;
    static volatile double sink;
    switch (w->shape->kind) {
    case SCATTER:
    case GATHER:
        run_taps(kernels, w, w->shape->kind == GATHER);
        break;
    case MAP:
        kernels->map_backward(
            &(of_map_backward){a[0], a[1], a[2], a[3], w->positions, &w->map, a[4], a[5], a[6]});
        break;
    case COUPLING:
        refresh(a[2], a[0], w->positions * channels / 2);
        run_coupling(kernels, w, false);
        break;
    case COUPLING_TANH:
        refresh(a[2], a[0], w->positions * channels / 2);
        run_coupling(kernels, w, true);
        break;
    case INPUT:
        kernels->network_input_backward(&(of_network_input_backward){
            .pass = a[0],
            .scale = a[1],
            .shift = a[1] + channels,
            .g_inputs = a[0],
            .g_pass = a[2],
            .scale_gradient = a[3],
            .shift_gradient = a[3] + channels,
            .positions = w->positions,
            .half = w->shape->channels / 2,
            .inputs = w->shape->channels / 2,
        });
        break;
    case LEAKY:
        kernels->relu_backward(a[0], a[1], w->positions, channels, 1.0f, a[2]);
        break;
    case RELU:
        kernels->relu_backward(a[0], a[1], w->positions, channels, 0.0f, a[2]);
        break;
    case DENSITY:
        kernels->scale_shift_backward(a[0], a[1], a[2], 1e-3f, a[3], a[4], a[5], channels);
        break;
    case OPTIMIZER:
        run_optimizer(kernels, w);
        break;
    case ACCUMULATE:
        kernels->accumulate(a[0], a[1], channels);
        break;
    case SQUARES:
        sink = kernels->square_sum(a[0], channels);
        (void)sink;
        break;
    }
}

void bench_backward(const bench_filter *filter) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!bench_wanted(filter, shapes[i].name))
            continue;
        bench_row row = {.name = shapes[i].name, .run = run};
        workload w = make_workload(&shapes[i], &row);
        row.work = &w;
        row.units = (double)(flat(&shapes[i]) ? shapes[i].channels : w.positions);
        bench_print(filter, &row);
        for (int a = 0; a < ARRAYS; a++)
            free(w.arrays[a]);
    }
}
