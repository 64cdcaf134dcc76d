/* SPDX-License-Identifier: Apache-2.0 */
/* The structure of a JPEG file: its segments, as far as decoders take them on trust. */
#ifndef OF_DATA_PIXELS_JPEG_SEGMENTS_H
#define OF_DATA_PIXELS_JPEG_SEGMENTS_H

#include <outflow/outflow.h>

typedef struct of_jpeg_summary {
    uint32_t height, width, components, depth; /* of the first frame header */
    uint32_t orientation;                      /* EXIF's, else 1 */
    bool progressive, arithmetic;
    bool lossless; /* or hierarchical */
} of_jpeg_summary;

/* Of a file that begins with the start marker. Fails unless segments fit together up to the end
 * marker, Huffman tables fit into a decoder's, and the scans are as few as makes sense. */
of_status of_jpeg_summarise(const uint8_t *bytes, size_t size, of_jpeg_summary *summary,
                            of_error *error);

#endif
