/* SPDX-License-Identifier: Apache-2.0 */
/* What a coupling network reads of the state, and its gradients. */
#include "kernels_avx512.h"
#include "vector.h"

enum { CHUNK = 1024 }; /* floats before they are rounded */

/* scale*x + shift of channels c..c+lanes-1. */
ALWAYS_INLINE __m512 affine_of(const float *scale, const float *shift, size_t c, __mmask16 lanes,
                               __m512 x) {
    return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, scale + c), x,
                           _mm512_maskz_loadu_ps(lanes, shift + c));
}

/* `affine` is a constant at each call; max returns NaN, its second operand. */
ALWAYS_INLINE void fill(const of_network_input *input, float *target, bool affine) {
    size_t half = input->half, extra = input->inputs - half;
    const float *pass = input->pass;
    __m512 ones = _mm512_set1_ps(input->ones ? 1.0f : 0.0f);
    for (size_t p = 0; p < input->positions; p++, pass += half, target += input->inputs) {
        for (size_t c = 0; c < half; c += LANES) {
            __mmask16 lanes = first_lanes(at_most(half - c, LANES));
            __m512 x = _mm512_maskz_loadu_ps(lanes, pass + c);
            if (affine)
                x = _mm512_max_ps(_mm512_setzero_ps(),
                                  affine_of(input->scale, input->shift, c, lanes, x));
            _mm512_mask_storeu_ps(target + c, lanes, x);
        }
        for (size_t c = 0; c < extra; c += LANES)
            _mm512_mask_storeu_ps(target + half + c, first_lanes(at_most(extra - c, LANES)),
                                  c == 0 ? _mm512_maskz_mov_ps(1, ones) : _mm512_setzero_ps());
    }
}

void of_avx512_network_input(const of_network_input *input, float *target) {
    if (input->scale != NULL)
        fill(input, target, true);
    else
        fill(input, target, false);
}

void of_avx512_network_input_bf16(const of_network_input *input, uint16_t *target) {
    float values[CHUNK];
    size_t n = input->positions * input->inputs;
    for (size_t at = 0, count; at < n; at += count) {
        of_network_input part = of_network_input_part(input, at, CHUNK);
        count = part.positions * part.inputs;
        of_avx512_network_input(&part, values);
        of_avx512_round_to_bf16(values, target + at, count);
    }
}

/* max returns its second operand for NaN, so that this becomes a number. */
static void round_to_s16(const float *values, float factor, int16_t *target, size_t n) {
    const __m512 most = _mm512_set1_ps(OF_INT16_MOST), least = _mm512_set1_ps(-OF_INT16_MOST);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 value =
            _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_maskz_loadu_ps(lanes, values + i));
        value = _mm512_min_ps(_mm512_max_ps(value, least), most);
        __m256i rounded = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(value));
        _mm256_mask_storeu_epi16(target + i, lanes, rounded);
    }
}

void of_avx512_network_input_s16(const of_network_input *input, float factor, int16_t *target) {
    float values[CHUNK];
    size_t n = input->positions * input->inputs;
    if (input->scale == NULL && input->inputs == input->half) {
        round_to_s16(input->pass, factor, target, n);
        return;
    }
    for (size_t at = 0, count; at < n; at += count) {
        of_network_input part = of_network_input_part(input, at, CHUNK);
        count = part.positions * part.inputs;
        of_avx512_network_input(&part, values);
        round_to_s16(values, factor, target + at, count);
    }
}

/* `lanes` channels from c on, of all positions: the sums stay in registers. */
static void affine_backward(const of_network_input_backward *task, size_t c, __mmask16 lanes) {
    const __m512 scale = _mm512_maskz_loadu_ps(lanes, task->scale + c);
    __m512 scale_sum = _mm512_maskz_loadu_ps(lanes, task->scale_gradient + c);
    __m512 shift_sum = _mm512_maskz_loadu_ps(lanes, task->shift_gradient + c);
    const float *pass = task->pass + c, *g_inputs = task->g_inputs + c;
    float *g_pass = task->g_pass + c;
    for (size_t p = 0; p < task->positions; p++) {
        __m512 x = _mm512_maskz_loadu_ps(lanes, pass);
        __m512 value = affine_of(task->scale, task->shift, c, lanes, x);
        __mmask16 open = _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_NLE_UQ);
        __m512 g = _mm512_maskz_mov_ps(open, _mm512_maskz_loadu_ps(lanes, g_inputs));
        scale_sum = _mm512_fmadd_ps(g, x, scale_sum);
        shift_sum = _mm512_add_ps(shift_sum, g);
        _mm512_mask_storeu_ps(g_pass, lanes,
                              _mm512_fmadd_ps(g, scale, _mm512_maskz_loadu_ps(lanes, g_pass)));
        pass += task->half;
        g_inputs += task->inputs;
        g_pass += task->half;
    }
    _mm512_mask_storeu_ps(task->scale_gradient + c, lanes, scale_sum);
    _mm512_mask_storeu_ps(task->shift_gradient + c, lanes, shift_sum);
}

void of_avx512_network_input_backward(const of_network_input_backward *task) {
    size_t half = task->half;
    if (task->scale == NULL) {
        for (size_t p = 0; p < task->positions; p++)
            of_avx512_accumulate(task->g_inputs + p * task->inputs, task->g_pass + p * half, half);
        return;
    }
    for (size_t c = 0; c < half; c += LANES)
        affine_backward(task, c, first_lanes(at_most(half - c, LANES)));
}
