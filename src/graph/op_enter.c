/* SPDX-License-Identifier: Apache-2.0 */
/* Entering a scale: pixels, or what the scale before leaves, squeezed, and step 0's map. Pixels are
 * bytes v, whose levels are q = floor(v / 2^(8 - bits)), or floats v/255, whose levels are not
 * rounded; x = scale q + shift, and its logit if there is one. */
#include "core/memory.h"
#include "graph/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Input maps --------------------------------------------------------------------------- */

/* x of a level, and its log-determinant: with A the logit's p = A + (1 - 2A) x,
 * ln p - ln(1 - p) and ln(1 - 2A) - ln p - ln(1 - p). */
static double input_value(const of_input_map *input, double level, double *log_det) {
    double x = input->scale * level + input->shift;
    *log_det = 0;
    if (input->logit == 0)
        return x;
    double p = input->logit + (1 - 2 * input->logit) * x;
    *log_det = log(1 - 2 * input->logit) - log(p) - log1p(-p);
    return log(p) - log1p(-p);
}

/* The way back, v/255 from a value. */
static double pixel_of(const of_input_map *input, double value) {
    double x = value;
    if (input->logit > 0)
        x = (1 / (1 + exp(-value)) - input->logit) / (1 - 2 * input->logit);
    return (x - input->shift) * (1 / (input->scale * of_input_levels(input)));
}

/* Bytes of fewer bits, and logits, are looked up. */
static of_status make_table(of_plan *plan, of_op *op, of_error *error) {
    const of_input_map *input = &plan->architecture.input;
    if (input->bits == 8 && input->logit == 0)
        return OF_OK;
    op->table = of_arena_take(&plan->arena, 256, sizeof *op->table);
    double *log_dets = of_arena_take(&plan->arena, 256, sizeof *log_dets);
    if (op->table == NULL || log_dets == NULL)
        return of_fail_memory(error, "an input map");
    for (unsigned v = 0; v < 256; v++)
        op->table[v] = (float)input_value(input, v >> (8 - input->bits), &log_dets[v]);
    op->log_dets = input->logit > 0 ? log_dets : NULL;
    return OF_OK;
}

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    of_status status = op->scale == 0 ? make_table(plan, op, error) : OF_OK;
    return status == OF_OK ? of_map_allocate(plan, &op->map, op->scale == 0, error) : status;
}

static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    (void)plan;
    return of_map_pack(model, op->scale, &op->map, buffers, error);
}

/* Pixels of one unit of one image. */
typedef struct pixel_view {
    of_pixel_type type;
    const void *pixels; /* of the unit's top left */
    size_t row_stride;  /* elements */
} pixel_view;

static pixel_view pixel_unit(const of_plan *plan, const of_batch *batch, size_t image,
                             uint32_t unit) {
    const of_architecture *a = &plan->architecture;
    size_t row = (size_t)a->width * a->channels, start = image * a->height * row;
    if (a->family == OF_FAMILY_PATCH_GLOW) {
        uint32_t across = a->width / OF_PATCH_SIZE;
        start += (size_t)(unit / across) * OF_PATCH_SIZE * row;
        start += (size_t)(unit % across) * OF_PATCH_SIZE * a->channels;
    }
    size_t size = batch->type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    return (pixel_view){batch->type, (const char *)batch->pixels + start * size, row};
}

/* Values of n of a unit's pixels from place `first` on; returns the sum of their log-determinants.
 */
static double read_values(const of_run *run, const of_op *op, const pixel_view *view, size_t first,
                          size_t n, float *values) {
    const of_input_map *input = &run->plan->architecture.input;
    const uint8_t *bytes = (const uint8_t *)view->pixels + first;
    const float *floats = (const float *)view->pixels + first;
    bool are_bytes = view->type == OF_PIXEL_U8;
    double sum = 0, log_det = 0;
    if (are_bytes)
        run->plan->kernels->look_up(bytes, op->table, values, n);
    for (size_t i = 0; i < n && !(are_bytes && op->log_dets == NULL); i++) {
        if (are_bytes)
            log_det = op->log_dets[bytes[i]];
        else
            values[i] =
                (float)input_value(input, (double)floats[i] * of_input_levels(input), &log_det);
        sum += log_det;
    }
    return sum;
}

