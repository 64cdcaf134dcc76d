/* SPDX-License-Identifier: Apache-2.0 */
/* The header of NumPy's .npy files, versions 1 to 3. */
#ifndef OF_DATA_FORMATS_NPY_HEADER_H
#define OF_DATA_FORMATS_NPY_HEADER_H

#include "data/formats/byte_stream.h"

enum { OF_NPY_MAX_RANK = 4 };

typedef struct of_npy_header {
    uint64_t shape[OF_NPY_MAX_RANK];
    unsigned rank;
    uint64_t data_offset;
} of_npy_header;

/* Reads up to the first value. Anything but C-ordered bytes is OF_ERROR_UNSUPPORTED. */
of_status of_npy_read_header(of_byte_stream *stream, of_npy_header *header, of_error *error);

#endif
