/* SPDX-License-Identifier: Apache-2.0 */
/* What EXIF data say of how a picture is to be turned. */
#ifndef OF_DATA_PIXELS_EXIF_H
#define OF_DATA_PIXELS_EXIF_H

#include <outflow/outflow.h>

/* 1 to 8, of EXIF data that begin with their TIFF header or with "Exif\0\0"; 1, as it is, where
 * they say nothing or are damaged. */
uint32_t of_exif_orientation(const uint8_t *bytes, size_t size);

#endif
