/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "core/memory.h"

#include <outflow/outflow.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

void of_release(void *bytes, size_t count) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = of_round_up((uintptr_t)bytes, page) - (uintptr_t)bytes;
    if (count >= before + page)
        (void)madvise((unsigned char *)bytes + before, (count - before) / page * page,
                      MADV_DONTNEED); /* a wish: without it, memory is not spared */
}
