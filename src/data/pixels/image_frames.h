/* SPDX-License-Identifier: Apache-2.0 */
/* How many images a GIF file holds. */
#ifndef OF_DATA_PIXELS_IMAGE_FRAMES_H
#define OF_DATA_PIXELS_IMAGE_FRAMES_H

#include <outflow/outflow.h>

/* Images of a GIF file, as far as it goes. */
uint32_t of_gif_frames(const uint8_t *bytes, size_t size);

#endif
