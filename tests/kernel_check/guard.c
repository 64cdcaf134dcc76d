/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_BLOCKS = 64, CANARY = 0xA5 };

/* [no access][readable ...][no access]; the block lies at one end of the readable part. */
typedef struct block {
    unsigned char *mapping, *readable, *start;
    size_t mapping_bytes, readable_bytes, bytes;
} block;

static block blocks[MAX_BLOCKS];
static unsigned block_count;

static void fail_hard(const char *what) {
    perror(what);
    exit(2);
}

void *guarded(checker *check, size_t count, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (block_count == MAX_BLOCKS) {
        fputs("too many guarded blocks\n", stderr);
        exit(2);
    }
    block *b = &blocks[block_count++];
    /* At the front, up to three elements past the boundary: misaligned, but whole elements. */
    bool at_front = coin(check);
    size_t shift = at_front ? between(check, 0, 3) * size : 0;
    b->bytes = count * size;
    b->readable_bytes = (b->bytes + shift + page - 1) / page * page;
    if (b->readable_bytes == 0)
        b->readable_bytes = page;
    b->mapping_bytes = b->readable_bytes + 2 * page;
    b->mapping = mmap(NULL, b->mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->mapping == MAP_FAILED)
        fail_hard("mmap");
    b->readable = b->mapping + page;
    if (mprotect(b->readable, b->readable_bytes, PROT_READ | PROT_WRITE) != 0)
        fail_hard("mprotect");
    memset(b->readable, CANARY, b->readable_bytes);
    b->start = at_front ? b->readable + shift : b->readable + b->readable_bytes - b->bytes;
    return b->start;
}

float *guarded_floats(checker *check, size_t count) {
    float *values = guarded(check, count, sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = NAN;
    return values;
}

float *guarded_copy(checker *check, const float *source, size_t count) {
    float *values = guarded(check, count, sizeof *values);
    memcpy(values, source, count * sizeof *values);
    return values;
}

static bool intact(const unsigned char *from, const unsigned char *to) {
    while (from < to)
        if (*from++ != CANARY)
            return false;
    return true;
}

void guarded_release(checker *check) {
    for (unsigned i = 0; i < block_count; i++) {
        const block *b = &blocks[i];
        expect_true(check,
                    intact(b->readable, b->start) &&
                        intact(b->start + b->bytes, b->readable + b->readable_bytes),
                    "bytes outside an array were written");
    }
    guarded_drop();
}

void guarded_drop(void) {
    while (block_count > 0) {
        block_count--;
        (void)munmap(blocks[block_count].mapping, blocks[block_count].mapping_bytes);
    }
}
