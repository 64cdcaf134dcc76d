/* SPDX-License-Identifier: Apache-2.0 */
/* Stands before the compiler's <immintrin.h> when the AVX-512 kernels are built for any machine:
 * SIMDe's portable intrinsics under Intel's names, and those that SIMDe 0.7.4 lacks. A later
 * SIMDe may have some of them: these definitions then take their place. */
#ifndef OUTFLOW_TESTS_IMMINTRIN_H
#define OUTFLOW_TESTS_IMMINTRIN_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX__) || defined(__AVX512F__)
#error "build the emulated kernels without -mavx..: nothing would be emulated"
#endif

#define __mmask8 simde__mmask8
#define __mmask16 simde__mmask16

/* Vectors are read and written through memory: plain, and the compiler sees through it. Masked
 * lanes touch no memory, as in the processor. */

static inline simde__m512 shim_mm512_maskz_loadu_ps(simde__mmask16 mask, const void *from) {
    float lanes[16] = {0};
    simde__m512 v;
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy(&lanes[i], (const float *)from + i, sizeof(float));
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline void shim_mm512_mask_storeu_ps(void *to, simde__mmask16 mask, simde__m512 v) {
    float lanes[16];
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy((float *)to + i, &lanes[i], sizeof(float));
}

static inline simde__m256 shim_mm256_maskz_loadu_ps(simde__mmask8 mask, const void *from) {
    float lanes[8] = {0};
    simde__m256 v;
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            memcpy(&lanes[i], (const float *)from + i, sizeof(float));
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline void shim_mm256_mask_storeu_ps(void *to, simde__mmask8 mask, simde__m256 v) {
    float lanes[8];
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            memcpy((float *)to + i, &lanes[i], sizeof(float));
}

static inline simde__m128i shim_mm_maskz_loadu_epi8(simde__mmask16 mask, const void *from) {
    unsigned char lanes[16] = {0};
    simde__m128i v;
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            lanes[i] = ((const unsigned char *)from)[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline simde__m512i shim_mm512_cvtepu8_epi32(simde__m128i bytes) {
    unsigned char from[16];
    int lanes[16];
    simde__m512i v;
    memcpy(from, &bytes, sizeof bytes);
    for (int i = 0; i < 16; i++)
        lanes[i] = from[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline simde__m512i shim_mm512_cvtepu16_epi32(simde__m256i numbers) {
    unsigned short from[16];
    int lanes[16];
    simde__m512i v;
    memcpy(from, &numbers, sizeof numbers);
    for (int i = 0; i < 16; i++)
        lanes[i] = from[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline simde__m512 shim_mm512_cvtepi32_ps(simde__m512i integers) {
    int from[16];
    float lanes[16];
    simde__m512 v;
    memcpy(from, &integers, sizeof integers);
    for (int i = 0; i < 16; i++)
        lanes[i] = (float)from[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

/* The lower 16 bits of each lane. */
static inline simde__m256i shim_mm512_cvtepi32_epi16(simde__m512i integers) {
    unsigned from[16];
    unsigned short lanes[16];
    simde__m256i v;
    memcpy(from, &integers, sizeof integers);
    for (int i = 0; i < 16; i++)
        lanes[i] = (unsigned short)from[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline simde__m512d shim_mm512_cvtps_pd(simde__m256 floats) {
    float from[8];
    double lanes[8];
    simde__m512d v;
    memcpy(from, &floats, sizeof floats);
    for (int i = 0; i < 8; i++)
        lanes[i] = (double)from[i];
    memcpy(&v, lanes, sizeof v);
    return v;
}

static inline simde__m256 shim_mm512_extractf32x8_ps(simde__m512 v, int half) {
    simde__m256 part;
    memcpy(&part, (const char *)&v + (half & 1) * (int)sizeof part, sizeof part);
    return part;
}

/* The order of gcc and clang: fold the upper half onto the lower one, three times. */
static inline double shim_mm512_reduce_add_pd(simde__m512d v) {
    double lanes[8];
    memcpy(lanes, &v, sizeof v);
    for (int width = 4; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

/* SIMDe rounds a product before it adds. In double the product is exact, and what is left differs
 * from the processor's single rounding only when the double lies at the middle of two floats. */
static inline simde__m512 shim_fused(simde__m512 a, simde__m512 b, simde__m512 c, double sign_ab,
                                     double sign_c) {
    float x[16], y[16], z[16];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    memcpy(z, &c, sizeof c);
    for (int i = 0; i < 16; i++)
        x[i] = (float)(sign_ab * (double)x[i] * (double)y[i] + sign_c * (double)z[i]);
    memcpy(&a, x, sizeof a);
    return a;
}

static inline simde__m512 shim_mm512_fmadd_ps(simde__m512 a, simde__m512 b, simde__m512 c) {
    return shim_fused(a, b, c, 1.0, 1.0);
}

static inline simde__m512 shim_mm512_fmsub_ps(simde__m512 a, simde__m512 b, simde__m512 c) {
    return shim_fused(a, b, c, 1.0, -1.0);
}

static inline simde__m512 shim_mm512_fnmadd_ps(simde__m512 a, simde__m512 b, simde__m512 c) {
    return shim_fused(a, b, c, -1.0, 1.0);
}

#undef _mm512_fmadd_ps
#undef _mm512_fmsub_ps
#undef _mm512_fnmadd_ps
#define _mm512_fmadd_ps shim_mm512_fmadd_ps
#define _mm512_fmsub_ps shim_mm512_fmsub_ps
#define _mm512_fnmadd_ps shim_mm512_fnmadd_ps

/* To the nearest, ties to even; what no int32_t holds becomes the least one. */
static inline simde__m512i shim_mm512_cvtps_epi32(simde__m512 v) {
    float lanes[16];
    int32_t integers[16];
    simde__m512i result;
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < 16; i++)
        integers[i] = lanes[i] >= -0x1p31F && lanes[i] < 0x1p31F
                          ? (int32_t)__builtin_rintf(lanes[i])
                          : INT32_MIN;
    memcpy(&result, integers, sizeof result);
    return result;
}

static inline simde__m128i shim_mm512_cvtepi32_epi8(simde__m512i v) {
    int32_t lanes[16];
    uint8_t bytes[16];
    simde__m128i result;
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)lanes[i];
    memcpy(&result, bytes, sizeof result);
    return result;
}

static inline void shim_mm256_mask_storeu_epi16(void *to, simde__mmask16 mask, simde__m256i v) {
    int16_t lanes[16];
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy((int16_t *)to + i, &lanes[i], sizeof(int16_t));
}

#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi32_epi8
#undef _mm256_mask_storeu_epi16
#define _mm512_cvtps_epi32 shim_mm512_cvtps_epi32
#define _mm512_cvtepi32_epi8 shim_mm512_cvtepi32_epi8
#define _mm256_mask_storeu_epi16 shim_mm256_mask_storeu_epi16

#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm256_maskz_loadu_ps
#undef _mm256_mask_storeu_ps
#undef _mm_maskz_loadu_epi8
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtps_pd
#undef _mm512_extractf32x8_ps
#undef _mm512_reduce_add_pd
#define _mm512_maskz_loadu_ps shim_mm512_maskz_loadu_ps
#define _mm512_mask_storeu_ps shim_mm512_mask_storeu_ps
#define _mm256_maskz_loadu_ps shim_mm256_maskz_loadu_ps
#define _mm256_mask_storeu_ps shim_mm256_mask_storeu_ps
#define _mm_maskz_loadu_epi8 shim_mm_maskz_loadu_epi8
#define _mm512_cvtepu8_epi32 shim_mm512_cvtepu8_epi32
#define _mm512_cvtepu16_epi32 shim_mm512_cvtepu16_epi32
#define _mm512_cvtepi32_ps shim_mm512_cvtepi32_ps
#define _mm512_cvtepi32_epi16 shim_mm512_cvtepi32_epi16
#define _mm512_cvtps_pd shim_mm512_cvtps_pd
#define _mm512_extractf32x8_ps shim_mm512_extractf32x8_ps
#define _mm512_reduce_add_pd shim_mm512_reduce_add_pd

#endif
