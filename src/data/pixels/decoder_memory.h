/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the decoders. They believe lengths inside a file and let a compressed stream grow as it
 * likes, so each allocation is held against a limit that follows from the file's size and header,
 * and their sum against the caller's. Not all of them have a place for a context in their
 * allocator: the limits are the thread's.
 */
#ifndef OF_DATA_PIXELS_DECODER_MEMORY_H
#define OF_DATA_PIXELS_DECODER_MEMORY_H

#include <outflow/outflow.h>

/* A file begins: `one` bytes at most in one allocation, `most` in all; 0: no limit of all. */
void of_decoder_memory_begin(size_t one, uint64_t most);

/* Zeroed, because decoders have read tables that a damaged file leaves undefined. NULL beyond the
 * limits. What realloc adds is not zeroed. */
void *of_decoder_malloc(size_t size);
void *of_decoder_realloc(void *block, size_t size);
void of_decoder_free(void *block);

/* Whether a decoder with an allocator of its own may take this much; counted until the next
 * begin. */
bool of_decoder_may_take(size_t size);

/* Why an allocation failed since the file began; OF_OK if none has. */
of_status of_decoder_memory_fail(of_error *error);

#endif
