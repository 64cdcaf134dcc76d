/* SPDX-License-Identifier: Apache-2.0 */
/* Growable storage that is reused from image to image. */
#ifndef OF_DATA_BYTES_H
#define OF_DATA_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct of_bytes {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
} of_bytes;

/* Makes room for `capacity` bytes and keeps what is there; false when memory is exhausted. */
bool of_bytes_reserve(of_bytes *bytes, size_t capacity);

/* Releases the storage if it is larger than `keep` bytes. */
void of_bytes_trim(of_bytes *bytes, size_t keep);

void of_bytes_free(of_bytes *bytes);

void of_bytes_swap(of_bytes *a, of_bytes *b);

/* Stores `length` characters and a terminating zero. */
bool of_text_set(of_bytes *text, const char *characters, size_t length);

/* Stores a printf text. */
__attribute__((format(printf, 2, 3))) bool of_text_format(of_bytes *text, const char *format, ...);

/* The stored text, "" if there is none. */
const char *of_text(const of_bytes *text);

#endif
