/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a source before it is read: the shape of its first readable image. */
#ifndef OF_DATA_PROBE_H
#define OF_DATA_PROBE_H

#include <outflow/outflow.h>

typedef struct of_image_shape {
    uint32_t channels; /* 1 or 3 */
    uint32_t height, width;
} of_image_shape;

/* Synthetic images have no size of their own: 3 x 32 x 32. The list on standard input ("-")
 * cannot be read twice and is OF_ERROR_ARGUMENT. */
of_status of_probe_source(const char *spec, of_image_shape *shape, of_error *error);

#endif
