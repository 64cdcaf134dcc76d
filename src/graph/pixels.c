/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/run.h"

#include <string.h>

/* x = (v + 1/2)/256 - 1/2 = v/256 + CENTRE for a byte v; floats hold v/255. */
#define CENTRE (0.5 / 256 - 0.5)

of_pixel_view of_pixel_unit(const of_plan *plan, const of_batch *batch, size_t image,
                            uint32_t unit) {
    const of_architecture *a = &plan->architecture;
    size_t row = (size_t)a->width * a->channels, start = image * a->height * row;
    if (a->family == OF_FAMILY_PATCH_GLOW) {
        uint32_t across = a->width / OF_PATCH_SIZE;
        start += (size_t)(unit / across) * OF_PATCH_SIZE * row;
        start += (size_t)(unit % across) * OF_PATCH_SIZE * a->channels;
    }
    size_t size = batch->type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    return (of_pixel_view){batch->type, (const char *)batch->pixels + start * size, row};
}

/* ---- Convolutional blocks: the kernels squeeze and map at once ---------------------------- */

static void enter_rows(const of_run *run, of_squeeze_row *row, uint32_t rows, bool bytes) {
    const of_kernels *kernels = run->plan->kernels;
    for (row->row = 0; row->row < rows; row->row++) {
        if (bytes)
            kernels->squeeze_row_u8(row);
        else
            kernels->squeeze_row_f32(row);
    }
}

static void enter_convolutional(const of_run *run, uint32_t s, uint32_t unit,
                                const of_pixel_view *view) {
    const of_scale_plan *scale = &run->plan->scales[s];
    const of_worker *worker = run->worker;
    size_t floats = (size_t)scale->positions * scale->half;
    of_squeeze_row row = {.source_channels = scale->channels / 4,
                          .width = scale->columns,
                          .pass = worker->pass[s] + unit * floats,
                          .rest = worker->rest[s] + unit * floats,
                          .scratch = worker->row_scratch};
    bool bytes = view != NULL && view->type == OF_PIXEL_U8;
    if (view != NULL) {
        row.source = view->pixels;
        row.row_stride = view->row_stride;
        row.map = bytes ? &scale->entry_u8 : &scale->entry_f32;
    } else {
        const of_scale_plan *before = scale - 1;
        row.source = worker->rest[s - 1] + unit * (size_t)before->positions * before->half;
        row.row_stride = (size_t)before->columns * before->half;
        row.map = &scale->steps[0].map;
    }
    enter_rows(run, &row, scale->rows, bytes);
    if (run->kept != NULL) { /* once more without the map: the gradient of the map needs it */
        row.map = &run->kept->identity[s];
        row.pass = run->kept->squeezed_pass[s] + unit * floats;
        row.rest = run->kept->squeezed_rest[s] + unit * floats;
        enter_rows(run, &row, scale->rows, bytes);
    }
}

/* ---- Dense blocks: the squeezed scale as one channel-major vector ------------------------- */

/* Any image with a distance for each of its axes. */
typedef struct strided {
    size_t channel, row, column;
} strided;

/* Place in [pass, rest] -> place in the unsqueezed image: channel c*4 + dy*2 + dx at (y, x) is
 * channel c at (2y + dy, 2x + dx). */
static size_t squeezed_source(const of_scale_shape *shape, size_t index, strided axes) {
    size_t area = (size_t)shape->height * shape->width;
    size_t channel = index / area, y = index % area / shape->width, x = index % shape->width;
    size_t dy = channel % 4 / 2, dx = channel % 2;
    return channel / 4 * axes.channel + (2 * y + dy) * axes.row + (2 * x + dx) * axes.column;
}

/* The rest of a dense scale: channel-major planes. */
static strided planes(const of_scale_shape *shape) {
    return (strided){(size_t)shape->height * shape->width, shape->width, 1};
}

static strided pixels_of(const of_scale_shape *shape, size_t row_stride) {
    return (strided){1, row_stride, shape->channels / 4};
}

