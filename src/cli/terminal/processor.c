/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/processor.h"

#include <outflow/outflow.h>

const char *of_bf16_text(void) {
    static const char *const texts[2][2] = {
        {"avx512_bf16 (no), amx_bf16 (no)", "avx512_bf16 (no), amx_bf16 (yes)"},
        {"avx512_bf16 (yes), amx_bf16 (no)", "avx512_bf16 (yes), amx_bf16 (yes)"}};
    of_bf16_support support = of_cpu_bf16();
    return texts[support.avx512_bf16][support.amx_bf16];
}
