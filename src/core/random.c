/* SPDX-License-Identifier: Apache-2.0 */
#include "core/random.h"

#include <math.h>

void of_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t words[4]) {
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

of_random of_random_stream(uint64_t seed, uint64_t stream) {
    return (of_random){.seed = seed, .stream = stream};
}

uint32_t of_random_u32(of_random *random) {
    if (random->left == 0) {
        of_philox(random->seed, random->position++, random->stream, random->words);
        random->left = 4;
    }
    return random->words[4 - random->left--];
}

float of_random_uniform(of_random *random) {
    return (float)(of_random_u32(random) >> 8) * 0x1p-24f;
}

uint32_t of_random_below(of_random *random, uint32_t bound) {
    /* Lemire 2019, "Fast random integer generation in an interval": reject the short residue. */
    uint32_t threshold = (0u - bound) % bound;
    for (;;) {
        uint64_t product = (uint64_t)of_random_u32(random) * bound;
        if ((uint32_t)product >= threshold)
            return (uint32_t)(product >> 32);
    }
}

double of_random_normal(of_random *random) {
    double radius = ((double)of_random_u32(random) + 1.0) * 0x1p-32; /* (0, 1] */
    double angle = (double)of_random_u32(random) * 0x1p-32;
    return sqrt(-2.0 * log(radius)) * cos(6.283185307179586 * angle);
}
