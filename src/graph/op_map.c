/* SPDX-License-Identifier: Apache-2.0 */
/* ActNorm and channel mixing as one map y = A x + b: for the kernels of enter and tail, or in dense
 * blocks as a product of its own. */
#include "core/memory.h"
#include "graph/run.h"
#include "model/mixing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* W diag(e^s) (x + loc) = A x + A loc */
of_status of_map_fold(const of_model *model, uint32_t s, of_step_map *map, of_pack_buffers *b,
                      of_error *error) {
    const float *loc = of_model_values(model, map->parameters.numbers[0]);
    const float *log_scale = of_model_values(model, map->parameters.numbers[1]);
    size_t n = map->channels;
    of_error reason = {0};
    of_status status = of_mixing_matrix(model, s, map->step, b->matrix, &map->log_det, &reason);
    if (status != OF_OK)
        return of_fail(error, status, "scales.%u.steps.%u: %s", (unsigned)s, (unsigned)map->step,
                       reason.message);
    for (size_t c = 0; c < n; c++)
        map->log_det += (double)log_scale[c];
    for (size_t r = 0; r < n; r++) {
        b->bias[r] = 0;
        for (size_t c = 0; c < n; c++) {
            b->matrix[r * n + c] *= exp((double)log_scale[c]);
            b->bias[r] += b->matrix[r * n + c] * (double)loc[c];
        }
    }
    return OF_OK;
}

/* ---- Maps for the kernels ----------------------------------------------------------------- */

/* Place of output r in a packed row: halves are padded apart. */
static size_t padded_place(const of_channel_map *map, uint32_t r) {
    uint32_t half = map->channels / 2;
    return r < half ? r : map->half_padded + (r - half);
}

of_status of_channel_map_allocate(of_arena *arena, uint32_t channels, of_channel_map *map,
                                  of_error *error) {
    if (map->matrix != NULL)
        return OF_OK;
    map->channels = channels;
    map->half_padded = (uint32_t)of_round_up(channels / 2, OF_MAP_PADDING);
    size_t row = (size_t)2 * map->half_padded;
    map->matrix = of_arena_take(arena, channels * row, sizeof(float));
    map->bias = of_arena_take(arena, row, sizeof(float));
    return map->matrix && map->bias ? OF_OK : of_fail_memory(error, "a channel map");
}

void of_channel_map_pack(const double *matrix, const double *bias, double factor, double offset,
                         bool transposed, of_channel_map *map) {
    size_t row = (size_t)2 * map->half_padded, n = map->channels;
    for (uint32_t r = 0; r < n; r++) {
        double shift = bias[r];
        for (uint32_t c = 0; c < n; c++) {
            double value = transposed ? matrix[c * n + r] : matrix[r * n + c];
            map->matrix[c * row + padded_place(map, r)] = (float)(value * factor);
            shift += value * offset;
        }
        map->bias[padded_place(map, r)] = (float)shift;
    }
}

void of_channel_map_unpack(const of_channel_map *map, double *matrix, double *bias) {
    size_t row = (size_t)2 * map->half_padded;
    for (uint32_t r = 0; r < map->channels; r++) {
        bias[r] = (double)map->bias[padded_place(map, r)];
        for (uint32_t c = 0; c < map->channels; c++)
            matrix[(size_t)r * map->channels + c] =
                (double)map->matrix[c * row + padded_place(map, r)];
    }
}

of_status of_map_allocate(of_plan *plan, of_step_map *map, bool pixels, of_error *error) {
    of_channel_map *const maps[] = {&map->forward, plan->for_training ? &map->transposed : NULL,
                                    pixels ? &map->entry_u8 : NULL,
                                    pixels ? &map->entry_f32 : NULL};
    of_status status = OF_OK;
    for (int i = 0; status == OF_OK && map->channels > 0 && i < 4; i++)
        if (maps[i] != NULL)
            status = of_channel_map_allocate(&plan->arena, map->channels, maps[i], error);
    return status;
}

