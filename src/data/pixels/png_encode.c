/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels as a PNG file. */
#include "core/error.h"
#include "core/memory.h"

#include <png.h>

static of_status encode(png_image *image, const uint8_t *pixels, uint8_t **png, size_t *size,
                        of_error *error) {
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(*image);
    uint8_t *bytes = of_allocate(room, 1);
    if (bytes == NULL)
        return of_fail_memory(error, "a PNG");
    if (!png_image_write_to_memory(image, bytes, &room, 0, pixels, 0, NULL)) {
        of_free(bytes);
        return of_fail(error, OF_ERROR_INTERNAL, "coding a PNG failed: %s", image->message);
    }
    *png = bytes;
    *size = room;
    return OF_OK;
}

of_status of_png_encode(const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                        uint8_t **png, size_t *size, of_error *error) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = width,
                       .height = height,
                       .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    if (pixels == NULL || png == NULL || size == NULL || (channels != 1 && channels != 3) ||
        height == 0 || width == 0 || height > INT32_MAX / 4 || width > INT32_MAX / 4)
        return of_fail(error, OF_ERROR_ARGUMENT, "a PNG has 1 or 3 channels, a height and a width");
    of_status status = encode(&image, pixels, png, size, error);
    png_image_free(&image);
    return status;
}
