/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the AVX-512 kernels; for avx512/ only. Masks keep loads and stores inside the
 * arrays: a masked-off lane is neither read nor written. */
#ifndef OF_SIMD_AVX512_VECTOR_H
#define OF_SIMD_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>

/* For functions whose arguments are constants at each call. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Before a short loop of constant length, so that arrays of vectors become registers; clang does
 * so of itself, and less well when told to. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { LANES = 16 };

/* The first n lanes, 0..16. */
static inline __mmask16 first_lanes(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

static inline size_t at_most(size_t value, size_t limit) {
    return value < limit ? value : limit;
}

/* Copies n floats that do not overlap the target: whole vectors of which the last may cover part
 * of the one before it, so that nothing is masked and nothing outside is touched. 8 floats at a
 * time: runs stand anywhere, most 64-byte stores would cross a cache line. */
ALWAYS_INLINE void copy_run(float *target, const float *source, size_t n) {
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            _mm256_storeu_ps(target + i, _mm256_loadu_ps(source + i));
        _mm256_storeu_ps(target + n - 8, _mm256_loadu_ps(source + n - 8));
    } else if (n >= 4) {
        _mm_storeu_ps(target, _mm_loadu_ps(source));
        _mm_storeu_ps(target + n - 4, _mm_loadu_ps(source + n - 4));
    } else {
        for (size_t i = 0; i < n; i++)
            _mm_store_ss(target + i, _mm_load_ss(source + i));
    }
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

/* exp(x) for x in [-87, 87], NaN for NaN: 2^n 2^f with n = round(x / ln 2), f = x / ln 2 - n;
 * minimax polynomial on |f| <= 1/2, relative error 2e-9. 1 / ln 2 rounded to float adds 1.4e-8 |x|.
 * Adding `magic` leaves n + 127, the exponent of 2^n, in the low bits. Evaluated in pairs (Estrin
 * 1960): the latency of the chain is what costs here. */
static inline __m512 exp_within_87(__m512 x) {
    const __m512 magic = _mm512_set1_ps(0x1.8p23f + 127.0f);
    const __m512 log2_e = _mm512_set1_ps(0x1.715476p+0f);
    __m512 k = _mm512_fmadd_ps(x, log2_e, magic);
    __m512 f = _mm512_fmsub_ps(x, log2_e, _mm512_sub_ps(k, magic));
    __m512 power = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(k), 23));
    __m512 f2 = _mm512_mul_ps(f, f);
    __m512 p01 = _mm512_fmadd_ps(_mm512_set1_ps(0x1.62e43p-1f), f, _mm512_set1_ps(1.0f));
    __m512 p23 = _mm512_fmadd_ps(_mm512_set1_ps(0x1.c6aed4p-5f), f, _mm512_set1_ps(0x1.ebfbdap-3f));
    __m512 p45 =
        _mm512_fmadd_ps(_mm512_set1_ps(0x1.5f456ap-10f), f, _mm512_set1_ps(0x1.3b2dbcp-7f));
    __m512 p456 = _mm512_fmadd_ps(_mm512_set1_ps(0x1.41d334p-13f), f2, p45);
    __m512 p03 = _mm512_fmadd_ps(p23, f2, p01);
    __m512 p = _mm512_fmadd_ps(p456, _mm512_mul_ps(f2, f2), p03);
    return _mm512_mul_ps(p, power);
}

/* log(1 + e) / e for e in [0, 1]: minimax polynomial, absolute error of the logarithm 3.2e-8. */
static inline __m512 log1p_ratio(__m512 e) {
    __m512 e2 = _mm512_mul_ps(e, e);
    __m512 p01 =
        _mm512_fmadd_ps(_mm512_set1_ps(-0x1.ffdefcp-2f), e, _mm512_set1_ps(0x1.ffff88p-1f));
    __m512 p23 =
        _mm512_fmadd_ps(_mm512_set1_ps(-0x1.ed0442p-3f), e, _mm512_set1_ps(0x1.53c2ecp-2f));
    __m512 p45 =
        _mm512_fmadd_ps(_mm512_set1_ps(-0x1.8670eep-4f), e, _mm512_set1_ps(0x1.5757c8p-3f));
    __m512 p67 =
        _mm512_fmadd_ps(_mm512_set1_ps(-0x1.a6e102p-8f), e, _mm512_set1_ps(0x1.279acap-5f));
    __m512 p03 = _mm512_fmadd_ps(p23, e2, p01), p47 = _mm512_fmadd_ps(p67, e2, p45);
    return _mm512_fmadd_ps(p47, _mm512_mul_ps(e2, e2), p03);
}

#endif
