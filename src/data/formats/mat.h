/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of a MATLAB 5 file (what MATLAB saves with -v6 and -v7, SciPy with savemat), one after the
 * other and streamed: compressed ones are inflated as they are read. A file is a header of 128
 * bytes and elements; an element is [type][bytes] and its content, in which an array is again a row
 * of elements: flags, dimensions, name, values in column-major order.
 */
#ifndef OF_DATA_FORMATS_MAT_H
#define OF_DATA_FORMATS_MAT_H

#include <outflow/outflow.h>

enum { OF_MAT_MAX_RANK = 8, OF_MAT_NAME_SIZE = 64 };

/* How values are stored, with the format's numbers. */
typedef enum of_mat_type {
    OF_MAT_INT8 = 1,
    OF_MAT_UINT8 = 2,
    OF_MAT_INT16 = 3,
    OF_MAT_UINT16 = 4,
    OF_MAT_INT32 = 5,
    OF_MAT_UINT32 = 6,
    OF_MAT_SINGLE = 7,
    OF_MAT_DOUBLE = 9,
    OF_MAT_INT64 = 12,
    OF_MAT_UINT64 = 13
} of_mat_type;

typedef struct of_mat_array {
    char name[OF_MAT_NAME_SIZE]; /* cut off if it is longer */
    bool numeric;                /* real numbers; else what follows is not set */
    bool bytes;                  /* MATLAB's uint8: the values' range, however they are stored */
    uint32_t rank;
    uint64_t shape[OF_MAT_MAX_RANK];
    uint64_t count; /* values */
    of_mat_type type;
    uint64_t place; /* for of_mat_seek */
} of_mat_array;

typedef struct of_mat of_mat;

of_status of_mat_open(const char *path, of_mat **mat, of_error *error);
/* The bytes must outlive `mat`. */
of_status of_mat_open_memory(const void *bytes, size_t size, of_mat **mat, of_error *error);
/* Accepts NULL. */
void of_mat_close(of_mat *mat);

const char *of_mat_name(const of_mat *mat);

/* The next array, or *end. Its values are read with the calls below, or passed over. */
of_status of_mat_next(of_mat *mat, of_mat_array *array, bool *end, of_error *error);

/* Makes the array at `place` the next one. */
void of_mat_seek(of_mat *mat, uint64_t place);

/* The next `size` bytes of the array's values. */
of_status of_mat_read(of_mat *mat, void *to, size_t size, of_error *error);

/* The same as numbers. */
of_status of_mat_read_numbers(of_mat *mat, const of_mat_array *array, double *to, size_t count,
                              of_error *error);

/* After the last value: the checksum of compressed data. */
of_status of_mat_finish(of_mat *mat, of_error *error);

#endif
