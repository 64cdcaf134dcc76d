/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_scalar.h"

/* The compiler may use what the baseline has; a multiplication and an addition each. */
void of_scalar_multiply_add_burst(size_t rounds, float *result) {
    float values[OF_BURST_VALUES], sum = 0;
    for (int i = 0; i < OF_BURST_VALUES; i++)
        values[i] = (float)i;
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < OF_BURST_VALUES; i++)
            values[i] = values[i] * 0.999F + 0.001F;
    for (int i = 0; i < OF_BURST_VALUES; i++)
        sum += values[i];
    *result = sum;
}
