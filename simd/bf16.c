/* SPDX-License-Identifier: Apache-2.0 */
/* Which instructions for bfloat16 and 8-bit integers the processor has. Asked of CPUID: the
 * compilers' builtins do not all know AMX. Numbers of leaves and bits: Intel 64 and IA-32
 * Architectures Software Developer's Manual, volume 2, CPUID, and volume 1, chapter 13, for the
 * register state (XCR0). */
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    OSXSAVE = 1 << 27,             /* leaf 1, ecx: the system lets XGETBV be read */
    AVX512_BF16 = 1 << 5,          /* leaf 7.1, eax */
    AMX_BF16 = 1 << 22,            /* leaf 7.0, edx */
    AMX_TILE = 1 << 24,            /* leaf 7.0, edx */
    TILE_STATE = 1 << 17 | 1 << 18 /* XCR0 */
};

/* Register state that the operating system saves. */
static unsigned saved_state(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

of_bf16_support of_cpu_bf16(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    of_bf16_support support = {false, false};
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        support.amx_bf16 =
            (edx & AMX_BF16) && (edx & AMX_TILE) && (saved_state() & TILE_STATE) == TILE_STATE;
    /* the builtin checks also that the state of AVX-512 is saved */
    __builtin_cpu_init();
    if (eax >= 1 && __builtin_cpu_supports("avx512f") &&
        __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
        support.avx512_bf16 = eax & AVX512_BF16;
    return support;
}

of_int8_support of_cpu_int8(void) {
    __builtin_cpu_init();
    return (of_int8_support){.avx512_vnni = __builtin_cpu_supports("avx512f") &&
                                            __builtin_cpu_supports("avx512vnni")};
}
#else
of_bf16_support of_cpu_bf16(void) {
    return (of_bf16_support){false, false};
}
of_int8_support of_cpu_int8(void) {
    return (of_int8_support){false};
}
#endif