/* A unit's pixels as values in the worker, where they are no linear map of what they were; returns
 * their log-determinants. */
static double read_pixels(const of_run *run, const of_op *op, pixel_view *view) {
    const of_scale_shape *shape = &run->plan->scales[0].shape;
    size_t row = (size_t)2 * shape->width * (shape->channels / 4);
    double sum = 0;
    for (size_t y = 0; y < (size_t)2 * shape->height; y++)
        sum += read_values(run, op, view, y * view->row_stride, row, run->worker->pixels + y * row);
    *view = (pixel_view){OF_PIXEL_F32, run->worker->pixels, row};
    return sum;
}

void of_enter_log_dets(const of_run *run, const of_op *op, const of_group *group, uint32_t unit,
                       double *contributions) {
    const of_plan *plan = run->plan;
    const of_scale_shape *shape = &plan->scales[op->scale].shape;
    size_t channels = shape->channels / 4, row = (size_t)2 * shape->width * channels;
    float value;
    if (op->log_dets == NULL)
        return;
    const pixel_view view =
        pixel_unit(plan, group->batch, of_group_image(plan, group, unit), unit % plan->units);
    for (size_t y = 0; y < (size_t)2 * shape->height; y++)
        for (size_t i = 0; i < row; i++)
            contributions[y / 2 * shape->width + i / (2 * channels)] +=
                read_values(run, op, &view, y * view.row_stride + i, 1, &value);
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

static void enter_convolutional(const of_run *run, const of_op *op, uint32_t unit,
                                const pixel_view *view) {
    uint32_t s = op->scale;
    const of_scale_plan *scale = &run->plan->scales[op->scale];
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
        row.map = op->table != NULL ? &op->map.forward
                  : bytes           ? &op->map.entry_u8
                                    : &op->map.entry_f32;
    } else {
        const of_scale_plan *before = scale - 1;
        row.source = of_onward(run, s - 1) + unit * (size_t)before->positions * before->half;
        row.row_stride = (size_t)before->columns * before->half;
        row.map = &op->map.forward;
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

static void enter_dense(const of_run *run, const of_op *op, uint32_t unit, const pixel_view *view) {
    uint32_t s = op->scale;
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    size_t half = scale->half;
    float *halves[2] = {run->worker->pass[s] + unit * half, run->worker->rest[s] + unit * half};
    strided axes = view ? pixels_of(&scale->shape, view->row_stride) : planes(&scale[-1].shape);
    const float *before = view ? NULL : of_onward(run, s - 1) + unit * (size_t)scale[-1].half;
    const of_input_map *input = &run->plan->architecture.input;
    for (size_t i = 0; i < 2 * half; i++) {
        size_t from = squeezed_source(&scale->shape, i, axes);
        float value;
        if (view == NULL)
            value = before[from];
        else if (op->table != NULL)
            value = ((const float *)view->pixels)[from];
        else if (view->type == OF_PIXEL_U8)
            value = (float)(((const uint8_t *)view->pixels)[from] * input->scale + input->shift);
        else
            value = (float)((double)((const float *)view->pixels)[from] *
                                (input->scale * of_input_levels(input)) +
                            input->shift);
        halves[i / half][i % half] = value;
    }
    if (run->kept != NULL) {
        memcpy(run->kept->squeezed_pass[s] + unit * half, halves[0], half * sizeof(float));
        memcpy(run->kept->squeezed_rest[s] + unit * half, halves[1], half * sizeof(float));
    }
}

/* ---- The way back ------------------------------------------------------------------------- */

static void leave_convolutional(const of_run *run, const of_op *op, uint32_t unit, float *target,
                                size_t row_stride) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    size_t floats = (size_t)scale->positions * scale->half;
    of_unsqueeze_row row = {.pass = run->worker->pass[op->scale] + unit * floats,
                            .rest = run->worker->rest[op->scale] + unit * floats,
                            .target = target,
                            .row_stride = row_stride,
                            .source_channels = scale->channels / 4,
                            .width = scale->columns};
    for (row.row = 0; row.row < scale->rows; row.row++)
        run->plan->kernels->unsqueeze_row(&row);
}

static void leave_dense(const of_run *run, const of_op *op, uint32_t unit, float *target,
                        strided axes) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    size_t half = scale->half;
    const float *halves[2] = {run->worker->pass[op->scale] + unit * half,
                              run->worker->rest[op->scale] + unit * half};
    for (size_t i = 0; i < 2 * half; i++)
        target[squeezed_source(&scale->shape, i, axes)] = halves[i / half][i % half];
}

