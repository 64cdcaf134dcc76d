/* SPDX-License-Identifier: Apache-2.0 */
/* WebP, by libwebp; of an animation the first frame, by libwebpdemux. */
#ifdef OUTFLOW_WEBP
#include "core/error.h"
#include "data/pixels/decoder.h"
#include "data/pixels/exif.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static uint32_t little_endian_32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* "RIFF", size, "WEBP", then chunks [name][length][data], each filled up to an even length. */
static void read_chunks(const uint8_t *bytes, size_t size, of_image_header *header) {
    uint32_t frames = 0;
    for (size_t at = 12; at < size && size - at >= 8;) {
        const uint8_t *chunk = bytes + at;
        size_t length = little_endian_32(chunk + 4);
        if (length > size - at - 8)
            break;
        frames += memcmp(chunk, "ANMF", 4) == 0;
        if (memcmp(chunk, "EXIF", 4) == 0)
            header->orientation = of_exif_orientation(chunk + 8, length);
        at += 8 + length + (length & 1);
    }
    header->frames = frames > 1 ? frames : 1;
}

static of_status fail(VP8StatusCode code, of_error *error) {
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return of_fail_memory(error, "an image");
    return code == VP8_STATUS_NOT_ENOUGH_DATA
               ? of_fail(error, OF_ERROR_FORMAT, "truncated WebP")
               : of_decoder_fail(error, "WebP", "its data make no picture");
}

static of_status read_features(const uint8_t *bytes, size_t size, WebPBitstreamFeatures *features,
                               of_error *error) {
    if (size >= 12 && little_endian_32(bytes + 4) > size - 8)
        return of_fail(error, OF_ERROR_FORMAT, "truncated WebP");
    VP8StatusCode code = WebPGetFeatures(bytes, size, features);
    return code == VP8_STATUS_OK ? OF_OK : fail(code, error);
}

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    WebPBitstreamFeatures features;
    of_status status = read_features(bytes, size, &features, error);
    if (status != OF_OK)
        return status;
    *header = (of_image_header){.height = (uint32_t)features.height,
                                .width = (uint32_t)features.width,
                                .channels = features.has_alpha ? 4 : 3,
                                .orientation = 1,
                                .frames = 1,
                                .library_bytes = features.has_animation ? 20 : 8};
    read_chunks(bytes, size, header);
    return OF_OK;
}

static of_status decode_still(const uint8_t *bytes, size_t size,
                              const WebPBitstreamFeatures *features, of_picture *picture,
                              of_error *error) {
    uint32_t height = (uint32_t)features->height, width = (uint32_t)features->width;
    of_status status =
        of_picture_allocate(picture, height, width, features->has_alpha ? 4 : 3, error);
    if (status != OF_OK)
        return status;
    size_t row = (size_t)width * picture->channels, whole = row * height;
    uint8_t *done =
        features->has_alpha
            ? WebPDecodeRGBAInto(bytes, size, picture->pixels, whole, (int)row)
            : WebPDecodeRGBInto(bytes, size, picture->pixels, whole, (int)row);
    return done != NULL ? OF_OK : fail(VP8_STATUS_BITSTREAM_ERROR, error);
}

static of_status decode_first(const uint8_t *bytes, size_t size, of_picture *picture,
                              of_error *error) {
    const WebPData data = {bytes, size};
    WebPAnimDecoderOptions options;
    WebPAnimInfo info;
    uint8_t *canvas;
    int milliseconds;
    if (!WebPAnimDecoderOptionsInit(&options))
        return of_fail(error, OF_ERROR_INTERNAL, "another libwebp than this was built with");
    options.color_mode = MODE_RGBA;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    if (decoder == NULL)
        return fail(VP8_STATUS_BITSTREAM_ERROR, error);
    of_status status = WebPAnimDecoderGetInfo(decoder, &info) &&
                               WebPAnimDecoderGetNext(decoder, &canvas, &milliseconds)
                           ? of_picture_allocate(picture, info.canvas_height, info.canvas_width, 4,
                                                 error)
                           : fail(VP8_STATUS_BITSTREAM_ERROR, error);
    if (status == OF_OK)
        memcpy(picture->pixels, canvas, (size_t)info.canvas_height * info.canvas_width * 4);
    WebPAnimDecoderDelete(decoder);
    return status;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    (void)wish;
    WebPBitstreamFeatures features;
    of_status status = read_features(bytes, size, &features, error);
    if (status != OF_OK)
        return status;
    return features.has_animation ? decode_first(bytes, size, picture, error)
                                  : decode_still(bytes, size, &features, picture, error);
}

const of_decoder of_decoder_webp = {OF_KIND_WEBP, "libwebp", read_header, decode, false};
#endif
