/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_TERMINAL_PROCESSOR_H
#define OF_CLI_TERMINAL_PROCESSOR_H

/* Which instructions for bfloat16 there are: "avx512_bf16 (yes), amx_bf16 (no)". */
const char *of_bf16_text(void);

#endif
