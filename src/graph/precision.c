/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of what the coupling networks calculate in. */
#include "core/error.h"
#include "graph/convolution.h"

/* Whether bfloat16 runs natively: `reason` tells why not and what to do. */
static of_status check_bf16(of_isa isa, of_error *reason) {
    if (!of_cpu_bf16().avx512_bf16)
        return of_fail_setting(
            reason, OF_ERROR_UNSUPPORTED, "precision",
            "precision bf16: this CPU has no AVX512_BF16 instructions; use precision "
            "f32, or auto, which takes bf16 where the CPU has it");
    if (isa != OF_ISA_AVX512)
        return of_fail_setting(
            reason, OF_ERROR_UNSUPPORTED, "isa",
            "precision bf16: it needs instruction set avx512, but %s was chosen; leave "
            "the instruction set at auto (here or in OUTFLOW_ISA), or use precision f32",
            of_isa_name(isa));
    if (!of_convolution_has_bf16())
        return of_fail_setting(
            reason, OF_ERROR_UNSUPPORTED, "precision",
            "precision bf16: %s does not use this CPU's AVX512_BF16, perhaps because "
            "OUTFLOW_ISA or ONEDNN_MAX_CPU_ISA holds it back; unset them, or use "
            "precision f32",
            of_convolution_library());
    return OF_OK;
}

/* Whether the integer kernels run. */
static of_status check_int8(of_isa isa, of_error *reason) {
    if (!of_cpu_int8().avx512_vnni)
        return of_fail_setting(reason, OF_ERROR_UNSUPPORTED, "precision",
                               "precision int8: this CPU has no AVX512_VNNI instructions; use "
                               "precision f32, or auto");
    if (isa != OF_ISA_AVX512)
        return of_fail_setting(
            reason, OF_ERROR_UNSUPPORTED, "isa",
            "precision int8: it needs instruction set avx512, but %s was chosen; leave the "
            "instruction set at auto (here or in OUTFLOW_ISA), or use precision f32",
            of_isa_name(isa));
    return OF_OK;
}

of_status of_precision_resolve(of_precision wish, of_isa isa, of_precision *resolved,
                               of_error *error) {
    of_error reason;
    of_status status = of_isa_resolve(isa, &isa, error);
    if (status != OF_OK)
        return status;
    if ((unsigned)wish > OF_PRECISION_INT16 || resolved == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_precision_resolve: no precision %d",
                       (int)wish);
    if (wish == OF_PRECISION_INT16)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "precision",
                               "precision int16 is what single layers of int8 use; use int8");
    of_status native = wish == OF_PRECISION_F32    ? OF_OK
                       : wish == OF_PRECISION_INT8 ? check_int8(isa, &reason)
                                                   : check_bf16(isa, &reason);
    if (native != OF_OK && wish != OF_PRECISION_AUTO)
        return of_error_copy(error, &reason);
    *resolved = wish != OF_PRECISION_AUTO ? wish
                : native == OF_OK         ? OF_PRECISION_BF16
                                          : OF_PRECISION_F32;
    return OF_OK;
}
