/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of this build. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/decoder.h"

#include <stdio.h>

static const of_decoder *const decoders[] = {
    &of_decoder_png, &of_decoder_jpeg, &of_decoder_bmp, &of_decoder_gif,
    &of_decoder_tga, &of_decoder_pnm,
#ifdef OUTFLOW_WEBP
    &of_decoder_webp,
#endif
#ifdef OUTFLOW_TIFF
    &of_decoder_tiff,
#endif
#ifdef OUTFLOW_JP2
    &of_decoder_jp2,
#endif
#ifdef OUTFLOW_HEIF
    &of_decoder_avif, &of_decoder_heic,
#endif
};

enum { DECODERS = sizeof decoders / sizeof *decoders };

const of_decoder *of_decoder_of(of_image_kind kind) {
    for (size_t i = 0; i < DECODERS; i++)
        if (decoders[i]->kind == kind)
            return decoders[i];
    return NULL;
}

bool of_image_format(size_t index, const char **name, const char **library) {
    if (index >= DECODERS)
        return false;
    *name = of_image_kind_name(decoders[index]->kind);
    *library = decoders[index]->library;
    return true;
}

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

of_status of_decoder_fail(of_error *error, const char *format, const char *reason) {
    of_status status = of_decoder_memory_fail(error);
    return status != OF_OK ? status
                           : of_fail(error, OF_ERROR_FORMAT, "damaged or unsupported %s: %s",
                                     format, reason != NULL ? reason : "unknown reason");
}
