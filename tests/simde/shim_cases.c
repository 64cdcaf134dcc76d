/* SPDX-License-Identifier: Apache-2.0 */
#include "shim_cases.h"

#include <immintrin.h>

static __m512 floats(const void *input, int index) {
    return _mm512_loadu_ps((const char *)input + 64 * index);
}

static void maskz_loadu_512(const void *input, unsigned mask, void *output) {
    _mm512_storeu_ps(output, _mm512_maskz_loadu_ps((__mmask16)mask, input));
}

static void mask_storeu_512(const void *input, unsigned mask, void *output) {
    _mm512_mask_storeu_ps(output, (__mmask16)mask, floats(input, 0));
}

static void maskz_loadu_256(const void *input, unsigned mask, void *output) {
    _mm256_storeu_ps(output, _mm256_maskz_loadu_ps((__mmask8)mask, input));
}

static void mask_storeu_256(const void *input, unsigned mask, void *output) {
    _mm256_mask_storeu_ps(output, (__mmask8)mask, _mm256_loadu_ps(input));
}

static void maskz_loadu_epi8(const void *input, unsigned mask, void *output) {
    _mm_storeu_si128(output, _mm_maskz_loadu_epi8((__mmask16)mask, input));
}

static void cvtepu8_epi32(const void *input, unsigned mask, void *output) {
    (void)mask;
    __m512i words = _mm512_cvtepu8_epi32(_mm_loadu_si128(input));
    _mm512_storeu_ps(output, _mm512_castsi512_ps(words));
}

static void cvtepu16_epi32(const void *input, unsigned mask, void *output) {
    (void)mask;
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(input));
    _mm512_storeu_ps(output, _mm512_castsi512_ps(words));
}

static void cvtps_epi32(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_si512(output, _mm512_cvtps_epi32(floats(input, 0)));
}

static void cvtepi32_epi8(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm_storeu_si128((__m128i *)output,
                     _mm512_cvtepi32_epi8(_mm512_castps_si512(floats(input, 0))));
}

static void store_epi16(const void *input, unsigned mask, void *output) {
    _mm256_mask_storeu_epi16(output, (__mmask16)mask,
                             _mm512_castsi512_si256(_mm512_castps_si512(floats(input, 0))));
}

static void cvtepi32_ps(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_ps(output, _mm512_cvtepi32_ps(_mm512_castps_si512(floats(input, 0))));
}

static void cvtepi32_epi16(const void *input, unsigned mask, void *output) {
    (void)mask;
    __m512i integers = _mm512_castps_si512(floats(input, 0));
    _mm256_storeu_si256(output, _mm512_cvtepi32_epi16(integers));
}

static void cvtps_pd(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_pd(output, _mm512_cvtps_pd(_mm256_loadu_ps(input)));
}

static void extract_low(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm256_storeu_ps(output, _mm512_extractf32x8_ps(floats(input, 0), 0));
}

static void extract_high(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm256_storeu_ps(output, _mm512_extractf32x8_ps(floats(input, 0), 1));
}

static void reduce_add_pd(const void *input, unsigned mask, void *output) {
    (void)mask;
    *(double *)output = _mm512_reduce_add_pd(_mm512_cvtps_pd(_mm256_loadu_ps(input)));
}

static void fmadd(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_ps(output, _mm512_fmadd_ps(floats(input, 0), floats(input, 1), floats(input, 2)));
}

static void fmsub(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_ps(output, _mm512_fmsub_ps(floats(input, 0), floats(input, 1), floats(input, 2)));
}

static void fnmadd(const void *input, unsigned mask, void *output) {
    (void)mask;
    _mm512_storeu_ps(output,
                     _mm512_fnmadd_ps(floats(input, 0), floats(input, 1), floats(input, 2)));
}

/* CASES is shim_cases or native_cases. The order is that of test_shims.c. */
shim_function *const CASES[SHIM_CASES] = {
    maskz_loadu_512, mask_storeu_512, maskz_loadu_256, mask_storeu_256, maskz_loadu_epi8,
    cvtps_epi32,     cvtepi32_epi8,   store_epi16,     cvtepu8_epi32,   cvtepi32_ps,
    cvtps_pd,        extract_low,     extract_high,    reduce_add_pd,   fmadd,
    fmsub,           fnmadd,          cvtepi32_epi16,  cvtepu16_epi32,
};
