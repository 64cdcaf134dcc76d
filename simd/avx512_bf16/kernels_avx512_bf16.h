/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that need AVX512_BF16 beside AVX-512. What they compute: ../scalar. */
#ifndef OF_SIMD_KERNELS_AVX512_BF16_H
#define OF_SIMD_KERNELS_AVX512_BF16_H

#include "kernels.h"

/* weight_product.c */
void of_avx512_weight_product_bf16(const of_product_bf16 *task);

#endif
