/* SPDX-License-Identifier: Apache-2.0 */
/* What a weight file says about its own content, so that a bit that a disk or a copy turned is
 * noticed: metadata "content_hash", the sum of the hashes of all tensors (name and stored bytes)
 * and all other metadata (key and value). A sum, because other programs write the same content in
 * another order. It finds damage, not forgery. */
#ifndef OF_MODEL_CONTENT_HASH_H
#define OF_MODEL_CONTENT_HASH_H

#include "model/safetensors.h"

#define OF_CONTENT_HASH "content_hash"

enum { OF_CONTENT_HASH_SIZE = 17 };

/* The start of an item's hash; of_hash_bytes goes on with its content, in parts of whole words. */
uint64_t of_content_hash_begin(const char *name);

/* Of metadata; 0 for the hash itself. */
uint64_t of_content_hash_text(const char *key, const char *value);

void of_content_hash_print(uint64_t hash, char text[OF_CONTENT_HASH_SIZE]);

/* OF_ERROR_FORMAT if the file states another hash than it has. Files that state none, as those of
 * earlier versions and of converters, are taken as they are. */
of_status of_content_hash_check(const of_safetensors *file, const char *place, of_error *error);

#endif
