/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to bfloat16. The reference looks for the nearest of the two neighbours in double. */
#include "check.h"

#include <math.h>
#include <string.h>

static double bf16_value(uint32_t number) {
    uint32_t bits = number << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* For NaN: its sign, the quiet bit and the upper bits of the payload. */
static uint32_t reference(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t below = bits >> 16; /* towards zero */
    if (isnan(value))
        return below | 0x40;
    if (isinf(value))
        return below;
    uint32_t above = below + 1;
    /* what lies above the largest number counts as 2^128, where infinity begins */
    double far = (above & 0x7fff) == 0x7f80 ? copysign(0x1p128, (double)value) : bf16_value(above);
    double to_below = fabs((double)value - bf16_value(below)), to_above = fabs((double)value - far);
    if (to_below != to_above)
        return to_below < to_above ? below : above;
    return below % 2 == 0 ? below : above;
}

/* Odd addresses too: nothing is aligned. */
static void check_values(checker *check, const float *values, size_t n) {
    float *source = guarded_copy(check, values, n);
    uint16_t *target = guarded(check, n, sizeof *target);
    check->kernels->round_to_bf16(source, target, n);
    for (size_t i = 0; i < n; i++)
        expect_near(check, "bits", i, (double)target[i], (double)reference(values[i]), 0.0);
    guarded_release(check);
}

void check_round_to_bf16(checker *check) {
    enum { MOST = 100 };
    float values[MOST];
    for (size_t n = 0; n <= MOST; n++) {
        begin_case(check, "n %zu", n);
        for (size_t i = 0; i < n; i++)
            values[i] = coin(check) ? normal(check, 1.0) : float_of(of_random_u32(&check->random));
        check_values(check, values, n);
    }
}

/* Around every kind of boundary: ties to even and odd, zeros, subnormal numbers, the largest. */
void check_round_to_bf16_special(checker *check) {
    static const uint32_t upper[] = {0x0000, 0x0001, 0x007f, 0x0080, 0x3f80, 0x3f81, 0x3fff,
                                     0x7f7e, 0x7f7f, 0x7f80, 0x7f81, 0x7fbf, 0x7fc0, 0x7fff};
    static const uint32_t lower[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { UPPER = sizeof upper / sizeof *upper, LOWER = sizeof lower / sizeof *lower };
    float values[2 * UPPER * LOWER];
    size_t n = 0;
    for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000)
        for (size_t u = 0; u < UPPER; u++)
            for (size_t l = 0; l < LOWER; l++)
                values[n++] = float_of((upper[u] | sign) << 16 | lower[l]);
    begin_case(check, "boundaries");
    check_values(check, values, n);
}
