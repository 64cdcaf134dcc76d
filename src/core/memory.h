/* SPDX-License-Identifier: Apache-2.0 */
/* Checked sizes and cache-line-aligned memory. */
#ifndef OF_CORE_MEMORY_H
#define OF_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum { OF_ALIGNMENT = 64 };

/* *product = a * b; false on overflow (then *product is unspecified). */
static inline bool of_multiply(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* *sum = a + b; false on overflow. */
static inline bool of_add(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline size_t of_round_up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* count * size bytes, 64-byte aligned; NULL on overflow or exhaustion. A size of 0 gives a
 * valid block. Freed with of_free, which accepts NULL. */
void *of_allocate(size_t count, size_t size);
void *of_allocate_zeroed(size_t count, size_t size);

/* Gives the memory behind these bytes of a block back until they are written again; what they hold
 * is lost. Pages that lie in them only in part stay. */
void of_release(void *bytes, size_t count);

#endif
