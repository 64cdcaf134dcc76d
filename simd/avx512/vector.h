/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the AVX-512 kernels; for avx512/ only. Masks keep loads and stores inside the
 * arrays: a masked-off lane is neither read nor written. */
#ifndef OF_SIMD_AVX512_VECTOR_H
#define OF_SIMD_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>

enum { LANES = 16 };

/* The first n lanes, 0..16. */
static inline __mmask16 first_lanes(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

static inline size_t at_most(size_t value, size_t limit) {
    return value < limit ? value : limit;
}

/* Sixteen partial sums in double; adding a vector of floats loses nothing but double rounding,
 * and the order is fixed. */
typedef struct double_sum {
    __m512d low, high;
} double_sum;

static inline double_sum double_sum_zero(void) {
    return (double_sum){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

static inline __m512d low_half(__m512 v) {
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

static inline __m512d high_half(__m512 v) {
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
}

static inline double_sum double_sum_add(double_sum sum, __m512 v) {
    return (double_sum){_mm512_add_pd(sum.low, low_half(v)), _mm512_add_pd(sum.high, high_half(v))};
}

static inline double_sum double_sum_add_squares(double_sum sum, __m512 v) {
    __m512d low = low_half(v), high = high_half(v);
    return (double_sum){_mm512_fmadd_pd(low, low, sum.low), _mm512_fmadd_pd(high, high, sum.high)};
}

static inline double double_sum_total(double_sum sum) {
    return _mm512_reduce_add_pd(_mm512_add_pd(sum.low, sum.high));
}

/* exp(x) for x in [-87, 0], NaN for NaN: 2^n exp(f) with n = round(x / ln 2) and f = x - n ln 2 in
 * two parts (Cody and Waite 1980); minimax polynomial on |f| <= ln(2)/2, relative error 1e-8
 * before rounding. Adding `magic` leaves n + 127, the exponent of 2^n, in the low bits. */
static inline __m512 exp_nonpositive(__m512 x) {
    const __m512 magic = _mm512_set1_ps(0x1.8p23f + 127.0f);
    __m512 k = _mm512_fmadd_ps(x, _mm512_set1_ps(0x1.715476p+0f), magic);
    __m512 n = _mm512_sub_ps(k, magic);
    __m512 f = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), x);
    f = _mm512_fnmadd_ps(n, _mm512_set1_ps(-0x1.05c61p-29f), f);
    __m512 p = _mm512_set1_ps(0x1.6d754cp-10f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.120b72p-7f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.5554b8p-5f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.5554dcp-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(k), 23)));
}

/* log(1 + e) for e in [0, 1]: minimax polynomial e P(e), absolute error 3.2e-8 before rounding. */
static inline __m512 log1p_unit(__m512 e) {
    __m512 p = _mm512_set1_ps(-0x1.a6e102p-8f);
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(0x1.279acap-5f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(-0x1.8670eep-4f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(0x1.5757c8p-3f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(-0x1.ed0442p-3f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(0x1.53c2ecp-2f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(-0x1.ffdefcp-2f));
    p = _mm512_fmadd_ps(p, e, _mm512_set1_ps(0x1.ffff88p-1f));
    return _mm512_mul_ps(p, e);
}

/* sigmoid(t) = numerator / denominator, and its logarithm. */
typedef struct sigmoid {
    __m512 numerator, denominator, logarithm;
} sigmoid;

/* As in ../scalar/coupling.c. min and max return their second operand when either is NaN. */
static inline sigmoid sigmoid_of(__m512 t) {
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    __m512 distance = _mm512_sub_ps(zero, _mm512_abs_ps(t));
    __m512 e = exp_nonpositive(_mm512_max_ps(_mm512_set1_ps(-87.0f), distance));
    __mmask16 negative = _mm512_cmp_ps_mask(t, zero, _CMP_LT_OQ);
    return (sigmoid){
        .numerator = _mm512_mask_blend_ps(negative, one, e),
        .denominator = _mm512_add_ps(one, e),
        .logarithm = _mm512_sub_ps(_mm512_min_ps(zero, t), log1p_unit(e)),
    };
}

#endif
