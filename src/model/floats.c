/* SPDX-License-Identifier: Apache-2.0 */
#include "model/floats.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1024 };

size_t of_first_non_finite(const float *values, size_t count) {
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        size_t end = count - begin < BLOCK ? count : begin + BLOCK;
        unsigned bad = 0; /* without a branch, so that the loop runs in vectors */
        for (size_t i = begin; i < end; i++)
            bad |= !(fabsf(values[i]) < INFINITY);
        for (size_t i = begin; bad && i < end; i++)
            if (!isfinite(values[i]))
                return i;
    }
    return count;
}

void of_widen_bf16(const unsigned char *stored, size_t count, float *values) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)stored[2 * i] << 16 | (uint32_t)stored[2 * i + 1] << 24;
        memcpy(&values[i], &bits, sizeof bits);
    }
}

uint16_t of_round_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40); /* stays a NaN when the lower half goes */
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
