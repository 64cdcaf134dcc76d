/* SPDX-License-Identifier: Apache-2.0 */
/* Two arrays [positions][half] side by side: [positions][2*half]. */
#include "kernels_avx2.h"
#include "vector.h"

/* `half` is a constant at the calls that matter. */
ALWAYS_INLINE void interleave(const float *first, const float *second, size_t positions,
                              size_t half, float *target) {
    for (size_t p = 0; p < positions; p++, first += half, second += half, target += 2 * half) {
        copy_run(target, first, half);
        copy_run(target + half, second, half);
    }
}

void of_avx2_interleave(const float *first, const float *second, size_t positions, size_t half,
                        float *target) {
    switch (half) {
    case 6:
        interleave(first, second, positions, 6, target);
        break;
    case 12:
        interleave(first, second, positions, 12, target);
        break;
    case 24:
        interleave(first, second, positions, 24, target);
        break;
    default:
        interleave(first, second, positions, half, target);
        break;
    }
}
