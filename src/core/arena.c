/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include "core/memory.h"

enum { BLOCK_BYTES = 1 << 20 };

struct of_arena_block {
    of_arena_block *previous;
    size_t used, capacity;
    _Alignas(OF_ALIGNMENT) unsigned char data[];
};

static of_arena_block *new_block(of_arena *arena, size_t wanted) {
    size_t capacity = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES, bytes;
    if (!of_add(capacity, sizeof(of_arena_block), &bytes))
        return NULL;
    of_arena_block *block = of_allocate_zeroed(bytes, 1);
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
        block = new_block(arena, padded);
    if (block == NULL)
        return NULL;
    void *taken = block->data + block->used;
    block->used += padded;
    arena->bytes += padded;
    return taken;
}

void of_arena_release(of_arena *arena) {
    while (arena->last != NULL) {
        of_arena_block *block = arena->last;
        arena->last = block->previous;
        of_free(block);
    }
    arena->bytes = 0;
}
