/* SPDX-License-Identifier: Apache-2.0 */
/* Each shim against plain C, and against the processor's instruction where it has AVX-512. */
#define _DEFAULT_SOURCE
#include "core/random.h"
#include "kernels.h"
#include "shim_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INPUT = 3 * 64, OUTPUT = 64, ROUNDS = 2000 };

typedef union block {
    float f[INPUT / 4];
    double d[INPUT / 8];
    int32_t i[INPUT / 4];
    uint8_t b[INPUT];
} block;

typedef void expectation(const block *input, unsigned mask, block *output);

static void masked_floats(const block *input, unsigned mask, block *output) {
    for (int i = 0; i < 16; i++)
        output->f[i] = mask >> i & 1 ? input->f[i] : 0.0f;
}

static void stored_floats(const block *input, unsigned mask, block *output) {
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            output->f[i] = input->f[i];
}

static void masked_eight(const block *input, unsigned mask, block *output) {
    for (int i = 0; i < 8; i++)
        output->f[i] = mask >> i & 1 ? input->f[i] : 0.0f;
}

static void stored_eight(const block *input, unsigned mask, block *output) {
    stored_floats(input, mask & 0xff, output);
}

static void masked_bytes(const block *input, unsigned mask, block *output) {
    for (int i = 0; i < 16; i++)
        output->b[i] = mask >> i & 1 ? input->b[i] : 0;
}

static void widened_bytes(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++)
        output->i[i] = input->b[i];
}

static void converted_integers(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++)
        output->f[i] = (float)input->i[i];
}

static void narrowed_integers(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++) {
        uint16_t lower = (uint16_t)(uint32_t)input->i[i];
        memcpy(output->b + 2 * i, &lower, sizeof lower);
    }
}

static void widened_numbers(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++) {
        uint16_t number;
        memcpy(&number, input->b + 2 * i, sizeof number);
        output->i[i] = number;
    }
}

static void narrowed_to_bytes(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++)
        output->b[i] = (unsigned char)(uint32_t)input->i[i];
}

static void rounded_floats(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 16; i++) {
        double value = (double)input->f[i];
        bool fits = value >= -0x1p31 && value < 0x1p31;
        output->i[i] = fits ? (int32_t)nearbyint(value) : INT32_MIN;
    }
}

static void stored_words(const block *input, unsigned mask, block *output) {
    for (size_t i = 0; i < 16; i++)
        if (mask >> i & 1)
            memcpy(output->b + 2 * i, input->b + 2 * i, 2);
}

static void widened_floats(const block *input, unsigned mask, block *output) {
    (void)mask;
    for (int i = 0; i < 8; i++)
        output->d[i] = (double)input->f[i];
}

static void low_half(const block *input, unsigned mask, block *output) {
    (void)mask;
    memcpy(output, input->f, 32);
}

static void high_half(const block *input, unsigned mask, block *output) {
    (void)mask;
    memcpy(output, input->f + 8, 32);
}

static void folded_sum(const block *input, unsigned mask, block *output) {
    (void)mask;
    double four[4];
    for (int i = 0; i < 4; i++)
        four[i] = (double)input->f[i] + (double)input->f[i + 4];
    output->d[0] = (four[0] + four[2]) + (four[1] + four[3]);
}

static void fused(const block *input, float sign_ab, float sign_c, block *output) {
    for (int i = 0; i < 16; i++)
        output->f[i] = fmaf(sign_ab * input->f[i], input->f[16 + i], sign_c * input->f[32 + i]);
}

static void fused_add(const block *input, unsigned mask, block *output) {
    (void)mask;
    fused(input, 1.0f, 1.0f, output);
}

static void fused_subtract(const block *input, unsigned mask, block *output) {
    (void)mask;
    fused(input, 1.0f, -1.0f, output);
}

static void fused_negated(const block *input, unsigned mask, block *output) {
    (void)mask;
    fused(input, -1.0f, 1.0f, output);
}

enum access { ALL, MASKED_LOAD, MASKED_STORE };

