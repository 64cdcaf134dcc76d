/* SPDX-License-Identifier: Apache-2.0 */
/* Sequential bytes of a file (gzip is undone on the way) or of memory. */
#ifndef OF_DATA_FORMATS_BYTE_STREAM_H
#define OF_DATA_FORMATS_BYTE_STREAM_H

#include <outflow/outflow.h>

typedef struct of_byte_stream of_byte_stream;

of_status of_byte_stream_open(const char *path, of_byte_stream **stream, of_error *error);

/* The bytes must outlive the stream; `name` is for messages. */
of_status of_byte_stream_open_memory(const void *bytes, size_t size, const char *name,
                                     of_byte_stream **stream, of_error *error);

void of_byte_stream_close(of_byte_stream *stream);

const char *of_byte_stream_name(const of_byte_stream *stream);

/* Total number of bytes, or UINT64_MAX if that cannot be known (gzip). */
uint64_t of_byte_stream_size(const of_byte_stream *stream);

/* Reads up to `size` bytes; *count is smaller only at the end. */
of_status of_byte_stream_read(of_byte_stream *stream, void *to, size_t size, size_t *count,
                              of_error *error);

/* Reads exactly `size` bytes; fewer is OF_ERROR_FORMAT, "truncated". */
of_status of_byte_stream_read_all(of_byte_stream *stream, void *to, size_t size, of_error *error);

#endif