/* x -> v/255. */
static void to_pixel_units(const of_input_map *input, float *target, const of_scale_shape *shape,
                           size_t row_stride) {
    size_t columns = (size_t)2 * shape->width * (shape->channels / 4);
    for (size_t y = 0; y < (size_t)2 * shape->height; y++)
        for (size_t x = 0; x < columns; x++) {
            float *value = &target[y * row_stride + x];
            *value = (float)pixel_of(input, (double)*value);
        }
}

void of_pixels_leave(const of_run *run, const of_op *op, uint32_t unit, float *target,
                     size_t row_stride) {
    uint32_t s = op->scale;
    const of_scale_plan *scale = &run->plan->scales[s];
    bool dense = run->plan->architecture.block == OF_BLOCK_DENSE;
    strided axes = pixels_of(&scale->shape, row_stride);
    if (s > 0) {
        const of_scale_plan *before = scale - 1;
        target = of_onward(run, s - 1) + unit * (size_t)before->positions * before->half;
        row_stride = (size_t)before->columns * before->half;
        axes = planes(&before->shape);
    }
    if (dense)
        leave_dense(run, op, unit, target, axes);
    else
        leave_convolutional(run, op, unit, target, row_stride);
    if (s == 0)
        to_pixel_units(&run->plan->architecture.input, target, &scale->shape, row_stride);
}

/* ---- The op ------------------------------------------------------------------------------- */

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    (void)error;
    const of_plan *plan = run->plan;
    const of_group *group = units->group;
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    void (*enter)(const of_run *, const of_op *, uint32_t, const pixel_view *) =
        dense ? enter_dense : enter_convolutional;
    for (uint32_t u = units->first; u < units->first + units->count; u++) {
        pixel_view view = {0};
        bool pixels = op->scale == 0;
        if (pixels)
            view = pixel_unit(plan, group->batch, of_group_image(plan, group, u), u % plan->units);
        if (pixels && op->table != NULL) {
            double log_det = read_pixels(run, op, &view);
            if (op->log_dets != NULL)
                run->worker->contributions[(size_t)u * plan->scale_count] += log_det;
        }
        enter(run, op, u, pixels ? &view : NULL);
    }
    return OF_OK;
}

/* Images are floats. */
static of_status inverse(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    (void)error;
    const of_plan *plan = run->plan;
    const of_group *group = units->group;
    const of_batch images = {OF_PIXEL_F32, group->made, 0};
    for (uint32_t u = units->first; u < units->first + units->count; u++) {
        pixel_view view =
            pixel_unit(plan, &images, of_group_image(plan, group, u), u % plan->units);
        float *target = group->made + ((const float *)view.pixels - group->made);
        of_pixels_leave(run, op, u, target, view.row_stride);
    }
    return OF_OK;
}

static void describe(const of_plan *plan, const of_op *op, of_layer_info *info) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    bool map = op->map.channels > 0;
    size_t state = of_describe_state_bytes(plan, scale);
    (void)snprintf(info->operation, sizeof info->operation, "%s",
                   map ? "squeeze, map" : "squeeze, flatten");
    info->flops = map ? of_describe_map_flops(plan, scale) : 0;
    info->input_bytes = op->scale == 0 ? state / sizeof(float) : state; /* pixels are bytes */
    info->output_bytes = state;
}

const of_op_type of_enter_type = {.allocate = allocate,
                                  .pack = pack,
                                  .forward = forward,
                                  .inverse = inverse,
                                  .describe = describe};
