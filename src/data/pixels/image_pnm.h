/* SPDX-License-Identifier: Apache-2.0 */
/* PNM files: P1 to P3 as text, P4 to P6 binary; bits (1 is black), grey and colour. */
#ifndef OF_DATA_PIXELS_IMAGE_PNM_H
#define OF_DATA_PIXELS_IMAGE_PNM_H

#include <outflow/outflow.h>

typedef struct of_pnm {
    uint32_t channels, height, width; /* unchecked */
    uint32_t most;                    /* value of white, 1..65535 */
    bool bits, text;
    const uint8_t *samples;
    size_t bytes; /* of the samples that are there */
} of_pnm;

bool of_is_pnm(const uint8_t *bytes, size_t size);

/* Reads the header of a file that is PNM. */
of_status of_pnm_read_header(const uint8_t *bytes, size_t size, of_pnm *pnm, of_error *error);

/* Fails if the file is too short for its samples, before any memory is taken for them. The size
 * must have been checked. */
of_status of_pnm_check_length(const of_pnm *pnm, of_error *error);

/* Writes [height][width][channels]. White becomes 255: samples of up to 8 bits are scaled, of
 * larger ones the upper 8 bits are taken, as of other formats'. A sample above white is white. */
of_status of_pnm_decode(const of_pnm *pnm, uint8_t *pixels, of_error *error);

#endif
