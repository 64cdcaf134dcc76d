/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the decoder takes on trust, checked before it sees a file: the structure and checksums
 * of PNG, the structure, Huffman tables and number of scans of JPEG.
 */
#ifndef OF_DATA_PIXELS_IMAGE_CHECK_H
#define OF_DATA_PIXELS_IMAGE_CHECK_H

#include <outflow/outflow.h>

/* `bytes` begin with the PNG signature. */
of_status of_check_png(const uint8_t *bytes, size_t size, of_error *error);

/* `bytes` begin with the JPEG start marker. */
of_status of_check_jpeg(const uint8_t *bytes, size_t size, of_error *error);

/* Whether a JPEG file is of the kind that a decoder must keep as coefficients of all scans. */
bool of_is_progressive_jpeg(const uint8_t *bytes, size_t size);

#endif
