/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hash.h"

#include <string.h>

uint64_t of_hash(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *from = data;
    for (size_t at = 0; at < bytes; at += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, from + at, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 32;
    }
    return hash;
}

uint64_t of_hash_bytes(uint64_t hash, const void *data, size_t bytes) {
    size_t whole = bytes / sizeof(uint32_t) * sizeof(uint32_t);
    uint32_t rest = 0;
    hash = of_hash(hash, data, whole);
    if (whole == bytes)
        return hash;
    memcpy(&rest, (const unsigned char *)data + whole, bytes - whole);
    return of_hash(hash, &rest, sizeof rest);
}
