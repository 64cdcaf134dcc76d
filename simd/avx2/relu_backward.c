/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients through relu, which may leak, and of the bias before it, both [positions][channels]. */
#include "kernels_avx2.h"
#include "vector.h"

/* Positions go in groups of about GROUP_FLOATS, but at least 4: the rows of many wide positions
 * would be too many streams for the cache (512 channels, 256 positions: 87 -> 53 ns a position). */
enum { MAX_VECTORS = 8, GROUP_FLOATS = 2048, LEAST_GROUP = 4 };

/* What happens to the gradient where relu was closed. */
typedef enum relu_form { LEFT_ALONE, CLEARED, LEAKING } relu_form;

/* `vectors` whole vectors of channels, or one with `lanes` channels, of all positions: their sums
 * stay in registers. The numbers and `form` are constants at each call. */
ALWAYS_INLINE void relu_columns(const float *activation, float *gradient, size_t positions,
                                size_t channels, float *sums, size_t vectors, size_t lanes,
                                relu_form form, float leak) {
    __m256 sum[MAX_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = load_first(sums + v * LANES, lanes);
    for (size_t p = 0; p < positions; p++, gradient += channels) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            __m256 g = load_first(gradient + v * LANES, lanes);
            if (form != LEFT_ALONE) {
                __m256 y = load_first(activation + v * LANES, lanes);
                __m256 dead = _mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_LE_OQ);
                if (form == LEAKING)
                    g = _mm256_blendv_ps(g, _mm256_mul_ps(g, _mm256_set1_ps(leak)), dead);
                else
                    g = _mm256_andnot_ps(dead, g);
                store_first(gradient + v * LANES, g, lanes);
            }
            sum[v] = _mm256_add_ps(sum[v], g);
        }
        if (form != LEFT_ALONE)
            activation += channels;
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        store_first(sums + v * LANES, sum[v], lanes);
}

ALWAYS_INLINE void relu_all(const float *activation, float *gradient, size_t positions,
                            size_t channels, float *sums, relu_form form, float leak) {
    for (size_t c = 0; c < channels;) {
        size_t left = channels - c;
        const float *y = form != LEFT_ALONE ? activation + c : NULL;
        if (left >= MAX_VECTORS * LANES) {
            relu_columns(y, gradient + c, positions, channels, sums + c, MAX_VECTORS, LANES, form,
                         leak);
            c += MAX_VECTORS * LANES;
        } else {
            relu_columns(y, gradient + c, positions, channels, sums + c, 1, at_most(left, LANES),
                         form, leak);
            c += LANES;
        }
    }
}

void of_avx2_relu_backward(const float *activation, float *gradient, size_t positions,
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
