/* SPDX-License-Identifier: Apache-2.0 */
/* What all decoders need: memory for a picture, and words for a failure. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/decoder.h"

of_status of_picture_allocate(of_picture *picture, uint32_t height, uint32_t width,
                              uint32_t channels, of_error *error) {
    size_t count, bytes;
    if (!of_multiply(height, width, &count) || !of_multiply(count, channels, &bytes))
        return of_fail_memory(error, "an image");
    picture->pixels = of_decoder_malloc(bytes);
    picture->height = picture->full_height = height;
    picture->width = picture->full_width = width;
    picture->channels = channels;
    if (picture->pixels != NULL)
        return OF_OK;
    of_status status = of_decoder_memory_fail(error);
    return status != OF_OK ? status : of_fail_memory(error, "an image");
}

of_status(of_decoder_fail)(of_error *error, const char *format, const char *reason) {
    of_status status = of_decoder_memory_fail(error);
    return status != OF_OK ? status
                           : of_fail(error, OF_ERROR_FORMAT, "damaged or unsupported %s: %s",
                                     format, reason != NULL ? reason : "unknown reason");
}