of_status of_map_pack(const of_model *model, uint32_t s, of_step_map *map, of_pack_buffers *b,
                      of_error *error) {
    of_status status = map->channels > 0 ? of_map_fold(model, s, map, b, error) : OF_OK;
    if (status != OF_OK || map->channels == 0)
        return status;
    of_channel_map_pack(b->matrix, b->bias, 1, 0, false, &map->forward);
    if (map->transposed.matrix != NULL)
        of_channel_map_pack(b->matrix, b->bias, 1, 0, true, &map->transposed);
    if (map->entry_u8.matrix != NULL) {
        of_channel_map_pack(b->matrix, b->bias, OF_PIXEL_SCALE_U8, OF_PIXEL_CENTRE, false,
                            &map->entry_u8);
        of_channel_map_pack(b->matrix, b->bias, OF_PIXEL_SCALE_F32, OF_PIXEL_CENTRE, false,
                            &map->entry_f32);
    }
    return OF_OK;
}

/* ---- Products of dense blocks ------------------------------------------------------------- */

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    of_status status = of_packed_allocate(plan, op->code, op->shape.outputs, &op->packed, error);
    if (status == OF_OK && op->transposed_code != NULL)
        status =
            of_packed_allocate(plan, op->transposed_code, 0, &op->map.transposed_product, error);
    return status;
}

/* y = A x, and for training the way of gradients, g_x = A^T g_y. */
static of_status pack(const of_plan *plan, const of_model *model, of_op *op, of_pack_buffers *b,
                      of_error *error) {
    (void)plan;
    size_t n = op->map.channels;
    of_status status = of_map_fold(model, op->scale, &op->map, b, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < n * n; i++)
        b->folded.weights[i] = (float)b->matrix[i];
    for (size_t i = 0; i < n; i++)
        op->packed.bias[i] = (float)b->bias[i];
    status = of_convolution_pack(op->code, b->folded.weights, op->packed.weights, error);
    if (status != OF_OK || op->transposed_code == NULL)
        return status;
    for (size_t row = 0; row < n; row++)
        for (size_t column = 0; column < n; column++)
            b->folded.weights[column * n + row] = (float)b->matrix[row * n + column];
    return of_convolution_pack(op->transposed_code, b->folded.weights,
                               op->map.transposed_product.weights, error);
}

void of_join_halves(size_t units, size_t half, const float *pass, const float *rest,
                    float *joined) {
    for (size_t u = 0; u < units; u++) {
        memcpy(joined + 2 * u * half, pass + u * half, half * sizeof(float));
        memcpy(joined + (2 * u + 1) * half, rest + u * half, half * sizeof(float));
    }
}

void of_part_halves(size_t units, size_t half, const float *joined, float *pass, float *rest) {
    for (size_t u = 0; u < units; u++) {
        memcpy(pass + u * half, joined + 2 * u * half, half * sizeof(float));
        memcpy(rest + u * half, joined + (2 * u + 1) * half, half * sizeof(float));
    }
}

static of_status multiply(const of_run *run, const of_op *op, const of_packed_layer *packed,
                          const of_units *units, of_error *error) {
    of_worker *worker = run->worker;
    size_t half = run->plan->scales[op->scale].half;
    float *pass = worker->pass[op->scale] + units->first * half;
    float *rest = worker->rest[op->scale] + units->first * half;
    of_join_halves(units->count, half, pass, rest, worker->mix[0]);
    of_status status =
        of_convolution_run(op->code, units->count, worker->mix[0], packed->weights, packed->bias,
                           worker->mix[1], worker->convolution_scratch, error);
    if (status == OF_OK)
        of_part_halves(units->count, half, worker->mix[1], pass, rest);
    return status;
}

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    return multiply(run, op, &op->packed, units, error);
}

static of_status inverse(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    return multiply(run, op, &op->map.inverse_product, units, error);
}

const of_op_type of_map_type = {.allocate = allocate,
                                .pack = pack,
                                .forward = forward,
                                .inverse = inverse,
                                .describe = of_convolution_describe};
