/* SPDX-License-Identifier: Apache-2.0 */
/* ActNorm and channel mixing as one map y = A x + b: for the kernels of enter and tail, or in dense
 * blocks as a product of its own. */
#include "core/memory.h"
#include "graph/training.h"
#include "model/matrix.h"
#include "model/mixing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* W diag(e^s) (x + loc) = A x + A loc */
static of_status fold_map(const of_model *model, uint32_t s, of_step_map *map, of_pack_buffers *b,
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

void of_channel_map_apply(const of_channel_map *map, size_t positions, double *sums, float *pass,
                          float *rest) {
    size_t half = map->channels / 2, row = (size_t)2 * map->half_padded;
    for (size_t p = 0; p < positions; p++, pass += half, rest += half) {
        for (size_t r = 0; r < row; r++)
            sums[r] = (double)map->bias[r];
        for (size_t c = 0; c < 2 * half; c++) {
            double x = (double)(c < half ? pass[c] : rest[c - half]);
            for (size_t r = 0; r < row; r++)
                sums[r] += (double)map->matrix[c * row + r] * x;
        }
        for (size_t c = 0; c < half; c++) {
            pass[c] = (float)sums[c];
            rest[c] = (float)sums[map->half_padded + c];
        }
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
    of_status status = map->channels > 0 ? fold_map(model, s, map, b, error) : OF_OK;
    if (status != OF_OK || map->channels == 0)
        return status;
    of_channel_map_pack(b->matrix, b->bias, 1, 0, false, &map->forward);
    if (map->transposed.matrix != NULL)
        of_channel_map_pack(b->matrix, b->bias, 1, 0, true, &map->transposed);
    if (map->entry_u8.matrix != NULL) {
        const of_input_map *input = &model->architecture.input;
        of_channel_map_pack(b->matrix, b->bias, input->scale, input->shift, false, &map->entry_u8);
        of_channel_map_pack(b->matrix, b->bias, input->scale * of_input_levels(input), input->shift,
                            false, &map->entry_f32);
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
    of_status status = fold_map(model, op->scale, &op->map, b, error);
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

/* [pass, rest] of every unit as rows of one matrix, and back. */
static void join_halves(size_t units, size_t half, const float *pass, const float *rest,
                        float *joined) {
    for (size_t u = 0; u < units; u++) {
        memcpy(joined + 2 * u * half, pass + u * half, half * sizeof(float));
        memcpy(joined + (2 * u + 1) * half, rest + u * half, half * sizeof(float));
    }
}

static void part_halves(size_t units, size_t half, const float *joined, float *pass, float *rest) {
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
    join_halves(units->count, half, pass, rest, worker->mix[0]);
    of_status status =
        of_convolution_run(op->code, units->count, worker->mix[0], packed->weights, packed->bias,
                           worker->mix[1], worker->convolution_scratch, error);
    if (status == OF_OK)
        part_halves(units->count, half, worker->mix[1], pass, rest);
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

/* ---- Backward ----------------------------------------------------------------------------- */

static of_status backward_product(const of_chunk *c, const of_op *op, const float *pass,
                                  const float *rest, of_error *error) {
    size_t n = c->scale->channels, half = c->scale->half;
    float *g_pass = of_chunk_state(c, c->buffers->g_pass[c->s]);
    float *g_rest = of_chunk_state(c, c->buffers->g_rest[c->s]);
    float *g = c->buffers->g_buffer[OF_BUFFER_TAPS], *x = c->buffers->g_buffer[OF_BUFFER_STATE];
    join_halves(c->count, half, g_pass, g_rest, g);
    join_halves(c->count, half, pass, rest, x);
    c->plan->kernels->relu_backward(NULL, g, c->count, n, 0.0f, c->sums + op->map.bias_sums);
    of_status status =
        of_weight_product(n, n, c->count, g, x, c->first > 0, c->sums + op->map.matrix_sums, error);
    if (status == OF_OK)
        status =
            of_convolution_run(op->transposed_code, c->count, g, op->map.transposed_product.weights,
                               NULL, x, c->run->worker->convolution_scratch, error);
    if (status == OF_OK)
        part_halves(c->count, half, x, g_pass, g_rest);
    return status;
}

static void backward_channels(const of_chunk *c, const of_op *op, const float *pass,
                              const float *rest) {
    const of_map_backward task = {
        .pass = pass,
        .rest = rest,
        .g_pass = of_chunk_state(c, c->buffers->g_pass[c->s]),
        .g_rest = of_chunk_state(c, c->buffers->g_rest[c->s]),
        .positions = c->positions,
        .transposed = &op->map.transposed,
        .matrix_gradient = c->sums + op->map.matrix_sums,
        .bias_gradient = c->sums + op->map.bias_sums,
        .scratch = c->run->worker->row_scratch,
    };
    c->plan->kernels->map_backward(&task);
}

/* The map that `op` is, or applied to the state that it kept. */
static of_status backward(const of_chunk *c, const of_op *op, of_error *error) {
    const of_op *before = op->kind == OF_OP_MAP ? op - 1 : op;
    const of_kept *states = &c->buffers->kept;
    bool entered = before->kind == OF_OP_ENTER;
    const float *pass = entered ? of_chunk_state(c, states->squeezed_pass[c->s])
                                : of_chunk_kept(c, states->pass[c->s], before->step);
    const float *rest = entered ? of_chunk_state(c, states->squeezed_rest[c->s])
                                : of_chunk_kept(c, states->rest[c->s], before->step);
    double start = of_profile_start(c->run);
    of_status status = OF_OK;
    if (op->kind == OF_OP_MAP)
        status = backward_product(c, op, pass, rest, error);
    else
        backward_channels(c, op, pass, rest);
    of_chunk_stop(c, start, op->map.step, OF_STAGE_BACK_MAP);
    return status;
}

/* ---- Sums to gradients of parameters: A = W diag(e^ls), b = A loc ------------------------- */

/* Work space for one step: n*n matrices. */
typedef struct map_buffers {
    double *w, *g, *a, *b, *c;
} map_buffers;

/* W = P L' U' with L' = L + I, U' = U + diag(sign e^ld): g_L' = P^T g U'^T, g_U' = (P L')^T g. */
static void unfold_lu(const of_unfolding *t, const of_step_parameters *p, size_t n, double weight,
                      const map_buffers *m) {
    const float *permutation = of_model_values(t->model, p->permutation);
    const float *lower = of_model_values(t->model, p->lower);
    const float *upper = of_model_values(t->model, p->upper);
    const float *sign = of_model_values(t->model, p->sign);
    const float *log_diag = of_model_values(t->model, p->log_diag);
    float *g_lower = of_unfolding_gradient(t, p->lower),
          *g_upper = of_unfolding_gradient(t, p->upper);
    float *g_log_diag = of_unfolding_gradient(t, p->log_diag);
    /* a = P^T g (rows of g in the order of P), b = U'^T, c = L'^T */
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (permutation[i * n + j] != 0)
                memcpy(m->a + j * n, m->g + i * n, n * sizeof(double));
            double diagonal = (double)sign[j] * exp((double)log_diag[j]);
            double u = j < i ? (double)upper[j * n + i] : i == j ? diagonal : 0;
            double l = j > i ? (double)lower[j * n + i] : i == j ? 1 : 0;
            m->b[i * n + j] = u;
            m->c[i * n + j] = l;
        }
    of_matrix_multiply(m->a, m->b, n, m->w);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            g_lower[i * n + j] += (float)m->w[i * n + j];
    of_matrix_multiply(m->c, m->a, n, m->w);
    for (size_t i = 0; i < n; i++) {
        double diagonal = (double)sign[i] * exp((double)log_diag[i]);
        g_log_diag[i] += (float)(m->w[i * n + i] * diagonal + weight);
        for (size_t j = i + 1; j < n; j++)
            g_upper[i * n + j] += (float)m->w[i * n + j];
    }
}

/* d log|det W| / dW = W^-T. */
static of_status unfold_plain(const of_unfolding *t, const of_step_parameters *p, size_t n,
                              double weight, const map_buffers *m, of_error *error) {
    float *g_weight = of_unfolding_gradient(t, p->weight);
    of_status status = of_matrix_inverse(m->w, n, m->a, error);
    for (size_t i = 0; status == OF_OK && i < n; i++)
        for (size_t j = 0; j < n; j++)
            g_weight[i * n + j] += (float)(m->g[i * n + j] + weight * m->a[j * n + i]);
    return status;
}

static of_status unfold(const of_unfolding *t, const of_op *op, of_error *error) {
    const of_step_map *map = &op->map;
    const of_step_parameters *p = &t->model->scales[op->scale].steps[map->step];
    const float *g_a = t->sums + map->matrix_sums, *g_b = t->sums + map->bias_sums;
    const float *loc = of_model_values(t->model, p->actnorm_loc);
    const float *log_scale = of_model_values(t->model, p->actnorm_log_scale);
    float *g_loc = of_unfolding_gradient(t, p->actnorm_loc);
    float *g_log_scale = of_unfolding_gradient(t, p->actnorm_log_scale);
    size_t n = map->channels;
    map_buffers m = {t->matrices, t->matrices + n * n, t->matrices + 2 * n * n,
                     t->matrices + 3 * n * n, t->matrices + 4 * n * n};
    double weight = t->lane->logp_gradient * t->plan->scales[op->scale].positions;
    of_status status = of_mixing_matrix(t->model, op->scale, map->step, m.w, NULL, error);
    if (status != OF_OK)
        return status;
    for (size_t c = 0; c < n; c++) {
        double factor = exp((double)log_scale[c]), loc_sum = 0, scale_sum = 0;
        for (size_t r = 0; r < n; r++) {
            double a = m.w[r * n + c] * factor;
            double g = (double)g_a[r * n + c] + (double)g_b[r] * (double)loc[c];
            loc_sum += a * (double)g_b[r];
            scale_sum += a * g;
            m.g[r * n + c] = g * factor;
        }
        g_loc[c] += (float)loc_sum;
        g_log_scale[c] += (float)(scale_sum + weight);
    }
    if (p->log_diag >= 0)
        unfold_lu(t, p, n, weight, &m);
    else if (p->weight >= 0 && t->model->parameters[p->weight].kind == OF_PARAMETER_TRAINED)
        return unfold_plain(t, p, n, weight, &m, error);
    return OF_OK;
}

const of_op_type of_map_type = {.allocate = allocate,
                                .pack = pack,
                                .forward = forward,
                                .inverse = inverse,
                                .backward = backward,
                                .unfold = unfold,
                                .describe = of_convolution_describe};
