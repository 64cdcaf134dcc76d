/* SPDX-License-Identifier: Apache-2.0 */
/* From a picture as it is stored to one as it is to be seen: opacity and orientation. */
#ifndef OF_DATA_PIXELS_ORIENT_H
#define OF_DATA_PIXELS_ORIENT_H

#include "data/pixels/decoder.h"

/*
 * Lays the picture over a background, red, green and blue: (a c + (255 - a) b) / 255, rounded, and
 * takes opacity away. Grey over a grey background stays grey, else it becomes colour. *opaque:
 * nothing shone through. The picture is not changed on a failure, for lack of memory.
 */
of_status of_picture_compose(of_picture *picture, const uint8_t background[3], bool *opaque,
                             of_error *error);

/* Turns and mirrors it, by an EXIF orientation 1 to 8. */
of_status of_picture_orient(of_picture *picture, uint32_t orientation, of_error *error);

#endif
