/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

void *of_allocate(size_t count, size_t size) {
    size_t bytes, padded;
    if (!of_multiply(count, size, &bytes) || !of_add(bytes, OF_ALIGNMENT, &padded))
        return NULL;
    return aligned_alloc(OF_ALIGNMENT, padded / OF_ALIGNMENT * OF_ALIGNMENT);
}

void *of_allocate_zeroed(size_t count, size_t size) {
    void *block = of_allocate(count, size);
    if (block != NULL)
        memset(block, 0, count * size);
    return block;
}

void of_free(void *block) {
    free(block);
}
