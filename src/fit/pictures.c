/* SPDX-License-Identifier: Apache-2.0 */
#include "fit/pictures.h"

#include "core/error.h"
#include "core/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, NPY_HEADER = 128 };

/* ---- Loading ------------------------------------------------------------------------------ */

static of_status append(of_pictures *pictures, const uint8_t *pixels, size_t count,
                        size_t *capacity, of_error *error) {
    size_t needed = pictures->count + count, bytes;
    if (needed > *capacity) {
        size_t more = needed + needed / 2;
        void *block = of_multiply(more, pictures->image_bytes, &bytes)
                          ? realloc(pictures->pixels, bytes)
                          : NULL;
        if (block == NULL)
            return of_fail_memory(error, "images");
        pictures->pixels = block;
        *capacity = more;
    }
    memcpy(pictures->pixels + pictures->count * pictures->image_bytes, pixels,
           count * pictures->image_bytes);
    pictures->count = needed;
    return OF_OK;
}

/* Every `stride`-th image. */
static of_status take_all(of_source *source, size_t most, of_pictures *pictures, of_error *error) {
    uint64_t expected = of_source_expected(source), seen = 0;
    uint64_t stride = expected > most ? (expected + most - 1) / most : 1;
    size_t capacity = 0;
    for (;;) {
        of_source_batch batch;
        of_status status = of_source_next(source, BATCH, &batch, error);
        for (size_t i = 0; status == OF_OK && i < batch.count && pictures->count < most; i++)
            if (seen++ % stride == 0)
                status =
                    append(pictures, batch.pixels + i * pictures->image_bytes, 1, &capacity, error);
        if (status != OF_OK || batch.count == 0 || pictures->count == most)
            return status;
    }
}

of_status of_pictures_load(const char *source, uint32_t channels, uint32_t height, uint32_t width,
                           size_t most, of_pictures *pictures, of_error *error) {
    of_source_options wish = of_source_options_default(NULL);
    of_source *opened = NULL;
    *pictures = (of_pictures){.channels = channels,
                              .height = height,
                              .width = width,
                              .image_bytes = (size_t)channels * height * width};
    wish.channels = channels;
    wish.height = height;
    wish.width = width;
    of_status status = of_source_open(source, &wish, &opened, error);
    if (status == OF_OK)
        status = take_all(opened, most, pictures, error);
    of_source_free(opened);
    if (status == OF_OK && pictures->count == 0)
        status = of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", source);
    return status;
}

void of_pictures_free(of_pictures *pictures) {
    free(pictures->pixels);
    *pictures = (of_pictures){0};
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* NumPy's format 1.0: magic, version, length of a Python dictionary, which blanks fill up. */
of_status of_npy_begin(const char *path, uint32_t channels, uint32_t height, uint32_t width,
                       size_t count, of_npy_file *npy, of_error *error) {
    char header[NPY_HEADER], shape[NPY_HEADER - 10];
    npy->image_bytes = (size_t)channels * height * width;
    (void)snprintf(shape, sizeof shape,
                   "{'descr': '|u1', 'fortran_order': False, 'shape': (%zu, %" PRIu32 ", %" PRIu32
                   ", %" PRIu32 "), }",
                   count, height, width, channels);
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01", 7);
    header[7] = 0;
    header[8] = NPY_HEADER - 10;
    header[9] = 0;
    memcpy(header + 10, shape, strlen(shape));
    header[NPY_HEADER - 1] = '\n';
    of_status status = of_replace_begin(path, &npy->file, error);
    if (status != OF_OK)
        return status;
    status = of_replace_write(&npy->file, header, sizeof header, error);
    if (status != OF_OK)
        of_replace_discard(&npy->file);
    return status;
}

of_status of_npy_add(of_npy_file *npy, const uint8_t *pixels, of_error *error) {
    return of_replace_write(&npy->file, pixels, npy->image_bytes, error);
}

of_status of_npy_end(of_npy_file *npy, of_status status, of_error *error) {
    if (status == OF_OK)
        return of_replace_commit(&npy->file, error);
    of_replace_discard(&npy->file);
    return status;
}
