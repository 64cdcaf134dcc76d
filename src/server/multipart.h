/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of type multipart/form-data (RFC 7578), in memory as a whole. */
#ifndef OF_SERVER_MULTIPART_H
#define OF_SERVER_MULTIPART_H

#include <outflow/outflow.h>

enum { OF_PART_NAME = 256, OF_BOUNDARY = 72 };

typedef struct of_multipart {
    const uint8_t *body;
    size_t size, at;
    char delimiter[OF_BOUNDARY + 4]; /* "\r\n--" and the boundary */
    size_t delimiter_size;
} of_multipart;

typedef struct of_part {
    char name[OF_PART_NAME], file[OF_PART_NAME]; /* "" without one; cut */
    const uint8_t *bytes;
    size_t size;
} of_part;

/* True if the content type is multipart/form-data. */
bool of_multipart_is(const char *content_type);

/* Begins a body, which must live on. */
of_status of_multipart_open(const char *content_type, const uint8_t *body, size_t size,
                            of_multipart *multipart, of_error *error);

/* The next part; `found` is false after the last one. */
of_status of_multipart_next(of_multipart *multipart, of_part *part, bool *found, of_error *error);

#endif
