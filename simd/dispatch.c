/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction sets this machine can run, and the choice among them. */
#include "core/choice.h"
#include "core/error.h"
#include "kernels.h"

#include <stdlib.h>

static const char *const isa_names[] = {"auto", "scalar", "avx2", "avx512"};
static const of_choice isa_choice = {"instruction set", isa_names, 4};

const char *of_isa_name(of_isa isa) {
    return of_choice_name(&isa_choice, (int)isa);
}

of_status of_isa_parse(const char *name, of_isa *isa, of_error *error) {
    int value;
    of_status status = of_choice_parse(&isa_choice, name, &value, error);
    if (status == OF_OK)
        *isa = (of_isa)value;
    return status;
}

#if defined(__x86_64__)
/* The builtin checks CPUID and that the operating system saves the registers (XGETBV). */
static bool supports(of_isa isa) {
    __builtin_cpu_init();
    switch (isa) {
    case OF_ISA_SCALAR:
        return true;
    case OF_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case OF_ISA_AVX512:
#ifdef OF_AVX512_EMULATED
        return true;
#else
        return supports(OF_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    default:
        return false;
    }
}
#else
static bool supports(of_isa isa) {
    return isa == OF_ISA_SCALAR;
}
#endif

const of_kernels *of_kernels_for(of_isa isa) {
    if (!supports(isa))
        return NULL;
    switch (isa) {
#if defined(__x86_64__)
    case OF_ISA_AVX512:
#ifndef OF_AVX512_EMULATED
        if (of_cpu_bf16().avx512_bf16)
            return &of_kernels_avx512_bf16;
#endif
        return &of_kernels_avx512;
    case OF_ISA_AVX2:
        return &of_kernels_avx2;
#endif
    default:
        return &of_kernels_scalar;
    }
}

of_status of_isa_resolve(of_isa wish, of_isa *resolved, of_error *error) {
    const char *variable = NULL;
    if (wish == OF_ISA_AUTO) {
        variable = getenv("OUTFLOW_ISA");
        if (variable != NULL && *variable != '\0') {
            of_error reason;
            if (of_isa_parse(variable, &wish, &reason) != OF_OK)
                return of_fail(error, OF_ERROR_ARGUMENT, "OUTFLOW_ISA: %s", reason.message);
        }
    }
    if (wish == OF_ISA_AUTO) {
        wish = OF_ISA_SCALAR;
        if (supports(OF_ISA_AVX2))
            wish = OF_ISA_AVX2;
        if (supports(OF_ISA_AVX512))
            wish = OF_ISA_AVX512;
    }
    if (!supports(wish))
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%sthis machine cannot run instruction set '%s'; leave it at auto",
                       variable ? "OUTFLOW_ISA: " : "", of_isa_name(wish));
    *resolved = wish;
    return OF_OK;
}
