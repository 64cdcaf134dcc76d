/* SPDX-License-Identifier: Apache-2.0 */
/* API keys: one a line in a file; '#' begins a comment line. */
#ifndef OF_SERVER_KEYS_H
#define OF_SERVER_KEYS_H

#include <outflow/outflow.h>

typedef struct of_keys of_keys;

/* A file without any key is an error: it would lock everybody out. */
of_status of_keys_read(const char *path, of_keys **keys, of_error *error);
void of_keys_free(of_keys *keys);

/* Is this one of them? Its place among them is set then. Takes the same time wherever the first
 * difference is. */
bool of_keys_have(const of_keys *keys, const char *key, size_t *place);

#endif
