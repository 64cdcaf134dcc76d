/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors container: an 8-byte little-endian length, a JSON header of that length, then
 * the tensors, row-major and little-endian.
 *
 * The reader trusts nothing. Refused, each with one line that names file, tensor and reason:
 *  1. a file shorter than 8 bytes, or shorter than its header says; a header above 100 MB;
 *  2. a header that is not one JSON object in UTF-8, or is nested or populated beyond reason;
 *  3. two tensors of one name; a name longer than 255 bytes; more than 65,536 tensors;
 *  4. an entry without exactly dtype, shape and data_offsets; an unknown dtype; a rank above 8;
 *  5. sizes and offsets that are not whole numbers from 0 to 2^53;
 *  6. offsets that do not hold exactly the shape's bytes;
 *  7. tensors that, in order of their offsets, overlap, leave holes, or do not end where the
 *     file ends;
 *  8. metadata that is not an object of strings.
 *
 * A file is read as a whole, and tensors point into what was read. It is not mapped: where another
 * process shortens a mapped file, reading what was cut off ends this one with SIGBUS. */
#ifndef OF_MODEL_SAFETENSORS_H
#define OF_MODEL_SAFETENSORS_H

#include "model/json_reader.h"

#include <outflow/outflow.h>

enum {
    OF_SAFETENSORS_MAX_HEADER = 100000000,
    OF_SAFETENSORS_MAX_TENSORS = 65536,
    OF_SAFETENSORS_MAX_NAME = 255,
    OF_SAFETENSORS_MAX_RANK = 8
};

typedef enum of_dtype {
    OF_DTYPE_BOOL,
    OF_DTYPE_U8,
    OF_DTYPE_I8,
    OF_DTYPE_F8_E5M2,
    OF_DTYPE_F8_E4M3,
    OF_DTYPE_I16,
    OF_DTYPE_U16,
    OF_DTYPE_F16,
    OF_DTYPE_BF16,
    OF_DTYPE_I32,
    OF_DTYPE_U32,
    OF_DTYPE_F32,
    OF_DTYPE_F64,
    OF_DTYPE_I64,
    OF_DTYPE_U64,
    OF_DTYPE_COUNT
} of_dtype;

const char *of_dtype_name(of_dtype dtype);
size_t of_dtype_size(of_dtype dtype);

typedef struct of_safetensor {
    const char *name;
    of_dtype dtype;
    uint32_t rank;
    uint64_t shape[OF_SAFETENSORS_MAX_RANK];
    size_t count;              /* values */
    const unsigned char *data; /* count * of_dtype_size(dtype) bytes, of any alignment */
} of_safetensor;

typedef struct of_safetensors {
    size_t count;
    of_safetensor *tensors; /* in the order of their names */
    const cJSON *metadata;  /* object of strings, or NULL */
    cJSON *header;          /* owns names and metadata */
    void *content;          /* NULL for the caller's bytes */
} of_safetensors;

/* Reads and checks a file. */
of_status of_safetensors_open(const char *path, of_safetensors *file, of_error *error);

/* Checks bytes in memory, which must outlive `file`. `place` stands for the path in messages. */
of_status of_safetensors_parse(const unsigned char *bytes, size_t length, const char *place,
                               of_safetensors *file, of_error *error);

void of_safetensors_close(of_safetensors *file);

/* The tensor with this name, or NULL. */
const of_safetensor *of_safetensors_find(const of_safetensors *file, const char *name);

/* The metadata string with this key, or NULL. */
const char *of_safetensors_metadata(const of_safetensors *file, const char *key);

/* A tensor to be written. With dtype BF16, `values` are floats and are rounded to nearest even,
 * unless they are `stored`: already of the dtype. With any other they are stored as they are. */
typedef struct of_safetensor_source {
    const char *name;
    of_dtype dtype;
    uint32_t rank;
    uint64_t shape[OF_SAFETENSORS_MAX_RANK];
    const void *values;
    bool stored;
} of_safetensor_source;

typedef struct of_metadata_source {
    const char *key, *value;
} of_metadata_source;

/* Writes a file atomically (see replace_file.h), tensors in the order given, the header padded
 * with blanks to a multiple of 8. Float tensors (F32, BF16) that hold a value that is not finite
 * are OF_ERROR_NUMERIC, and nothing is written. */
of_status of_safetensors_write(const char *path, const of_safetensor_source *tensors, size_t count,
                               const of_metadata_source *metadata, size_t metadata_count,
                               of_error *error);

/* Writes a file like another one but for one metadata string, atomically; NULL as value removes it.
 * The tensors' bytes, their order and the other metadata stay as they are. `to` may be `from`. */
of_status of_safetensors_replace_metadata(const char *from, const char *to, const char *key,
                                          const char *value, of_error *error);

#endif
