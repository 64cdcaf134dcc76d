/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are appended, then read at random: in memory up to a cap, beyond it in a temporary
 * file without a name. */
#ifndef OF_DATA_SETS_IMAGE_STORE_H
#define OF_DATA_SETS_IMAGE_STORE_H

#include <outflow/outflow.h>

typedef struct of_image_store {
    uint8_t *bytes; /* in memory, or after of_image_store_close the mapping */
    size_t size, capacity, cap;
    int descriptor; /* -1: in memory */
} of_image_store;

of_image_store of_image_store_open(size_t cap);

/* The temporary file is made in TMPDIR, else /var/tmp. */
of_status of_image_store_append(of_image_store *store, const void *bytes, size_t size,
                                of_error *error);

/* Ends the appending and makes `bytes` readable. */
of_status of_image_store_close(of_image_store *store, of_error *error);

/* Frees what of_image_store_close left, or, before that, everything. */
void of_image_store_free(of_image_store *store);

#endif
