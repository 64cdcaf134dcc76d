/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of this build. */
#include "data/pixels/decoder.h"

static const of_decoder *const decoders[] = {
    &of_decoder_png,
    &of_decoder_jpeg,
    &of_decoder_bmp,
    &of_decoder_gif,
    &of_decoder_tga,
    &of_decoder_pnm,
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
    &of_decoder_avif,
    &of_decoder_heic,
#endif
    NULL,
};

const of_decoder *of_decoder_of(of_image_kind kind) {
    for (size_t i = 0; decoders[i] != NULL; i++)
        if (decoders[i]->kind == kind)
            return decoders[i];
    return NULL;
}

bool of_image_format(size_t index, const char **name, const char **library) {
    for (size_t i = 0; i <= index; i++)
        if (decoders[i] == NULL)
            return false;
    *name = of_image_kind_name(decoders[index]->kind);
    *library = decoders[index]->library;
    return true;
}
