/* SPDX-License-Identifier: Apache-2.0 */
/* Images of one shape in memory, and in .npy files, which are sources like any other. */
#ifndef OF_FIT_PICTURES_H
#define OF_FIT_PICTURES_H

#include "core/atomic_file.h"

typedef struct of_pictures {
    uint32_t channels, height, width;
    size_t image_bytes, count;
    uint8_t *pixels; /* [count][height][width][channels], freed with of_pictures_free */
} of_pictures;

/* At most `most` images of a source, in its order, spread over it if it says how many it has. */
of_status of_pictures_load(const char *source, uint32_t channels, uint32_t height, uint32_t width,
                           size_t most, of_pictures *pictures, of_error *error);
/* Accepts a zeroed one. */
void of_pictures_free(of_pictures *pictures);

static inline const uint8_t *of_picture(const of_pictures *pictures, size_t index) {
    return pictures->pixels + index * pictures->image_bytes;
}

/* A .npy file, N x H x W x C bytes, that appears when it is complete. */
typedef struct of_npy_file {
    of_replacement file;
    size_t image_bytes;
} of_npy_file;

/* After OF_OK, of_npy_end must follow. */
of_status of_npy_begin(const char *path, uint32_t channels, uint32_t height, uint32_t width,
                       size_t count, of_npy_file *npy, of_error *error);
of_status of_npy_add(of_npy_file *npy, const uint8_t *pixels, of_error *error);
/* Commits after OF_OK, else gives the file up; returns `status` or what went wrong. */
of_status of_npy_end(of_npy_file *npy, of_status status, of_error *error);

#endif