static const struct shim {
    const char *name;
    expectation *expect;
    enum access access;
    size_t lane; /* bytes of a masked lane */
    int lanes;
} shims[SHIM_CASES] = {
    {"_mm512_maskz_loadu_ps", masked_floats, MASKED_LOAD, 4, 16},
    {"_mm512_mask_storeu_ps", stored_floats, MASKED_STORE, 4, 16},
    {"_mm256_maskz_loadu_ps", masked_eight, MASKED_LOAD, 4, 8},
    {"_mm256_mask_storeu_ps", stored_eight, MASKED_STORE, 4, 8},
    {"_mm_maskz_loadu_epi8", masked_bytes, MASKED_LOAD, 1, 16},
    {"_mm512_cvtps_epi32", rounded_floats, ALL, 0, 0},
    {"_mm512_cvtepi32_epi8", narrowed_to_bytes, ALL, 0, 0},
    {"_mm256_mask_storeu_epi16", stored_words, MASKED_STORE, 2, 16},
    {"_mm512_cvtepu8_epi32", widened_bytes, ALL, 0, 0},
    {"_mm512_cvtepi32_ps", converted_integers, ALL, 0, 0},
    {"_mm512_cvtps_pd", widened_floats, ALL, 0, 0},
    {"_mm512_extractf32x8_ps low", low_half, ALL, 0, 0},
    {"_mm512_extractf32x8_ps high", high_half, ALL, 0, 0},
    {"_mm512_reduce_add_pd", folded_sum, ALL, 0, 0},
    {"_mm512_fmadd_ps", fused_add, ALL, 0, 0},
    {"_mm512_fmsub_ps", fused_subtract, ALL, 0, 0},
    {"_mm512_fnmadd_ps", fused_negated, ALL, 0, 0},
    {"_mm512_cvtepi32_epi16", narrowed_integers, ALL, 0, 0},
    {"_mm512_cvtepu16_epi32", widened_numbers, ALL, 0, 0},
};

/* The end of two readable pages with an unreadable one after them. */
static unsigned char *make_edge(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *pages =
        mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + 2 * page, page, PROT_NONE) != 0) {
        perror("mmap");
        exit(2);
    }
    return pages + 2 * page;
}

static void random_input(of_random *random, bool floats, block *input) {
    for (int i = 0; i < INPUT / 4; i++) {
        if (floats)
            input->f[i] = (float)of_random_normal(random);
        else
            input->i[i] = (int32_t)of_random_u32(random);
    }
}

/* Runs a case so that the lanes beyond the last unmasked one lie on the unreadable page. */
static void run(const struct shim *shim, shim_function *function, unsigned char *edge,
                const block *input, unsigned mask, block *output) {
    size_t used = 0;
    for (int i = 0; i < shim->lanes; i++)
        if (mask >> i & 1)
            used = (size_t)(i + 1) * shim->lane;
    if (shim->access == MASKED_LOAD) {
        memcpy(edge - used, input, used);
        function(edge - used, mask, output);
    } else if (shim->access == MASKED_STORE) {
        memcpy(edge - used, output, used);
        function(input, mask, edge - used);
        memcpy(output, edge - used, used);
    } else {
        function(input, mask, output);
    }
}

static bool check(const struct shim *shim, shim_function *function, const char *which,
                  unsigned char *edge, of_random *random) {
    bool integers = shim->lane == 1 || strstr(shim->name, "cvtep") != NULL;
    for (int round = 0; round < ROUNDS; round++) {
        block input, want, got;
        random_input(random, !integers, &input);
        memset(&want, 0x5a, sizeof want);
        got = want;
        unsigned mask = of_random_u32(random) & 0xffff;
        if (round % 2) /* the first lanes, as the kernels use it */
            mask = (1u << mask % 17) - 1;
        if (shim->lanes == 8)
            mask &= 0xff;
        shim->expect(&input, mask, &want);
        run(shim, function, edge, &input, mask, &got);
        if (memcmp(&got, &want, OUTPUT) != 0) {
            printf("%-28s %s: differs in round %d, mask %04x\n", shim->name, which, round, mask);
            return false;
        }
    }
    printf("%-28s %s: ok\n", shim->name, which);
    return true;
}

int main(void) {
    unsigned failed = 0;
    unsigned char *edge = make_edge();
    of_random random = of_random_stream(7, 0);
    bool native = of_kernels_for(OF_ISA_AVX512) != NULL;
    for (int i = 0; i < SHIM_CASES; i++) {
        failed += !check(&shims[i], shim_cases[i], "shim", edge, &random);
        if (native)
            failed += !check(&shims[i], native_cases[i], "native", edge, &random);
    }
    if (!native)
        puts("SKIPPED: native intrinsics, this machine has no AVX-512");
    printf("%u failed\n", failed);
    return failed != 0;
}