static void enter_dense(const of_run *run, uint32_t s, uint32_t unit, const of_pixel_view *view) {
    const of_scale_plan *scale = &run->plan->scales[s];
    size_t half = scale->half;
    float *halves[2] = {run->worker->pass[s] + unit * half, run->worker->rest[s] + unit * half};
    strided axes = view ? pixels_of(&scale->shape, view->row_stride) : planes(&scale[-1].shape);
    const float *before = view ? NULL : run->worker->rest[s - 1] + unit * (size_t)scale[-1].half;
    for (size_t i = 0; i < 2 * half; i++) {
        size_t from = squeezed_source(&scale->shape, i, axes);
        float value;
        if (view == NULL)
            value = before[from];
        else if (view->type == OF_PIXEL_U8)
            value = (float)(((const uint8_t *)view->pixels)[from] / 256.0 + CENTRE);
        else
            value = (float)((double)((const float *)view->pixels)[from] * (255.0 / 256) + CENTRE);
        halves[i / half][i % half] = value;
    }
    if (run->kept != NULL) {
        memcpy(run->kept->squeezed_pass[s] + unit * half, halves[0], half * sizeof(float));
        memcpy(run->kept->squeezed_rest[s] + unit * half, halves[1], half * sizeof(float));
    }
}

void of_pixels_enter(const of_run *run, uint32_t s, uint32_t unit, const of_pixel_view *view) {
    if (run->plan->architecture.block == OF_BLOCK_DENSE)
        enter_dense(run, s, unit, view);
    else
        enter_convolutional(run, s, unit, view);
}

/* ---- The way back ------------------------------------------------------------------------- */

static void leave_convolutional(const of_run *run, uint32_t s, uint32_t unit, float *target,
                                size_t row_stride) {
    const of_scale_plan *scale = &run->plan->scales[s];
    size_t floats = (size_t)scale->positions * scale->half;
    of_unsqueeze_row row = {.pass = run->worker->pass[s] + unit * floats,
                            .rest = run->worker->rest[s] + unit * floats,
                            .target = target,
                            .row_stride = row_stride,
                            .source_channels = scale->channels / 4,
                            .width = scale->columns};
    for (row.row = 0; row.row < scale->rows; row.row++)
        run->plan->kernels->unsqueeze_row(&row);
}

static void leave_dense(const of_run *run, uint32_t s, uint32_t unit, float *target, strided axes) {
    const of_scale_plan *scale = &run->plan->scales[s];
    size_t half = scale->half;
    const float *halves[2] = {run->worker->pass[s] + unit * half,
                              run->worker->rest[s] + unit * half};
    for (size_t i = 0; i < 2 * half; i++)
        target[squeezed_source(&scale->shape, i, axes)] = halves[i / half][i % half];
}

/* x -> v/255 with x = v/256 + CENTRE. */
static void to_pixel_units(float *target, const of_scale_shape *shape, size_t row_stride) {
    size_t columns = (size_t)2 * shape->width * (shape->channels / 4);
    for (size_t y = 0; y < (size_t)2 * shape->height; y++)
        for (size_t x = 0; x < columns; x++) {
            float *value = &target[y * row_stride + x];
            *value = (float)(((double)*value - CENTRE) * (256.0 / 255));
        }
}

void of_pixels_leave(const of_run *run, uint32_t s, uint32_t unit, float *target,
                     size_t row_stride) {
    const of_scale_plan *scale = &run->plan->scales[s];
    bool dense = run->plan->architecture.block == OF_BLOCK_DENSE;
    strided axes = pixels_of(&scale->shape, row_stride);
    if (s > 0) {
        const of_scale_plan *before = scale - 1;
        target = run->worker->rest[s - 1] + unit * (size_t)before->positions * before->half;
        row_stride = (size_t)before->columns * before->half;
        axes = planes(&before->shape);
    }
    if (dense)
        leave_dense(run, s, unit, target, axes);
    else
        leave_convolutional(run, s, unit, target, row_stride);
    if (s == 0)
        to_pixel_units(target, &scale->shape, row_stride);
}
