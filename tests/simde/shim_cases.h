/* SPDX-License-Identifier: Apache-2.0 */
/* The intrinsics that the shim header adds, each as a function on memory. The file shim_cases.c is
 * compiled twice: with the shims for any machine, and with the compiler's own for AVX-512. */
#ifndef SHIM_CASES_H
#define SHIM_CASES_H

/* input: 3 * 64 bytes (for the masked loads only the bytes of unmasked lanes); output: 64 bytes
 * (for the masked stores likewise). */
typedef void shim_function(const void *input, unsigned mask, void *output);

enum { SHIM_CASES = 19 };
extern shim_function *const shim_cases[SHIM_CASES], *const native_cases[SHIM_CASES];

#endif
