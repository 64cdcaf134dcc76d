/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pixels/image.h"

#include "core/error.h"
#include "data/pixels/image_steps.h"
#include "data/pixels/orient.h"

#include <string.h>
#include <strings.h>

/* ---- Which decoder -----------------------------------------------------------------------------
 */

static bool may_be_tga(const char *name) {
    size_t length = strlen(name);
    return length >= 4 && strcasecmp(name + length - 4, ".tga") == 0;
}

static of_status choose_decoder(const uint8_t *bytes, size_t size, const char *name,
                                const of_target *target, const of_decoder **decoder,
                                of_error *error) {
    if (size == 0)
        return of_fail(error, OF_ERROR_FORMAT, "empty file");
    if (size > target->max_bytes)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "file of %zu bytes is over the limit of %zu",
                       size, target->max_bytes);
    of_image_kind kind = of_image_kind_of(bytes, size);
    if (kind == OF_KIND_TGA && !may_be_tga(name))
        return of_fail(error, OF_ERROR_FORMAT,
                       "content is not a PNG, JPEG or other image that is read here");
    *decoder = of_decoder_of(kind);
    return *decoder != NULL
               ? OF_OK
               : of_fail(error, OF_ERROR_UNSUPPORTED, "%s, which this build does not read",
                         of_image_kind_name(kind));
}

/* ---- What it holds -----------------------------------------------------------------------------
 */

static bool is_turned(const of_image_header *header) {
    return header->orientation >= 5;
}

static uint32_t seen_height(const of_image_header *header) {
    return is_turned(header) ? header->width : header->height;
}

static uint32_t seen_width(const of_image_header *header) {
    return is_turned(header) ? header->height : header->width;
}

/* Memory for a header alone. */
static void limit_to_header(size_t size, const of_target *target) {
    of_decoder_memory_begin(2 * size + (1u << 20), target->max_memory);
}

of_status of_image_read_header(const of_decoder *decoder, const uint8_t *bytes, size_t size,
                               const of_target *target, of_image_header *header, of_error *error) {
    limit_to_header(size, target);
    of_status status = decoder->read_header(bytes, size, header, error);
    return status == OF_OK ? of_check_size(seen_height(header), seen_width(header), target, error)
                           : status;
}

/* Up to four channels of 16 bits, twice, with sides rounded up to whole blocks; chunks are gathered
 * in a buffer that doubles; 1 MiB covers a decoder's tables. */
of_status of_image_limit_memory(const of_image_header *header, size_t size, const of_target *target,
                                of_error *error) {
    size_t pixels = ((size_t)header->width + 64) * ((size_t)header->height + 64);
    size_t library = (size_t)header->width * header->height * header->decoder_bytes;
    of_decoder_memory_begin(pixels * 16 + 2 * size + (1u << 20) + library, target->max_memory);
    return of_decoder_may_take(library) ? OF_OK : of_decoder_memory_fail(error);
}

/* ---- Decoding ----------------------------------------------------------------------------------
 */

/* Samples of 16 bits of which none reaches a quarter of white: of 14 bits or fewer, it seems, and a
 * file that does not say so. */
static bool is_dim(const of_picture *picture) {
    enum { QUARTER = 64 };
    size_t count = (size_t)picture->height * picture->width * picture->channels;
    bool opacity = picture->channels == 2 || picture->channels == 4;
    for (size_t i = 0; i < count; i++)
        if (picture->pixels[i] >= QUARTER &&
            !(opacity && i % picture->channels == picture->channels - 1))
            return false;
    return true;
}

/* A picture that is made much smaller need not be decoded at full size. */
static of_picture_wish wish_of(const of_image_header *header, const of_target *target,
                               uint32_t frame) {
    of_picture_wish wish = {.frame = frame};
    if (target->full_decoding)
        return wish;
    wish.least_height = OF_SCALED_MARGIN * (is_turned(header) ? target->width : target->height);
    wish.least_width = OF_SCALED_MARGIN * (is_turned(header) ? target->height : target->width);
    return wish;
}

of_status of_image_show(of_picture *picture, const of_image_header *header, const of_target *target,
                        of_image_info *info, of_error *error) {
    bool opaque;
    uint8_t background[3];
    of_target_background(target, background);
    info->dim = header->deep && is_dim(picture);
    of_status status = of_picture_compose(picture, background, &opaque, error);
    info->alpha_dropped = !opaque;
    if (status == OF_OK)
        status = of_picture_orient(picture, header->orientation, error);
    return status;
}

of_image_info of_image_describe(const of_image_header *header, const char *format,
                                const of_target *target) {
    of_image_info info = of_describe_image(format, header->channels, seen_height(header),
                                           seen_width(header), target);
    info.depth_reduced = header->deep;
    info.frames_dropped = header->frames - 1;
    info.oriented = header->orientation > 1;
    info.cmyk = header->cmyk;
    return info;
}

static of_status convert(const of_picture *picture, const of_target *target, uint8_t *pixels,
                         of_error *error) {
    const of_raster raster = {picture->pixels, picture->height, picture->width, picture->channels,
                              false};
    of_target relaxed = *target; /* a scaled picture may be less than is asked of a file */
    relaxed.min_height = relaxed.min_width = 0;
    return of_convert(&raster, &relaxed, pixels, error);
}

of_status of_image_decode(const uint8_t *bytes, size_t size, const char *name,
                          const of_target *target, uint8_t *pixels, of_image_info *info,
                          of_error *error) {
    const of_decoder *decoder;
    of_image_header header;
    of_picture picture = {.pixels = NULL};
    of_status status = choose_decoder(bytes, size, name, target, &decoder, error);
    if (status == OF_OK)
        status = of_image_read_header(decoder, bytes, size, target, &header, error);
    if (status == OF_OK)
        status = of_image_limit_memory(&header, size, target, error);
    if (status != OF_OK)
        return status;
    of_picture_wish wish = wish_of(&header, target, 0);
    *info = of_image_describe(&header, of_image_kind_name(decoder->kind), target);
    status = decoder->decode(bytes, size, &wish, &picture, error);
    if (status == OF_OK)
        status = of_image_show(&picture, &header, target, info, error);
    if (status == OF_OK)
        status = convert(&picture, target, pixels, error);
    of_decoder_free(picture.pixels);
    return status;
}

of_status of_image_shape_of(const uint8_t *bytes, size_t size, const of_target *target,
                            of_image_shape *shape, of_error *error) {
    of_image_header header;
    const of_decoder *decoder;
    of_status status = choose_decoder(bytes, size, ".tga", target, &decoder, error);
    if (status == OF_OK)
        status = of_image_read_header(decoder, bytes, size, target, &header, error);
    if (status == OF_OK)
        *shape = (of_image_shape){header.channels < 3 ? 1 : 3, seen_height(&header),
                                  seen_width(&header)};
    return status;
}

size_t of_image_decoding_bytes(const uint8_t *bytes, size_t size, const of_target *target) {
    enum { SMALL = 1 << 20 };
    of_image_header header;
    const of_decoder *decoder;
    if (choose_decoder(bytes, size, ".tga", target, &decoder, NULL) != OF_OK ||
        of_image_read_header(decoder, bytes, size, target, &header, NULL) != OF_OK)
        return 0;
    size_t pixels = (size_t)header.width * header.height;
    if (pixels < SMALL)
        return 0;
    /* As it comes out of the file and as pixels. */
    return pixels * (header.channels * (header.deep ? 4u : 2u) + header.decoder_bytes);
}
