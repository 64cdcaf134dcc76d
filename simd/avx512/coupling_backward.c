/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the coupling, a chunk of positions at a time: first on the flat arrays
 * [positions][half], where no lane is idle, then the two halves of each position's coefficients
 * take their places. */
#include "kernels_avx512.h"
#include "vector.h"

enum { CHUNK = 1024 }; /* floats */

/* Floats start..start+n-1: g_rest of rest in place, which is g_add as well, and g_raw. */
static void couple_flat(const of_coupling_backward *task, size_t start, size_t n, float *g_raw) {
    const float *rest_after = task->rest_after + start, *scale = task->scale + start;
    float *g_rest = task->g_rest + start;
    const __m512 log_det = _mm512_set1_ps(task->log_det_gradient), one = _mm512_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 lanes = first_lanes(at_most(n - i, LANES));
        __m512 g = _mm512_maskz_loadu_ps(lanes, g_rest + i);
        __m512 s = _mm512_maskz_loadu_ps(lanes, scale + i);
        __m512 rest = _mm512_maskz_loadu_ps(lanes, rest_after + i);
        __m512 raw = _mm512_mul_ps(_mm512_fmadd_ps(g, rest, log_det), _mm512_sub_ps(one, s));
        _mm512_mask_storeu_ps(g_raw + i, lanes, raw);
        _mm512_mask_storeu_ps(g_rest + i, lanes, _mm512_mul_ps(g, s));
    }
}

/* One position whose half is longer than a chunk. */
static void couple_long_position(const of_coupling_backward *task, size_t position) {
    size_t half = task->half, start = position * half;
    float *target = task->g_coefficients + 2 * start;
    couple_flat(task, start, half, target + half);
    copy_run(target, task->g_rest + start, half);
}

void of_avx512_coupling_backward(const of_coupling_backward *task) {
    float g_raw[CHUNK];
    size_t half = task->half;
    if (!task->affine) {
        copy_run(task->g_coefficients, task->g_rest, task->positions * half);
        return;
    }
    if (half > CHUNK) {
        for (size_t p = 0; p < task->positions; p++)
            couple_long_position(task, p);
        return;
    }
    for (size_t p = 0, count; p < task->positions; p += count) {
        count = at_most(task->positions - p, CHUNK / half);
        couple_flat(task, p * half, count * half, g_raw);
        of_avx512_interleave(task->g_rest + p * half, g_raw, count, half,
                             task->g_coefficients + 2 * p * half);
    }
}
