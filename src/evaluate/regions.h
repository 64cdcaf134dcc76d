/* SPDX-License-Identifier: Apache-2.0 */
/* Connected parts of a mask. */
#ifndef OF_EVALUATE_REGIONS_H
#define OF_EVALUATE_REGIONS_H

#include <outflow/outflow.h>

/* Numbers the connected parts of what is at or above `least` in the mask [height][width], from
 * first + 1 on; neighbours are those of the eight directions. regions [height][width] gets the
 * numbers, 0 elsewhere. Returns the last number in *last. */
of_status of_regions_find(const uint8_t *mask, uint32_t height, uint32_t width, uint8_t least,
                          uint32_t first, uint32_t *regions, uint32_t *last, of_error *error);

#endif
