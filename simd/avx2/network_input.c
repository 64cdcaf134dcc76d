/* SPDX-License-Identifier: Apache-2.0 */
/* What a coupling network reads of the state, and its gradients. */
#include "kernels_avx2.h"
#include "vector.h"

enum { CHUNK = 1024 }; /* floats before they are rounded */

/* scale*x + shift of channels c..c+lanes-1. */
ALWAYS_INLINE __m256 affine_of(const float *scale, const float *shift, size_t c, size_t lanes,
                               __m256 x) {
    return _mm256_fmadd_ps(load_first(scale + c, lanes), x, load_first(shift + c, lanes));
}

/* `affine` is a constant at each call; max returns NaN, its second operand. */
ALWAYS_INLINE void fill(const of_network_input *input, float *target, bool affine) {
    size_t half = input->half, extra = input->inputs - half;
    const float *pass = input->pass;
    __m256 ones = _mm256_set1_ps(input->ones ? 1.0f : 0.0f);
    for (size_t p = 0; p < input->positions; p++, pass += half, target += input->inputs) {
        for (size_t c = 0; c < half; c += LANES) {
            size_t lanes = at_most(half - c, LANES);
            __m256 x = load_first(pass + c, lanes);
            if (affine)
                x = _mm256_max_ps(_mm256_setzero_ps(),
                                  affine_of(input->scale, input->shift, c, lanes, x));
            store_first(target + c, x, lanes);
        }
        for (size_t c = 0; c < extra; c += LANES)
            store_first(target + half + c, c == 0 ? keep_first(ones, 1) : _mm256_setzero_ps(),
                        at_most(extra - c, LANES));
    }
}

void of_avx2_network_input(const of_network_input *input, float *target) {
    if (input->scale != NULL)
        fill(input, target, true);
    else
        fill(input, target, false);
}

void of_avx2_network_input_bf16(const of_network_input *input, uint16_t *target) {
    float values[CHUNK];
    size_t n = input->positions * input->inputs;
    for (size_t at = 0, count; at < n; at += count) {
        of_network_input part = of_network_input_part(input, at, CHUNK);
        count = part.positions * part.inputs;
        of_avx2_network_input(&part, values);
        of_avx2_round_to_bf16(values, target + at, count);
    }
}

/* `lanes` channels from c on, of all positions: the sums stay in registers. */
static void affine_backward(const of_network_input_backward *task, size_t c, size_t lanes) {
    const __m256 scale = load_first(task->scale + c, lanes);
    __m256 scale_sum = load_first(task->scale_gradient + c, lanes);
    __m256 shift_sum = load_first(task->shift_gradient + c, lanes);
    const float *pass = task->pass + c, *g_inputs = task->g_inputs + c;
    float *g_pass = task->g_pass + c;
    for (size_t p = 0; p < task->positions; p++) {
        __m256 x = load_first(pass, lanes);
        __m256 value = affine_of(task->scale, task->shift, c, lanes, x);
        __m256 dead = _mm256_cmp_ps(value, _mm256_setzero_ps(), _CMP_LE_OQ);
        __m256 g = _mm256_andnot_ps(dead, load_first(g_inputs, lanes));
        scale_sum = _mm256_fmadd_ps(g, x, scale_sum);
        shift_sum = _mm256_add_ps(shift_sum, g);
        store_first(g_pass, _mm256_fmadd_ps(g, scale, load_first(g_pass, lanes)), lanes);
        pass += task->half;
        g_inputs += task->inputs;
        g_pass += task->half;
    }
    store_first(task->scale_gradient + c, scale_sum, lanes);
    store_first(task->shift_gradient + c, shift_sum, lanes);
}

void of_avx2_network_input_backward(const of_network_input_backward *task) {
    size_t half = task->half;
    if (task->scale == NULL) {
        for (size_t p = 0; p < task->positions; p++)
            of_avx2_accumulate(task->g_inputs + p * task->inputs, task->g_pass + p * half, half);
        return;
    }
    for (size_t c = 0; c < half; c += LANES)
        affine_backward(task, c, at_most(half - c, LANES));
}
