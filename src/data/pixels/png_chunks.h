/* SPDX-License-Identifier: Apache-2.0 */
/* The structure of a PNG file: its chunks. */
#ifndef OF_DATA_PIXELS_PNG_CHUNKS_H
#define OF_DATA_PIXELS_PNG_CHUNKS_H

#include <outflow/outflow.h>

/* A chunk: [length][type][data][checksum]. */
typedef struct of_png_chunk {
    const uint8_t *type; /* 4 letters */
    const uint8_t *data;
    size_t length;
    size_t place, end; /* of the whole chunk in the file */
} of_png_chunk;

enum { OF_PNG_SIGNATURE = 8 };

uint32_t of_png_read_32(const uint8_t *bytes);

bool of_png_is(const of_png_chunk *chunk, const char *type);

/* The chunk at a place, the first one after the signature. False at the end of the file, also where
 * it is cut short. */
bool of_png_chunk_at(const uint8_t *bytes, size_t size, size_t place, of_png_chunk *chunk);

typedef struct of_png_summary {
    uint32_t height, width, depth, kind; /* of IHDR */
    uint32_t significant;                /* bits of a sample, the most that sBIT says; or 0 */
    uint32_t orientation;                /* of eXIf, else 1 */
    uint32_t frames;  /* the default image, and those of an animation that are not the same */
    bool transparent; /* tRNS */
} of_png_summary;

/* Of a file that begins with the signature. Fails unless it is whole, up to IEND; checksums are
 * not looked at. */
of_status of_png_summarise(const uint8_t *bytes, size_t size, of_png_summary *summary,
                           of_error *error);

#endif
