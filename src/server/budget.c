/* SPDX-License-Identifier: Apache-2.0 */
#include "server/budget.h"

#include <stdlib.h>
#include <string.h>

static bool take(of_budget *budget, size_t bytes) {
    size_t used = atomic_load(&budget->used);
    do {
        if (bytes > budget->limit || used > budget->limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&budget->used, &used, used + bytes));
    return true;
}

of_counted of_counted_of(of_budget *budget) {
    return (of_counted){.budget = budget};
}

bool of_counted_reserve(of_counted *block, size_t capacity) {
    if (capacity <= block->capacity)
        return true;
    size_t more = capacity - block->capacity;
    if (!take(block->budget, more))
        return false;
    uint8_t *bytes = realloc(block->bytes, capacity);
    if (bytes == NULL) {
        (void)atomic_fetch_sub(&block->budget->used, more);
        return false;
    }
    block->bytes = bytes;
    block->capacity = capacity;
    return true;
}

bool of_counted_append(of_counted *block, const void *from, size_t size, size_t most) {
    if (size > most || block->size > most - size)
        return false;
    size_t wanted = block->size + size, doubled = block->capacity * 2;
    if (wanted > block->capacity) {
        size_t capacity = doubled > wanted ? doubled : wanted;
        if (!of_counted_reserve(block, capacity < most ? capacity : most))
            return false;
    }
    if (size > 0)
        memcpy(block->bytes + block->size, from, size);
    block->size = wanted;
    return true;
}

void of_counted_free(of_counted *block) {
    free(block->bytes);
    if (block->capacity > 0)
        (void)atomic_fetch_sub(&block->budget->used, block->capacity);
    *block = (of_counted){.budget = block->budget};
}
