/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels_scalar.h"

#include <string.h>

/* Adding half a unit of the last place that stays, less one bit where that place is even, makes
 * the carry round to the nearest, ties to even; it may run into the exponent, up to infinity. */
void of_scalar_round_to_bf16(const float *values, uint16_t *target, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if ((bits & 0x7fffffffU) > 0x7f800000U)
            target[i] = (uint16_t)(bits >> 16 | 0x40U); /* NaN: quiet, not carried to infinity */
        else
            target[i] = (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
    }
}

/* The upper half of a float's bits. */
float of_scalar_bf16_value(uint16_t number) {
    uint32_t bits = (uint32_t)number << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
