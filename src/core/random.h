/* SPDX-License-Identifier: Apache-2.0 */
/* Counter-based random numbers: a value depends on its key and counter alone, so that results do
 * not depend on threads, order or restarts. Philox4x32-10 (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3"). */
#ifndef OF_CORE_RANDOM_H
#define OF_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Four 32-bit words for one (key, counter). */
void of_philox(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t words[4]);

/* A stream of numbers for (seed, stream): cheap to make, no memory of its own. */
typedef struct of_random {
    uint64_t seed, stream, position;
    uint32_t words[4];
    unsigned left; /* unread words */
} of_random;

of_random of_random_stream(uint64_t seed, uint64_t stream);
uint32_t of_random_u32(of_random *random);
/* [0, 1), 24 bits. */
float of_random_uniform(of_random *random);
/* 0 .. bound-1 without bias; bound > 0. */
uint32_t of_random_below(of_random *random, uint32_t bound);
/* Standard normal (Box and Muller 1958), computed in double. */
double of_random_normal(of_random *random);

#endif
