/* SPDX-License-Identifier: Apache-2.0 */
/* MATLAB 5 files, put together byte by byte. Include once. */
#ifndef OF_TESTS_MAT_FIXTURE_H
#define OF_TESTS_MAT_FIXTURE_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAT_DOUBLE = 6, MAT_UINT8 = 9, MAT_CELL = 1 };    /* classes of arrays */
enum { MAT_BYTES = 2, MAT_SHORTS = 4, MAT_DOUBLES = 9 }; /* how values are stored */

typedef struct mat_file {
    uint8_t *bytes;
    size_t size;
} mat_file;

static inline void mat_add(mat_file *file, const void *bytes, size_t size) {
    file->bytes = realloc(file->bytes, file->size + size + 1);
    assert(file->bytes != NULL);
    if (size > 0)
        memcpy(file->bytes + file->size, bytes, size);
    file->size += size;
}

static inline void mat_add_word(mat_file *file, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    mat_add(file, bytes, sizeof bytes);
}

static inline void mat_begin(mat_file *file) {
    char header[128];
    memset(header, ' ', 116);
    memcpy(header, "MATLAB 5.0 MAT-file, made by a test", 35);
    memset(header + 116, 0, 8);
    memcpy(header + 124, "\0\1IM", 4);
    mat_add(file, header, sizeof header);
}

/* [type][bytes][content][zeros up to a multiple of 8]; up to 4 bytes in the short form. */
static inline void mat_add_part(mat_file *file, uint32_t type, const void *content, size_t size) {
    static const uint8_t zeros[8];
    if (size > 0 && size <= 4) {
        mat_add_word(file, (uint32_t)size << 16 | type);
        mat_add(file, content, size);
        mat_add(file, zeros, 4 - size);
        return;
    }
    mat_add_word(file, type);
    mat_add_word(file, (uint32_t)size);
    mat_add(file, content, size);
    mat_add(file, zeros, (8 - size % 8) % 8);
}

/* An array: flags, dimensions, name, values. */
static inline void mat_add_array(mat_file *file, const char *name, uint32_t class, uint32_t type,
                                 const uint32_t *shape, size_t rank, const void *values,
                                 size_t size, int compressed) {
    mat_file array = {0}, shapes = {0}, inner = {0};
    const uint8_t flags[8] = {(uint8_t) class};
    for (size_t i = 0; i < rank; i++)
        mat_add_word(&shapes, shape[i]);
    mat_add_part(&inner, 6, flags, sizeof flags);
    mat_add_part(&inner, 5, shapes.bytes, shapes.size);
    mat_add_part(&inner, 1, name, strlen(name));
    mat_add_part(&inner, type, values, size);
    mat_add_word(&array, 14);
    mat_add_word(&array, (uint32_t)inner.size);
    mat_add(&array, inner.bytes, inner.size);
    if (compressed) {
        uLongf packed_size = compressBound((uLong)array.size);
        uint8_t *packed = malloc(packed_size);
        assert(packed != NULL);
        int result = compress(packed, &packed_size, array.bytes, (uLong)array.size);
        assert(result == Z_OK);
        (void)result;
        mat_add_word(file, 15);
        mat_add_word(file, (uint32_t)packed_size);
        mat_add(file, packed, packed_size);
        free(packed);
    } else {
        mat_add(file, array.bytes, array.size);
    }
    free(shapes.bytes);
    free(inner.bytes);
    free(array.bytes);
}

#endif
