/* SPDX-License-Identifier: Apache-2.0 */
/* Models by name, beyond what outflow.h has of them. */
#ifndef OF_MODEL_NAMED_H
#define OF_MODEL_NAMED_H

#include <outflow/outflow.h>

enum { OF_MODEL_NAME_SIZE = 128 /* bytes of the longest name that is listed */ };

/* The name of an installed model with these weights (of_model_fingerprint), if there is one. Reads
 * all of them. */
bool of_model_with_fingerprint(uint64_t fingerprint, char *name, size_t size);

#endif
