/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients through relu, which may leak, and of the bias before it, both [positions][channels]. */
#include "kernels_avx512.h"
#include "vector.h"

/* Positions go in groups of about GROUP_FLOATS, but at least 4: the rows of many wide positions
 * would be too many streams for the cache (512 channels, 256 positions: 87 -> 53 ns a position). */
enum { MAX_VECTORS = 4, GROUP_FLOATS = 2048, LEAST_GROUP = 4 };

/* What happens to the gradient where relu was closed. */
typedef enum relu_form { LEFT_ALONE, CLEARED, LEAKING } relu_form;

/* `vectors` whole vectors of channels, or one with `lanes` channels, of all positions: their sums
 * stay in registers. The numbers and `form` are constants at each call. */
ALWAYS_INLINE void relu_columns(const float *activation, float *gradient, size_t positions,
                                size_t channels, float *sums, size_t vectors, __mmask16 lanes,
                                relu_form form, float leak) {
    __m512 sum[MAX_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = _mm512_maskz_loadu_ps(lanes, sums + v * LANES);
    for (size_t p = 0; p < positions; p++, gradient += channels) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            __m512 g = _mm512_maskz_loadu_ps(lanes, gradient + v * LANES);
            if (form != LEFT_ALONE) {
                __m512 y = _mm512_maskz_loadu_ps(lanes, activation + v * LANES);
                __mmask16 open = _mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_NLE_UQ);
                if (form == LEAKING)
                    g = _mm512_mask_mov_ps(_mm512_mul_ps(g, _mm512_set1_ps(leak)), open, g);
                else
                    g = _mm512_maskz_mov_ps(open, g);
                _mm512_mask_storeu_ps(gradient + v * LANES, lanes, g);
            }
            sum[v] = _mm512_add_ps(sum[v], g);
        }
        if (form != LEFT_ALONE)
            activation += channels;
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        _mm512_mask_storeu_ps(sums + v * LANES, lanes, sum[v]);
}

ALWAYS_INLINE void relu_all(const float *activation, float *gradient, size_t positions,
                            size_t channels, float *sums, relu_form form, float leak) {
    for (size_t c = 0; c < channels;) {
        size_t left = channels - c;
        const float *y = form != LEFT_ALONE ? activation + c : NULL;
        if (left >= MAX_VECTORS * LANES) {
            relu_columns(y, gradient + c, positions, channels, sums + c, MAX_VECTORS,
                         first_lanes(LANES), form, leak);
            c += MAX_VECTORS * LANES;
        } else {
            relu_columns(y, gradient + c, positions, channels, sums + c, 1,
                         first_lanes(at_most(left, LANES)), form, leak);
            c += LANES;
        }
    }
}

void of_avx512_relu_backward(const float *activation, float *gradient, size_t positions,
                             size_t channels, float leak, float *bias_gradient) {
    size_t group = at_most(channels, GROUP_FLOATS / LEAST_GROUP);
    group = group > 0 ? GROUP_FLOATS / group : positions;
    for (size_t p = 0, count; p < positions; p += count) {
        count = at_most(positions - p, group);
        float *part = gradient + p * channels;
        if (activation == NULL)
            relu_all(NULL, part, count, channels, bias_gradient, LEFT_ALONE, 0.0f);
        else if (leak > 0.0f)
            relu_all(activation + p * channels, part, count, channels, bias_gradient, LEAKING,
                     leak);
        else
            relu_all(activation + p * channels, part, count, channels, bias_gradient, CLEARED,
                     0.0f);
    }
}
