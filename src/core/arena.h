/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is handed out piece by piece, 64-byte aligned, and freed all at once. */
#ifndef OF_CORE_ARENA_H
#define OF_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct of_arena_block of_arena_block;

typedef struct of_arena {
    of_arena_block *last; /* the block that is being filled; links to the earlier ones */
    size_t bytes;         /* handed out so far */
} of_arena;

/* count * size zeroed bytes, or NULL on overflow or exhaustion. */
void *of_arena_take(of_arena *arena, size_t count, size_t size);

/* Room for pieces of so many bytes in all, each of which counts in whole OF_ALIGNMENTs, and for no
 * more: for arenas whose size is known. False on exhaustion. */
bool of_arena_reserve(of_arena *arena, size_t bytes);

/* Frees everything that was handed out; the arena may be used again. */
void of_arena_release(of_arena *arena);

#endif
