/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/decoder_memory.h"

#include "core/error.h"

#include <stddef.h>
#include <stdlib.h>

static _Thread_local struct {
    size_t limit;     /* of one allocation */
    size_t most, all; /* of all that are in use; and what they are */
    bool exceeded, scarce;
    bool exhausted; /* the system gave none */
} memory;

/* Before each block stands its size; the union keeps the block aligned. */
typedef union block_head {
    size_t size;
    max_align_t aligned;
} block_head;

void of_decoder_memory_begin(size_t one, uint64_t most) {
    memory.limit = one;
    memory.most = most > 0 && most < SIZE_MAX ? (size_t)most : SIZE_MAX;
    memory.all = 0;
    memory.exceeded = memory.scarce = memory.exhausted = false;
}

static bool may_take(size_t size, size_t instead_of) {
    memory.exceeded = memory.exceeded || size > memory.limit;
    if (size > memory.limit)
        return false;
    size_t others = memory.all - instead_of;
    bool fits = others <= memory.most && size <= memory.most - others;
    memory.scarce = memory.scarce || !fits;
    return fits;
}

void *of_decoder_malloc(size_t size) {
    block_head *head = NULL;
    if (may_take(size, 0))
        memory.exhausted |= (head = calloc(1, sizeof *head + size)) == NULL;
    if (head == NULL)
        return NULL;
    head->size = size;
    memory.all += size;
    return head + 1;
}

void *of_decoder_realloc(void *block, size_t size) {
    if (block == NULL)
        return of_decoder_malloc(size);
    block_head *head = (block_head *)block - 1;
    size_t before = head->size;
    if (!may_take(size, before))
        return NULL;
    head = realloc(head, sizeof *head + size);
    memory.exhausted |= head == NULL;
    if (head == NULL)
        return NULL;
    head->size = size;
    memory.all += size - before;
    return head + 1;
}

void of_decoder_free(void *block) {
    if (block == NULL)
        return;
    block_head *head = (block_head *)block - 1;
    memory.all -= head->size;
    free(head);
}

bool of_decoder_may_take(size_t size) {
    if (!may_take(size, 0))
        return false;
    memory.all += size;
    return true;
}

of_status of_decoder_memory_fail(of_error *error) {
    if (memory.scarce)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "max_bytes",
                               "image takes more than %zu bytes to decode", memory.most);
    if (memory.exhausted)
        return of_fail_memory(error, "an image");
    if (memory.exceeded)
        return of_fail(error, OF_ERROR_FORMAT,
                       "damaged image: holds more data than its header announces");
    return OF_OK;
}
