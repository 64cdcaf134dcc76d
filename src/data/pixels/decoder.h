/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders: one a file format, in a file of its own and a row of the table in decoders.c. Each
 * reads a file in memory, prints nothing, keeps nothing, and trusts nothing: a file that is damaged
 * or cut short is an error and never a half-filled picture.
 */
#ifndef OF_DATA_PIXELS_DECODER_H
#define OF_DATA_PIXELS_DECODER_H

#include "data/pixels/decoder_memory.h"
#include "data/pixels/image_kind.h"

/* What a header announces, before any memory for pixels is taken. */
typedef struct of_image_header {
    uint32_t height, width; /* as stored, of the first frame; unchecked */
    uint32_t channels;      /* as they will be decoded: 1 or 3, with opacity 2 or 4 */
    uint32_t orientation;   /* 1 to 8 as in EXIF: how the stored picture is to be turned */
    uint32_t frames;        /* of an animation, pages of a document; at least 1 */
    bool deep;              /* more than 8 bits a sample */
    bool cmyk;              /* colours of ink */
    uint32_t decoder_bytes; /* a pixel, of memory that a library allocates itself to decode it */
} of_image_header;

/* What is wanted of a file. */
typedef struct of_picture_wish {
    uint32_t frame; /* from 0; only where of_decoder.pages */
    /* A decoder that can make a smaller picture at less cost may make one of at least this size,
     * in stored orientation; 0: at full size. */
    uint32_t least_height, least_width;
} of_picture_wish;

/* A decoded picture as it is stored: [height][width][channels], 8 bits a sample. */
typedef struct of_picture {
    uint8_t *pixels; /* to be freed with of_decoder_free */
    uint32_t height, width, channels;
    uint32_t full_height, full_width; /* before it was made smaller */
    bool premultiplied;               /* colours are multiplied with opacity already */
} of_picture;

typedef struct of_decoder {
    of_image_kind kind;
    const char *library; /* for people */
    of_status (*read_header)(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error);
    /* The header was read and its size is within limits. What is in *picture is freed by the
     * caller, also after a failure. */
    of_status (*decode)(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error);
    bool pages; /* frames can be decoded one by one */
} of_decoder;

/* NULL if this build cannot read files of the kind. */
const of_decoder *of_decoder_of(of_image_kind kind);

/* Decoders of single formats, for the table. */
extern const of_decoder of_decoder_png, of_decoder_pnm, of_decoder_bmp, of_decoder_gif,
    of_decoder_tga, of_decoder_jpeg, of_decoder_webp, of_decoder_tiff, of_decoder_jp2,
    of_decoder_avif, of_decoder_heic;

/* Memory for a picture of this shape, which becomes the picture's. */
of_status of_picture_allocate(of_picture *picture, uint32_t height, uint32_t width,
                              uint32_t channels, of_error *error);

/* To be called at a library's failure: lack of memory where that was its reason, else
 * OF_ERROR_FORMAT with the format's name and the library's words. */
of_status of_decoder_fail(of_error *error, const char *format, const char *reason);

#ifdef __clang_analyzer__ /* which does not see that it always fails */
#define of_decoder_fail(error, format, reason)                                                     \
    ((void)(of_decoder_fail)((error), (format), (reason)), OF_ERROR_FORMAT)
#endif

#endif
