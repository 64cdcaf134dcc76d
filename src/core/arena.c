/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks grow with the arena and are mapped, so that what is not used of them costs nothing.
 * Weights are streamed: with pages of 2 MB a large plan spends no time on address translation. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "core/arena.h"

#include "core/memory.h"

#include <sys/mman.h>

static const size_t LEAST_BLOCK = (size_t)1 << 18, MOST_BLOCK = (size_t)1 << 25,
                    HUGE_PAGE = (size_t)1 << 21;

struct of_arena_block {
    of_arena_block *previous;
    size_t used, capacity; /* of data */
    void *mapping;
    size_t mapped; /* bytes */
    _Alignas(OF_ALIGNMENT) unsigned char data[];
};

/* Zeroed bytes, aligned to huge pages where there is more than one. */
static of_arena_block *map_block(size_t bytes) {
    bool huge = bytes >= HUGE_PAGE;
    size_t mapped;
    if (!of_add(bytes, huge ? HUGE_PAGE : 0, &mapped))
        return NULL;
    void *mapping = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t skipped = huge ? (HUGE_PAGE - (size_t)mapping % HUGE_PAGE) % HUGE_PAGE : 0;
    of_arena_block *block = (of_arena_block *)(void *)((unsigned char *)mapping + skipped);
#ifdef MADV_HUGEPAGE
    if (huge)
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* a wish: without it, all works as well */
#endif
    block->mapping = mapping;
    block->mapped = mapped;
    return block;
}

static size_t next_capacity(const of_arena *arena, size_t wanted) {
    size_t capacity = LEAST_BLOCK;
    if (arena->last != NULL)
        capacity = arena->last->capacity < MOST_BLOCK / 2 ? 2 * arena->last->capacity : MOST_BLOCK;
    return capacity < wanted ? wanted : capacity;
}

static of_arena_block *new_block(of_arena *arena, size_t capacity) {
    size_t bytes;
    if (!of_add(capacity, sizeof(of_arena_block), &bytes))
        return NULL;
    of_arena_block *block = map_block(bytes);
    if (block == NULL)
        return NULL;
    block->previous = arena->last;
    block->capacity = capacity;
    arena->last = block;
    return block;
}

void *of_arena_take(of_arena *arena, size_t count, size_t size) {
    size_t bytes, padded;
    if (!of_multiply(count, size, &bytes) || !of_add(bytes, OF_ALIGNMENT - 1, &padded))
        return NULL;
    padded = padded / OF_ALIGNMENT * OF_ALIGNMENT;
    of_arena_block *block = arena->last;
    if (block == NULL || block->capacity - block->used < padded)
        block = new_block(arena, next_capacity(arena, padded));
    if (block == NULL)
        return NULL;
    void *taken = block->data + block->used;
    block->used += padded;
    arena->bytes += padded;
    return taken;
}

bool of_arena_reserve(of_arena *arena, size_t bytes) {
    return new_block(arena, bytes) != NULL;
}

void of_arena_release(of_arena *arena) {
    while (arena->last != NULL) {
        of_arena_block *block = arena->last;
        arena->last = block->previous;
        (void)munmap(block->mapping, block->mapped);
    }
    arena->bytes = 0;
}
