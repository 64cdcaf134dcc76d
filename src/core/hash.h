/* SPDX-License-Identifier: Apache-2.0 */
/* A hash that tells contents apart, not one against forgery. */
#ifndef OF_CORE_HASH_H
#define OF_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define OF_HASH_START UINT64_C(0xcbf29ce484222325)

/* Goes on with FNV-1a over 32-bit words, the upper half folded in, because a word's high bits reach
 * the low bits of the hash in no other way. `bytes` is a multiple of 4. */
uint64_t of_hash(uint64_t hash, const void *data, size_t bytes);

/* The same over any number of bytes: the last word is filled up with zeros. */
uint64_t of_hash_bytes(uint64_t hash, const void *data, size_t bytes);

#endif
