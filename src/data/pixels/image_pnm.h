/* SPDX-License-Identifier: Apache-2.0 */
/* PNM files of more than 8 bits a sample, which the decoder (stb_image 2.27) takes for
 * little-endian ones: most significant byte first is right. */
#ifndef OF_DATA_PIXELS_IMAGE_PNM_H
#define OF_DATA_PIXELS_IMAGE_PNM_H

#include <outflow/outflow.h>

typedef struct of_deep_pnm {
    uint32_t channels, height, width; /* as the header says, unchecked */
    uint32_t most;                    /* value of white, 256..65535 */
    const uint8_t *samples;
    size_t bytes; /* of the samples that are there */
} of_deep_pnm;

/* False for any other file. */
bool of_pnm_is_deep(const uint8_t *bytes, size_t size, of_deep_pnm *pnm);

/* Writes the upper 8 bits of every sample, [height][width][channels]. The size must have been
 * checked; false if the samples are cut short. */
bool of_pnm_reduce(const of_deep_pnm *pnm, uint8_t *pixels);

#endif
