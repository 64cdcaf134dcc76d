/* SPDX-License-Identifier: Apache-2.0 */
/* WebP, by libwebp; of an animation the first frame, by libwebpdemux. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/decoder.h"
#include "data/pixels/exif.h"
#include "data/pixels/frames_canvas.h"

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
                                .decoder_bytes = features.has_animation ? 20 : 8};
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
    uint8_t *done = features->has_alpha
                        ? WebPDecodeRGBAInto(bytes, size, picture->pixels, whole, (int)row)
                        : WebPDecodeRGBInto(bytes, size, picture->pixels, whole, (int)row);
    return done != NULL ? OF_OK : fail(VP8_STATUS_BITSTREAM_ERROR, error);
}

/* ---- Animations ------------------------------------------------------------------------------
 */

struct of_webp_frames {
    WebPAnimDecoder *decoder;
    WebPAnimInfo info;
};

of_status of_webp_frames_open(const uint8_t *bytes, size_t size, of_webp_frames **frames,
                              of_error *error) {
    const WebPData data = {bytes, size};
    WebPAnimDecoderOptions options;
    of_webp_frames *opened = of_allocate_zeroed(1, sizeof *opened);
    if (opened == NULL)
        return of_fail_memory(error, "an animation");
    if (WebPAnimDecoderOptionsInit(&options)) {
        options.color_mode = MODE_RGBA;
        opened->decoder = WebPAnimDecoderNew(&data, &options);
    }
    if (opened->decoder == NULL || !WebPAnimDecoderGetInfo(opened->decoder, &opened->info)) {
        of_webp_frames_close(opened);
        return fail(VP8_STATUS_BITSTREAM_ERROR, error);
    }
    *frames = opened;
    return OF_OK;
}

of_status of_webp_frames_next(of_webp_frames *frames, const uint8_t **pixels, of_error *error) {
    uint8_t *canvas;
    int milliseconds;
    if (!WebPAnimDecoderGetNext(frames->decoder, &canvas, &milliseconds))
        return fail(VP8_STATUS_BITSTREAM_ERROR, error);
    *pixels = canvas;
    return OF_OK;
}

void of_webp_frames_close(of_webp_frames *frames) {
    if (frames != NULL)
        WebPAnimDecoderDelete(frames->decoder);
    of_free(frames);
}

static of_status decode_first(const uint8_t *bytes, size_t size, of_picture *picture,
                              of_error *error) {
    of_webp_frames *frames = NULL;
    const uint8_t *canvas = NULL;
    of_status status = of_webp_frames_open(bytes, size, &frames, error);
    if (status == OF_OK)
        status = of_webp_frames_next(frames, &canvas, error);
    if (status == OF_OK)
        status = of_picture_allocate(picture, frames->info.canvas_height, frames->info.canvas_width,
                                     4, error);
    if (status == OF_OK)
        memcpy(picture->pixels, canvas, (size_t)picture->height * picture->width * 4);
    of_webp_frames_close(frames);
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
