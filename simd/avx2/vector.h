/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the AVX2 kernels; for avx2/ only. Partial vectors are loaded with a mask and stored
 * in parts (masked stores are slow on AMD), so that nothing outside an array is touched. */
#ifndef OF_SIMD_AVX2_VECTOR_H
#define OF_SIMD_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* For functions whose arguments are constants at each call. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Before a short loop of constant length, so that arrays of vectors become registers; clang does
 * so of itself, and less well when told to. */
#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { LANES = 8 };

static inline size_t at_most(size_t value, size_t limit) {
    return value < limit ? value : limit;
}

/* All bits set in the first n lanes, 0..8. */
static inline __m256i first_lanes(size_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

/* The first n floats at p, 0..8, zero after them. */
static inline __m256 load_first(const float *p, size_t n) {
    return n == LANES ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}

/* v with zero after its first n lanes. */
static inline __m256 keep_first(__m256 v, size_t n) {
    return _mm256_and_ps(v, _mm256_castsi256_ps(first_lanes(n)));
}

static inline void store_first(float *p, __m256 v, size_t n) {
    if (n == LANES) {
        _mm256_storeu_ps(p, v);
        return;
    }
    __m128 part = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, part);
}

/* Copies n floats that do not overlap the target: whole vectors of which the last may cover part
 * of the one before it, so that nothing is masked and nothing outside is touched. */
ALWAYS_INLINE void copy_run(float *target, const float *source, size_t n) {
    if (n >= LANES) {
        for (size_t i = 0; i + LANES < n; i += LANES)
            _mm256_storeu_ps(target + i, _mm256_loadu_ps(source + i));
        _mm256_storeu_ps(target + n - LANES, _mm256_loadu_ps(source + n - LANES));
    } else if (n >= 4) {
        _mm_storeu_ps(target, _mm_loadu_ps(source));
        _mm_storeu_ps(target + n - 4, _mm_loadu_ps(source + n - 4));
    } else {
        for (size_t i = 0; i < n; i++)
            _mm_store_ss(target + i, _mm_load_ss(source + i));
    }
}

/* Keeps gcc from repeating a load at each use. */
static inline __m256 in_register(__m256 v) {
#ifndef __clang__
    __asm__("" : "+x"(v));
#endif
    return v;
}

/* Eight partial sums in double, added in a fixed order. */
typedef struct double_sum {
    __m256d low, high;
} double_sum;

static inline double_sum double_sum_zero(void) {
    return (double_sum){_mm256_setzero_pd(), _mm256_setzero_pd()};
}

static inline __m256d low_half(__m256 v) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

static inline __m256d high_half(__m256 v) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static inline double_sum double_sum_add(double_sum sum, __m256 v) {
    return (double_sum){_mm256_add_pd(sum.low, low_half(v)), _mm256_add_pd(sum.high, high_half(v))};
}

static inline double_sum double_sum_add_squares(double_sum sum, __m256 v) {
    __m256d low = low_half(v), high = high_half(v);
    return (double_sum){_mm256_fmadd_pd(low, low, sum.low), _mm256_fmadd_pd(high, high, sum.high)};
}

static inline double double_sum_total(double_sum sum) {
    __m256d four = _mm256_add_pd(sum.low, sum.high);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* exp(x) for x in [-87, 87], NaN for NaN: 2^n 2^f with n = round(x / ln 2), f = x / ln 2 - n;
 * minimax polynomial on |f| <= 1/2, relative error 2e-9. 1 / ln 2 rounded to float adds 1.4e-8 |x|.
 * Adding `magic` leaves n + 127, the exponent of 2^n, in the low bits. Evaluated in pairs (Estrin
 * 1960): the latency of the chain is what costs here. */
static inline __m256 exp_within_87(__m256 x) {
    const __m256 magic = _mm256_set1_ps(0x1.8p23f + 127.0f);
    const __m256 log2_e = _mm256_set1_ps(0x1.715476p+0f);
    __m256 k = _mm256_fmadd_ps(x, log2_e, magic);
    __m256 f = _mm256_fmsub_ps(x, log2_e, _mm256_sub_ps(k, magic));
    __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(k), 23));
    __m256 f2 = _mm256_mul_ps(f, f);
    __m256 p01 = _mm256_fmadd_ps(_mm256_set1_ps(0x1.62e43p-1f), f, _mm256_set1_ps(1.0f));
    __m256 p23 = _mm256_fmadd_ps(_mm256_set1_ps(0x1.c6aed4p-5f), f, _mm256_set1_ps(0x1.ebfbdap-3f));
    __m256 p45 =
        _mm256_fmadd_ps(_mm256_set1_ps(0x1.5f456ap-10f), f, _mm256_set1_ps(0x1.3b2dbcp-7f));
    __m256 p456 = _mm256_fmadd_ps(_mm256_set1_ps(0x1.41d334p-13f), f2, p45);
    __m256 p03 = _mm256_fmadd_ps(p23, f2, p01);
    __m256 p = _mm256_fmadd_ps(p456, _mm256_mul_ps(f2, f2), p03);
    return _mm256_mul_ps(p, power);
}

/* log(1 + e) / e for e in [0, 1]: minimax polynomial, absolute error of the logarithm 3.2e-8. */
static inline __m256 log1p_ratio(__m256 e) {
    __m256 e2 = _mm256_mul_ps(e, e);
    __m256 p01 =
        _mm256_fmadd_ps(_mm256_set1_ps(-0x1.ffdefcp-2f), e, _mm256_set1_ps(0x1.ffff88p-1f));
    __m256 p23 =
        _mm256_fmadd_ps(_mm256_set1_ps(-0x1.ed0442p-3f), e, _mm256_set1_ps(0x1.53c2ecp-2f));
    __m256 p45 =
        _mm256_fmadd_ps(_mm256_set1_ps(-0x1.8670eep-4f), e, _mm256_set1_ps(0x1.5757c8p-3f));
    __m256 p67 =
        _mm256_fmadd_ps(_mm256_set1_ps(-0x1.a6e102p-8f), e, _mm256_set1_ps(0x1.279acap-5f));
    __m256 p03 = _mm256_fmadd_ps(p23, e2, p01), p47 = _mm256_fmadd_ps(p67, e2, p45);
    return _mm256_fmadd_ps(p47, _mm256_mul_ps(e2, e2), p03);
}

#endif
